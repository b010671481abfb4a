//! A barrier.

use super::barrier_core::BarrierCore;
use crate::park::Reason;
use crate::scheduler;
use core::fmt;
use std::panic::RefUnwindSafe;

/// Where threads, green or OS, wait until so many of them have come; again and again. As [`std::sync::Barrier`].
///
/// Works between green threads of any runtime and OS threads.
///
/// ```
/// use osier::sync::{Arc, Barrier};
/// osier::run(|| {
///     let barrier = Arc::new(Barrier::new(3));
///     let threads: Vec<_> = (0..3).map(|_| {
///         let barrier = barrier.clone();
///         osier::spawn(move || barrier.wait().is_leader())
///     }).collect();
///     let leaders = threads.into_iter().map(|thread| thread.join().unwrap());
///     assert_eq!(leaders.filter(|&leader| leader).count(), 1);
/// });
/// ```
pub struct Barrier {
    core: BarrierCore,
}

impl RefUnwindSafe for Barrier {}

/// Whether it was this thread that made the number full.
pub struct BarrierWaitResult(bool);

impl Barrier {
    /// A barrier for `n` threads. With 0, as with 1, nobody waits.
    #[inline]
    #[must_use]
    pub const fn new(n: usize) -> Barrier {
        Barrier { core: BarrierCore::new(n) }
    }

    /// Waits until as many threads have come as the barrier is for. The one that comes last does not wait, and is the leader.
    ///
    /// # Cancellation
    ///
    /// A kill or an enclosing [`timeout`](crate::time::timeout) ends the wait and unwinds. If the others have not come yet, it counts
    /// as one that has not, either.
    pub fn wait(&self) -> BarrierWaitResult {
        let reason = Reason::Barrier(core::ptr::from_ref(self).addr());
        match scheduler::checkpoint().and_then(|()| self.core.wait(reason)) {
            Ok(leader) => BarrierWaitResult(leader),
            Err(cancelled) => cancelled.raise(),
        }
    }
}

impl BarrierWaitResult {
    /// Whether the thread is the leader: one is at each time.
    #[must_use]
    pub fn is_leader(&self) -> bool {
        self.0
    }
}

impl fmt::Debug for Barrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Barrier").finish_non_exhaustive()
    }
}

impl fmt::Debug for BarrierWaitResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BarrierWaitResult").field("is_leader", &self.is_leader()).finish()
    }
}
