//! The atomics, cells and locks of the files that cross OS threads.
//!
//! Those files (the inbox, the offers, the park core, the wait queue, completions) import from here and from nowhere else, so
//! that the crate `osier-loom-tests` can compile the very same files against loom's types. Here it is core and std.

pub(crate) use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering, fence};
pub(crate) use std::sync::{Arc, Mutex, MutexGuard};

/// Locks, ignoring poison: no code of the runtime can panic while it holds one of these locks.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
