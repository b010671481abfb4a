//! A lock without a value: who may go on, who waits.
//!
//! Owns the word of the lock and the queue of those who wait for it. Knows nothing of values, poisoning and holders.
//!
//! # Protocol
//!
//! | bit of `state` | meaning |
//! |---|---|
//! | `LOCKED` | somebody has the lock |
//! | `WAITERS` | the queue is not empty |
//! | `WOKEN` | the first of the queue was woken by an unlock, and has not looked since |
//!
//! 1. To lock, set `LOCKED` where it is not set: also when others wait, since who runs already gets most done (*barging*).
//!    Who finds it set joins the queue and parks.
//! 2. To unlock, clear `LOCKED`. If somebody waits and nobody is woken yet, wake the first one. It keeps its place while it
//!    looks again.
//! 3. A first one that was woken and finds that another has barged in becomes *impatient*. Unlocking for an impatient one leaves
//!    `LOCKED` set: the lock is handed over, and nobody can barge in. So a waiter is overtaken for the length of one wake-up, and
//!    nobody starves.
//! 4. Who leaves the queue because of a deadline or a kill passes on what it was given: a wake-up to the one that is first
//!    now, a lock by unlocking it.
//!
//! # Invariants
//!
//! `LOCKED` may be set by anybody, who has the lock if it was clear, and cleared by the one who has the lock. All else changes under the
//! queue's lock, where: `WAITERS` says whether the queue is empty; `WOKEN` is set just if the first waiter is
//! `Waiter::Woken`, and no other ever is; and while somebody waits and `LOCKED` is clear, `WOKEN` is set.

use crate::clock::Instant;
use crate::park::{Cancelled, Reason, Unparker, Wake, park};
use crate::primitive::{AtomicUsize, Mutex, MutexGuard, Ordering, lock};
use crate::wait_queue::{Ticket, WaitQueue};

const LOCKED: usize = 1;
const WAITERS: usize = 2;
const WOKEN: usize = 4;

/// The lock.
pub(crate) struct MutexCore {
    /// See the module's table.
    state: AtomicUsize,
    waiters: Mutex<WaitQueue<Waiter>>,
}

enum Waiter {
    /// To be woken by an unlock.
    Patient(Unparker),
    /// It was, and is about to look.
    Woken,
    /// It was, in vain: to be handed the lock.
    Impatient(Unparker),
}

impl MutexCore {
    pub(crate) const fn new() -> MutexCore {
        MutexCore { state: AtomicUsize::new(0), waiters: Mutex::new(WaitQueue::new()) }
    }

    /// Takes the lock if it is free. Never waits.
    #[inline]
    pub(crate) fn try_lock(&self) -> bool {
        // Acquire: pairs with the release of each unlock.
        self.state.fetch_or(LOCKED, Ordering::Acquire) & LOCKED == 0
    }

    /// Waits for the lock until `deadline`; false if that came first.
    ///
    /// # Errors
    ///
    /// As `park`; the lock is not the caller's then.
    #[inline]
    pub(crate) fn lock(&self, reason: Reason<'_>, deadline: Option<Instant>) -> Result<bool, Cancelled> {
        if self.try_lock() { Ok(true) } else { self.wait(reason, deadline) }
    }

    #[cold]
    #[inline(never)]
    fn wait(&self, reason: Reason<'_>, deadline: Option<Instant>) -> Result<bool, Cancelled> {
        let Some(ticket) = self.join_queue() else { return Ok(true) };
        loop {
            let ended = park(reason, deadline);
            let mut waiters = lock(&self.waiters);
            let Some(waiter) = waiters.standing(ticket) else {
                // The lock was handed over, whatever else has happened.
                drop(waiters);
                return ended.map(|_| true).inspect_err(|_| self.unlock());
            };
            let woken = matches!(waiter, Waiter::Woken);
            if ended != Ok(Wake::Unparked) {
                waiters.remove(ticket);
                self.leave(waiters, woken);
                return ended.map(|_| false);
            }
            if !woken {
                continue;
            }
            if self.take_woken() {
                waiters.remove(ticket);
                if waiters.is_empty() {
                    self.state.fetch_and(!WAITERS, Ordering::Relaxed);
                }
                return Ok(true);
            }
            *waiter = Waiter::Impatient(Unparker::current());
        }
    }

    /// Takes a place in the queue; `None` if the lock was free, and is now the caller's.
    fn join_queue(&self) -> Option<Ticket> {
        let mut waiters = lock(&self.waiters);
        let mut state = self.state.load(Ordering::Relaxed);
        loop {
            let next = state | if state & LOCKED == 0 { LOCKED } else { WAITERS };
            // Acquire: as in `try_lock`.
            match self.state.compare_exchange_weak(state, next, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) if state & LOCKED == 0 => return None,
                Ok(_) => return Some(waiters.push(Waiter::Patient(Unparker::current()))),
                Err(now) => state = now,
            }
        }
    }

    /// The woken one looks: takes the lock if it is free. Either way nobody is woken any more. Called under the queue's lock.
    fn take_woken(&self) -> bool {
        let mut state = self.state.load(Ordering::Relaxed);
        loop {
            // Acquire: as in `try_lock`.
            let next = state & !WOKEN | LOCKED;
            match self.state.compare_exchange_weak(state, next, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => return state & LOCKED == 0,
                Err(now) => state = now,
            }
        }
    }

    /// After a waiter has left the queue empty-handed. `woken`: it had been woken, so that the wake-up is the next one's.
    fn leave(&self, mut waiters: MutexGuard<'_, WaitQueue<Waiter>>, woken: bool) {
        let mut next = None;
        match waiters.first_mut() {
            None => {
                self.state.fetch_and(!(WAITERS | WOKEN), Ordering::Relaxed);
            }
            Some(first) if woken => next = wake(first),
            Some(_) => {}
        }
        drop(waiters);
        if let Some(next) = next {
            next.unpark();
        }
    }

    /// Gives the lock back. Only for the one who has it. Never waits.
    #[inline]
    pub(crate) fn unlock(&self) {
        // Release, here and below: pairs with the acquire of each lock.
        if self.state.compare_exchange(LOCKED, 0, Ordering::Release, Ordering::Relaxed).is_err() {
            self.unlock_among_waiters();
        }
    }

    #[cold]
    #[inline(never)]
    fn unlock_among_waiters(&self) {
        let mut state = self.state.load(Ordering::Relaxed);
        while state & (WAITERS | WOKEN) != WAITERS {
            let free = state & !LOCKED;
            match self.state.compare_exchange_weak(state, free, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => return,
                Err(now) => state = now,
            }
        }
        let mut waiters = lock(&self.waiters);
        let next = match waiters.first_mut() {
            // It has left meanwhile.
            None => {
                self.state.fetch_and(!LOCKED, Ordering::Release);
                None
            }
            Some(Waiter::Impatient(_)) => {
                let first = waiters.pop();
                if waiters.is_empty() {
                    self.state.fetch_and(!WAITERS, Ordering::Relaxed);
                }
                // The queue's lock carries what was done under the lock to the new owner.
                first.and_then(|mut first| wake(&mut first))
            }
            Some(first) => {
                let next = wake(first);
                // Nobody else can change it, since the lock is ours, and so is the queue's; but others may set `LOCKED` again, in vain.
                // Next to these read-modify-writes a plain store would be enough, were loom to keep them apart.
                self.state.swap(WAITERS | WOKEN, Ordering::Release);
                next
            }
        };
        drop(waiters);
        if let Some(next) = next {
            next.unpark();
        }
    }
}

/// Marks the first waiter as woken; gives what wakes it, unless it was woken before.
fn wake(first: &mut Waiter) -> Option<Unparker> {
    match core::mem::replace(first, Waiter::Woken) {
        Waiter::Patient(unparker) | Waiter::Impatient(unparker) => Some(unparker),
        Waiter::Woken => None,
    }
}
