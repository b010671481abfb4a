//! A barrier: how many have come, who waits for the rest.
//!
//! Owns the queue of those who have come and wait: their number is the state. The one who makes the number full takes all out at
//! once and wakes them. One that is killed before leaves the queue, and has not come; one that is killed after goes on.

use crate::park::{Cancelled, Reason, Unparker, park};
use crate::primitive::{Mutex, lock};
use crate::wait_queue::WaitQueue;

/// The barrier.
pub(crate) struct BarrierCore {
    /// How many it takes; 0 counts as 1.
    size: usize,
    waiters: Mutex<WaitQueue<Unparker>>,
}

impl BarrierCore {
    pub(crate) const fn new(size: usize) -> BarrierCore {
        BarrierCore { size, waiters: Mutex::new(WaitQueue::new()) }
    }

    /// Comes, and waits for the others. True for the one that comes last.
    ///
    /// # Errors
    ///
    /// As `park`; if the others had not come yet, the caller has not, either.
    pub(crate) fn wait(&self, reason: Reason<'_>) -> Result<bool, Cancelled> {
        let ticket = {
            let mut waiters = lock(&self.waiters);
            if waiters.len() + 1 < self.size {
                waiters.push(Unparker::current())
            } else {
                let all = waiters.pop_all();
                drop(waiters);
                all.iter().for_each(Unparker::unpark);
                return Ok(true);
            }
        };
        loop {
            let ended = park(reason, None);
            let mut waiters = lock(&self.waiters);
            if !waiters.contains(ticket) {
                // All have come, and this one with them; a kill can wait for the next wait.
                return Ok(false);
            }
            if ended.is_err() {
                waiters.remove(ticket);
                return ended.map(|_| false);
            }
        }
    }
}
