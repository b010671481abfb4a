//! A cancellation as a value, for waits whose callers must not be unwound.

use crate::limits;
use crate::park::{ElapsedPayload, KillPayload};
use crate::scheduler;
use core::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// Why a wait was ended from outside. See [`catch_cancelled`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cancelled {
    /// The green thread was [killed](super::JoinHandle::kill).
    Killed,
    /// The time of an enclosing [`timeout`](crate::time::timeout) was over.
    Elapsed,
}

impl fmt::Display for Cancelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Cancelled::Killed => "the green thread was killed",
            Cancelled::Elapsed => "the time of an enclosing timeout was over",
        })
    }
}

impl std::error::Error for Cancelled {}

/// Runs `f`; a kill or an enclosing [`timeout`](crate::time::timeout) that ends a wait in it unwinds to here and no further.
///
/// For waits in a function that C has called, where an unwinding must not pass: such a function tells its caller by a value. The
/// cancellation stays, and ends the next wait as well. Before this returns an error it lets the others run, so that a caller
/// who takes no notice does not keep the OS thread.
///
/// ```
/// use osier::thread::{Cancelled, catch_cancelled, park};
/// osier::run(|| {
///     let thread = osier::spawn(|| (catch_cancelled(park), catch_cancelled(park), "returns"));
///     osier::yield_now();
///     thread.kill();
///     let killed = Err(Cancelled::Killed);
///     assert_eq!(thread.join().unwrap(), (killed, killed, "returns"));
/// });
/// ```
///
/// # Errors
///
/// What has ended a wait in `f`. What `f` had on its stack was dropped.
///
/// # Panics
///
/// With the panic of `f`.
pub fn catch_cancelled<F, T>(f: F) -> Result<T, Cancelled>
where
    F: FnOnce() -> T,
{
    let payload = match catch_unwind(AssertUnwindSafe(f)) {
        Ok(value) => return Ok(value),
        Err(payload) => payload,
    };
    let cancelled = if payload.is::<KillPayload>() {
        Cancelled::Killed
    } else if payload.is::<ElapsedPayload>() {
        Cancelled::Elapsed
    } else {
        resume_unwind(payload)
    };
    // The thread counts as unwinding until then.
    drop(payload);
    // Under a shield, and so not cancelled once more.
    let _ = limits::with_shield(scheduler::yield_now);
    Err(cancelled)
}
