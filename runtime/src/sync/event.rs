//! An event: a flag that threads wait for.
//!
//! Whoever sets the flag takes all waiters out of the queue, under the lock. To have been taken out is to have been woken, whatever
//! becomes of the flag afterwards; so an event that is set and cleared at once still wakes those who waited.

use crate::clock::Instant;
use crate::park::{Cancelled, Reason, Unparker, Wake, park};
use crate::primitive::{AtomicBool, Mutex, Ordering, lock};
use crate::scheduler::checkpoint;
use crate::wait_queue::WaitQueue;
use core::fmt;
use core::time::Duration;

/// A flag that is set and cleared by hand, and that any number of threads wait for.
///
/// Works between green threads of any runtime and OS threads.
///
/// ```
/// use osier::sync::Event;
/// use std::sync::Arc;
/// osier::run(|| {
///     let open = Arc::new(Event::new());
///     let guests: Vec<_> = (0..3).map(|n| {
///         let open = open.clone();
///         osier::spawn(move || {
///             open.wait();
///             n
///         })
///     }).collect();
///     osier::yield_now();
///     assert!(guests.iter().all(|guest| !guest.is_finished()));
///     open.set();
///     assert_eq!(guests.into_iter().map(|guest| guest.join().unwrap()).sum::<i32>(), 3);
/// });
/// ```
pub struct Event {
    /// Changed under the lock of `waiters`.
    set: AtomicBool,
    waiters: Mutex<WaitQueue<Unparker>>,
}

impl Event {
    /// An event that is not set.
    #[must_use]
    pub const fn new() -> Event {
        Event { set: AtomicBool::new(false), waiters: Mutex::new(WaitQueue::new()) }
    }

    /// Sets it, and wakes all who wait. Never waits.
    pub fn set(&self) {
        let mut waiters = lock(&self.waiters);
        // Release: pairs with `is_set`; what came before the set is seen after the wait.
        self.set.store(true, Ordering::Release);
        let mut woken = Vec::new();
        while let Some(waiter) = waiters.pop() {
            woken.push(waiter);
        }
        drop(waiters);
        woken.iter().for_each(Unparker::unpark);
    }

    /// Clears it: who waits from now on waits for the next [`set`](Event::set). Those whom an earlier one has woken go on, also
    /// if they have not run since. Never waits.
    pub fn clear(&self) {
        let _waiters = lock(&self.waiters);
        // Relaxed: what others did before it was cleared is handed on by the lock alone.
        self.set.store(false, Ordering::Relaxed);
    }

    /// Whether it is set. Never waits.
    #[must_use]
    pub fn is_set(&self) -> bool {
        // Acquire: pairs with `set`.
        self.set.load(Ordering::Acquire)
    }

    /// Waits until it is set; returns at once if it is.
    ///
    /// # Cancellation
    ///
    /// A kill or an enclosing [`timeout`](crate::time::timeout) ends the wait and unwinds.
    pub fn wait(&self) {
        self.wait_until(None).unwrap_or_else(|cancelled| cancelled.raise());
    }

    /// [`Event::wait`], for at most `timeout`. False if the time is over first.
    ///
    /// ```
    /// use osier::time::Duration;
    /// let event = osier::sync::Event::new();
    /// assert!(!event.wait_timeout(Duration::from_millis(1)));
    /// event.set();
    /// assert!(event.wait_timeout(Duration::from_millis(1)));
    /// ```
    ///
    /// # Cancellation
    ///
    /// As [`Event::wait`].
    pub fn wait_timeout(&self, timeout: Duration) -> bool {
        let deadline = Instant::now().checked_add(timeout);
        let wake = self.wait_until(deadline).unwrap_or_else(|cancelled| cancelled.raise());
        wake == Wake::Unparked
    }

    fn wait_until(&self, deadline: Option<Instant>) -> Result<Wake, Cancelled> {
        checkpoint()?;
        if self.is_set() {
            return Ok(Wake::Unparked);
        }
        let ticket = {
            let mut waiters = lock(&self.waiters);
            if self.is_set() {
                return Ok(Wake::Unparked);
            }
            waiters.push(Unparker::current())
        };
        loop {
            let outcome = park(Reason::Event(core::ptr::from_ref(self).addr()), deadline);
            let mut waiters = lock(&self.waiters);
            if outcome == Ok(Wake::Unparked) && waiters.contains(ticket) {
                continue;
            }
            let woken = !waiters.remove(ticket);
            return if woken { outcome.map(|_| Wake::Unparked) } else { outcome };
        }
    }
}

impl Default for Event {
    fn default() -> Event {
        Event::new()
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event").field("set", &self.is_set()).finish_non_exhaustive()
    }
}
