//! A runtime that is driven by somebody else's loop.

use super::with_worker;
use super::worker::Worker;
use core::fmt;
use core::time::Duration;
use std::os::fd::{AsFd, BorrowedFd};

/// A runtime inside [`Runtime::enter`](super::Runtime::enter).
///
/// A foreign loop waits for the descriptor ([`AsFd`]) to become readable, which it does when green threads can run: because
/// of IO, of a deadline, or of another OS thread. Then it calls [`Entered::turn`].
///
/// ```compile_fail
/// fn is_send<T: Send>() {}
/// is_send::<osier::Entered<'static>>();
/// ```
pub struct Entered<'a> {
    pub(super) worker: &'a Worker,
}

impl Entered<'_> {
    /// Runs ready green threads, a bounded number of times; if there are none, waits for something to happen, but not longer than
    /// `timeout` (`None`: as long as it takes; zero: not at all). True if more can run at once.
    ///
    /// The descriptor is readable as soon as another turn has something to do.
    ///
    /// # Panics
    ///
    /// In the [child of a fork](crate::process#after-a-fork): its green threads are the parent's.
    pub fn turn(&mut self, timeout: Option<Duration>) -> bool {
        assert!(with_worker(|worker| worker.is_some()), "the runtime is the parent process's");
        let until = timeout.and_then(|timeout| self.worker.now().checked_add(timeout));
        self.worker.drive(|worker| _ = worker.turn(until))
    }
}

impl AsFd for Entered<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.worker.epoll().as_fd()
    }
}

impl fmt::Debug for Entered<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entered").finish_non_exhaustive()
    }
}
