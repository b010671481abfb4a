//! The end of a green thread, and waiting for it.
//!
//! Owns the flag that it is over and the queue of those who wait for that. Any thread may wait; one ends it, once.

use crate::clock::Instant;
use crate::park::{Cancelled, Reason, Unparker, Wake, park};
use crate::primitive::{AtomicBool, Mutex, Ordering, lock};
use crate::wait_queue::WaitQueue;

/// Something that ends once and for ever.
pub(crate) struct Completion {
    /// Set by `finish`, under the lock of `joiners`.
    done: AtomicBool,
    /// Who waits for `done`.
    joiners: Mutex<WaitQueue<Unparker>>,
}

impl Completion {
    pub(crate) const fn new() -> Completion {
        Completion { done: AtomicBool::new(false), joiners: Mutex::new(WaitQueue::new()) }
    }

    /// Ends it, and wakes who waits for that.
    pub(crate) fn finish(&self) {
        let mut joiners = lock(&self.joiners);
        // Release: pairs with `is_done`; what came before the end is seen after it.
        self.done.store(true, Ordering::Release);
        while let Some(joiner) = joiners.pop() {
            joiner.unpark();
        }
    }

    #[inline]
    pub(crate) fn is_done(&self) -> bool {
        // Acquire: pairs with `finish`.
        self.done.load(Ordering::Acquire)
    }

    /// Waits for the end, until `deadline` at most.
    ///
    /// # Errors
    ///
    /// As `park`.
    pub(crate) fn wait(&self, reason: Reason, deadline: Option<Instant>) -> Result<Wake, Cancelled> {
        loop {
            if self.is_done() {
                return Ok(Wake::Unparked);
            }
            let ticket = {
                let mut joiners = lock(&self.joiners);
                if self.is_done() {
                    return Ok(Wake::Unparked);
                }
                joiners.push(Unparker::current())
            };
            let outcome = park(reason, deadline);
            lock(&self.joiners).remove(ticket);
            match outcome {
                Ok(Wake::Unparked) => {}
                Ok(Wake::Deadline) if self.is_done() => {}
                ended => return ended,
            }
        }
    }
}
