//! The atomics, cells and locks of the files that cross OS threads.
//!
//! Those files (the inbox, the offers, stillness, the park core, the wait queue, completions and more) import from here and from nowhere else, so
//! that the crate `osier-loom-tests` can compile the very same files against loom's types. Here it is core and the runtime's
//! own locks, which block the OS thread also where std's are patched.

pub(crate) use crate::sys::lock::{Condvar, Mutex, MutexGuard};
pub(crate) use core::sync::atomic::{
    AtomicBool, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence,
};
pub(crate) use std::sync::Arc;

use crate::clock::Instant;
use crate::inside;
use core::time::Duration;
use std::io;

/// Locks. No code of the runtime can panic while it holds one of these locks, so there is no poison.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock()
}

/// Waits as long as `condition` says so, for at most `timeout`.
pub(crate) fn wait_while<'a, T>(
    condvar: &Condvar,
    mut guard: MutexGuard<'a, T>,
    timeout: Duration,
    mut condition: impl FnMut(&mut T) -> bool,
) -> MutexGuard<'a, T> {
    let until = Instant::of_machine().checked_add(timeout);
    while condition(&mut guard) {
        let left = until.map(|until| until.saturating_duration_since(Instant::of_machine()));
        if left.is_some_and(|left| left.is_zero()) {
            break;
        }
        guard = condvar.wait(guard, left);
    }
    guard
}

/// Starts an OS thread that nobody joins. May be called with a lock held for which others block their OS threads.
///
/// # Errors
///
/// If the machine gives none.
pub(crate) fn start_os_thread(name: &str, body: impl FnOnce() + Send + 'static) -> io::Result<()> {
    inside::run(|| std::thread::Builder::new().name(name.into()).spawn(body).map(drop))
}
