//! Calls that cannot be made nonblocking, on a pool of OS threads.

mod pool;

pub(crate) use self::pool::Pool;

use crate::clock::Instant;
#[cfg(feature = "patch")]
use crate::park::{Cancelled, Reason};
use crate::primitive::Mutex;
#[cfg(feature = "patch")]
use crate::primitive::start_os_thread;
use crate::scheduler;
use core::time::Duration;
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

/// When [`run_apart`] has last started an OS thread, or one of its was about to end; `None` for never.
static MOVED: Mutex<Option<Instant>> = Mutex::new(None);

/// How long an OS thread may take from its start to where it waits, or from its last deed to its end.
const MOMENT: Duration = Duration::from_secs(1);

#[cfg(feature = "patch")]
fn note_move() {
    *MOVED.lock() = Some(Instant::of_machine());
}

/// Whether an OS thread of [`run_apart`] may be on its way to where it waits, or to its end: what it is seen to do will soon be over.
pub(crate) fn moves_apart() -> bool {
    let moved = *MOVED.lock();
    moved.is_some_and(|moved| Instant::of_machine().saturating_duration_since(moved) < MOMENT)
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
    Pool::hand_over(reason, call, |job| {
        note_move();
        start_os_thread(name, move || job(&note_move))
    })
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
