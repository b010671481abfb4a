//! Calls that cannot be made nonblocking, on a pool of OS threads.

mod pool;

pub(crate) use self::pool::Pool;

use crate::scheduler;
use std::io;
use std::panic::resume_unwind;

/// Runs `call` on an OS thread of the runtime's offload pool, for work that blocks or burns processor time.
///
/// The green thread that calls waits for it; others go on. Off a green thread `call` runs in place. The pool starts OS
/// threads as they are needed ([`Builder::offload_threads`](crate::Builder::offload_threads) bounds them) and ends idle ones.
///
/// ```
/// let sum = osier::run(|| osier::offload(|| (1..=10).sum::<u32>()));
/// assert_eq!(sum, 55);
/// ```
///
/// # Panics
///
/// With the panic of `call`; and if the machine gives no OS thread at all.
///
/// # Cancellation
///
/// A kill or an enclosing [`timeout`](crate::time::timeout) ends the wait at once: `call` runs to its end, and what it returns is
/// dropped.
pub fn offload<T, F>(call: F) -> T
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    match try_offload(call) {
        Ok(value) => value,
        Err(error) => panic!("no OS thread for an offloaded call: {error}"),
    }
}

/// [`offload`] for the crate's own calls: fails where that panics for want of an OS thread.
pub(crate) fn try_offload<T, F>(call: F) -> io::Result<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    let Some(pool) = scheduler::offload_pool() else {
        return Ok(call());
    };
    match pool.run(call) {
        Ok(Ok(Ok(value))) => Ok(value),
        Ok(Ok(Err(payload))) => resume_unwind(payload),
        Ok(Err(error)) => Err(error),
        Err(cancelled) => cancelled.raise(),
    }
}
