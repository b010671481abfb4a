//! A group whose members leave one by one, and waiting until all have.
//!
//! Each handle is a member. Who waits gives up its membership first, so the members and the waiters are told apart by the count
//! alone. The member that makes it 0 takes all waiters out of the queue under the lock.

use crate::clock::Instant;
use crate::park::{Cancelled, Reason, Unparker, Wake, park};
use crate::primitive::{Arc, Mutex, lock};
use crate::scheduler::checkpoint;
use crate::wait_queue::WaitQueue;
use core::fmt;
use core::time::Duration;

/// Waits until all that hold a clone of it have dropped theirs.
///
/// Works between green threads of any runtime and OS threads.
///
/// ```
/// use osier::sync::WaitGroup;
/// use std::sync::atomic::{AtomicUsize, Ordering};
/// static WASHED: AtomicUsize = AtomicUsize::new(0);
/// osier::run(|| {
///     let group = WaitGroup::new();
///     for _ in 0..3 {
///         let member = group.clone();
///         osier::spawn(move || {
///             WASHED.fetch_add(1, Ordering::SeqCst);
///             drop(member);
///         });
///     }
///     group.wait();
///     assert_eq!(WASHED.load(Ordering::SeqCst), 3);
/// });
/// ```
pub struct WaitGroup {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
}

struct State {
    /// Handles that have neither been dropped nor wait.
    members: usize,
    /// Those who wait until `members` is 0.
    waiters: WaitQueue<Unparker>,
}

impl WaitGroup {
    /// A group of one member, the one that is returned.
    #[must_use]
    pub fn new() -> WaitGroup {
        let state = State { members: 1, waiters: WaitQueue::new() };
        WaitGroup { shared: Arc::new(Shared { state: Mutex::new(state) }) }
    }

    /// Leaves the group, and waits until all others have left it or wait as well.
    ///
    /// # Cancellation
    ///
    /// A kill or an enclosing [`timeout`](crate::time::timeout) ends the wait and unwinds; this member has left.
    pub fn wait(self) {
        let shared = self.shared.clone();
        drop(self);
        shared.wait(None).unwrap_or_else(|cancelled| cancelled.raise());
    }

    /// [`WaitGroup::wait`], for at most `timeout`.
    ///
    /// ```
    /// use osier::sync::WaitGroup;
    /// use osier::time::Duration;
    /// let group = WaitGroup::new();
    /// let member = group.clone();
    /// let group = group.wait_timeout(Duration::from_millis(1)).unwrap_err();
    /// drop(member);
    /// group.wait_timeout(Duration::from_millis(1)).unwrap();
    /// ```
    ///
    /// # Errors
    ///
    /// If the time is over first: a handle again, which is a member as before.
    ///
    /// # Cancellation
    ///
    /// As [`WaitGroup::wait`].
    pub fn wait_timeout(self, timeout: Duration) -> Result<(), WaitGroup> {
        let shared = self.shared.clone();
        let deadline = Instant::now().checked_add(timeout);
        drop(self);
        match shared.wait(deadline) {
            Ok(Wake::Unparked) => Ok(()),
            // Counted again under the lock that said so.
            Ok(Wake::Deadline) => Err(WaitGroup { shared }),
            Err(cancelled) => cancelled.raise(),
        }
    }
}

impl Shared {
    /// Waits until there is no member. One whose deadline has passed is a member when this returns.
    fn wait(&self, deadline: Option<Instant>) -> Result<Wake, Cancelled> {
        checkpoint()?;
        let ticket = {
            let mut state = lock(&self.state);
            if state.members == 0 {
                return Ok(Wake::Unparked);
            }
            state.waiters.push(Unparker::current())
        };
        loop {
            let outcome = park(Reason::WaitGroup(core::ptr::from_ref(self).addr()), deadline);
            let mut state = lock(&self.state);
            if outcome == Ok(Wake::Unparked) && state.waiters.contains(ticket) {
                continue;
            }
            if !state.waiters.remove(ticket) {
                return outcome.map(|_| Wake::Unparked);
            }
            state.members += usize::from(outcome == Ok(Wake::Deadline));
            return outcome;
        }
    }
}

impl Default for WaitGroup {
    fn default() -> WaitGroup {
        WaitGroup::new()
    }
}

impl Clone for WaitGroup {
    fn clone(&self) -> WaitGroup {
        lock(&self.shared.state).members += 1;
        WaitGroup { shared: self.shared.clone() }
    }
}

impl Drop for WaitGroup {
    fn drop(&mut self) {
        let mut state = lock(&self.shared.state);
        state.members -= 1;
        if state.members > 0 {
            return;
        }
        let mut woken = Vec::new();
        while let Some(waiter) = state.waiters.pop() {
            woken.push(waiter);
        }
        drop(state);
        woken.iter().for_each(Unparker::unpark);
    }
}

impl fmt::Debug for WaitGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WaitGroup")
            .field("members", &lock(&self.shared.state).members)
            .finish_non_exhaustive()
    }
}
