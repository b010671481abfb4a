//! Calls that cannot be made nonblocking, on a pool of OS threads.

mod pool;

pub(crate) use self::pool::Pool;

#[cfg(feature = "patch")]
use crate::park::{Cancelled, Reason};
#[cfg(feature = "patch")]
use crate::primitive::start_os_thread;
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

/// Runs `call` as [`Pool::run`] does, on an OS thread of its own: for a call that others of its kind must end, of which as many as a pool
/// has OS threads would keep those from running. `reason`: what is waited for meanwhile.
///
/// # Errors
///
/// As there.
#[cfg(feature = "patch")]
pub(crate) fn run_apart<T, F>(
    name: &str,
    reason: Reason<'_>,
    call: F,
) -> Result<io::Result<std::thread::Result<T>>, Cancelled>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    Pool::hand_over(reason, call, |job| start_os_thread(name, move || job(&|| ())))
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
