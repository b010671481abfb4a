//! A condition variable without its lock's value: who waits for a notification, who gets it.
//!
//! Owns the queue of those who wait.
//!
//! # Protocol
//!
//! 1. Who waits joins the queue while it still has the lock, unlocks, and parks: a notification that comes after the unlocking
//!    finds it.
//! 2. A notification pops the first of the queue, or all.
//! 3. Who was notified, or whose own deadline has passed, takes the lock again. A kill or an outer deadline ends the wait without
//!    the lock.
//! 4. One that was notified alone, and is ended by a kill before it has the lock again, has the next one notified instead: the
//!    notification is neither lost nor doubled. One that was notified with all others owes nobody anything.

use crate::clock::Instant;
use crate::park::{Cancelled, Reason, Unparker, Wake, park};
use crate::primitive::{Mutex, lock};
use crate::sync::mutex_core::MutexCore;
use crate::wait_queue::WaitQueue;

/// The condition variable.
pub(crate) struct CondvarCore {
    state: Mutex<State>,
}

struct State {
    waiters: WaitQueue<Unparker>,
    /// How often all were notified. Whoever leaves in another round than it has come in was notified then, or with nobody left
    /// who had been waiting at the time.
    round: u64,
}

impl CondvarCore {
    pub(crate) const fn new() -> CondvarCore {
        CondvarCore { state: Mutex::new(State { waiters: WaitQueue::new(), round: 0 }) }
    }

    /// Unlocks `mutex`, which the caller has, waits for a notification until `deadline`, and locks `mutex` again. `Deadline` if that
    /// came first. `reason` and `relock` say what is waited for, before and after that.
    ///
    /// # Errors
    ///
    /// As `park`; `mutex` is not the caller's then.
    pub(crate) fn wait(
        &self,
        mutex: &MutexCore,
        reason: Reason<'_>,
        deadline: Option<Instant>,
        relock: Reason<'_>,
    ) -> Result<Wake, Cancelled> {
        let (ticket, round) = {
            let mut state = lock(&self.state);
            (state.waiters.push(Unparker::current()), state.round)
        };
        mutex.unlock();
        let ended = loop {
            let ended = park(reason, deadline);
            let mut state = lock(&self.state);
            if ended == Ok(Wake::Unparked) {
                if !state.waiters.contains(ticket) {
                    break ended;
                }
            } else if state.waiters.remove(ticket) {
                // Not notified.
                break Ok(ended?);
            } else {
                // Notified at the last moment.
                break ended.map(|_| Wake::Unparked);
            }
        };
        let locked = ended.and_then(|wake| mutex.lock(relock, None).map(|_| wake));
        if locked.is_err() && ended != Ok(Wake::Deadline) {
            self.pass_on(round);
        }
        locked
    }

    /// For one that was notified since `round` and can make no use of it.
    #[cold]
    fn pass_on(&self, round: u64) {
        let mut state = lock(&self.state);
        let next = if state.round == round { state.waiters.pop() } else { None };
        drop(state);
        if let Some(next) = next {
            next.unpark();
        }
    }

    /// Ends the wait of the one that has waited longest. Never waits.
    pub(crate) fn notify_one(&self) {
        let next = lock(&self.state).waiters.pop();
        if let Some(next) = next {
            next.unpark();
        }
    }

    /// Ends the waits of all. Never waits.
    pub(crate) fn notify_all(&self) {
        let all = {
            let mut state = lock(&self.state);
            state.round += 1;
            state.waiters.pop_all()
        };
        for waiter in all {
            waiter.unpark();
        }
    }
}
