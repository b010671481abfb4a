//! The atomics, cells and locks of the files that cross OS threads.
//!
//! Those files (the inbox, the offers, the park core, the wait queue, completions) import from here and from nowhere else, so
//! that the crate `osier-loom-tests` can compile the very same files against loom's types. Here it is core and std.

pub(crate) use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering, fence};
pub(crate) use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use core::time::Duration;
use std::io;
use std::sync::PoisonError;

/// Locks, ignoring poison: no code of the runtime can panic while it holds one of these locks.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits as long as `condition` says so, for at most `timeout`.
pub(crate) fn wait_while<'a, T>(
    condvar: &Condvar,
    guard: MutexGuard<'a, T>,
    timeout: Duration,
    condition: impl FnMut(&mut T) -> bool,
) -> MutexGuard<'a, T> {
    condvar.wait_timeout_while(guard, timeout, condition).unwrap_or_else(PoisonError::into_inner).0
}

/// Starts an OS thread that nobody joins.
///
/// # Errors
///
/// If the machine gives none.
pub(crate) fn start_os_thread(name: &str, body: impl FnOnce() + Send + 'static) -> io::Result<()> {
    std::thread::Builder::new().name(name.into()).spawn(body).map(drop)
}
