//! Instants, clocks and deadlines.
//!
//! Has what [`std::time`] has for the monotonic clock. [`Instant`] is a type of our own, since a clock that is not the machine's
//! must be able to make one; [`SystemTime`] is std's.

pub use crate::clock::{Clock, FakeClock, Instant, MachineClock};
pub use core::time::{Duration, TryFromFloatSecsError};
pub use std::time::{SystemTime, SystemTimeError, UNIX_EPOCH};

use crate::limits;
use crate::park::ElapsedPayload;
use crate::scheduler::{self, Place};
use core::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

impl From<std::time::Instant> for Instant {
    /// The instant that is as far from now by the clock that [`Instant::now`] asks as `instant` is by the machine's.
    fn from(instant: std::time::Instant) -> Instant {
        // In this order: what passes in between makes the result later, and a wait until then does not end early.
        let machine = std::time::Instant::now();
        let now = Instant::now();
        let (ahead, behind) =
            (instant.saturating_duration_since(machine), machine.saturating_duration_since(instant));
        // What cannot be represented is for ever, or the beginning.
        let later = now.checked_add(ahead).unwrap_or(Instant::from_nanos(u64::MAX));
        later.checked_sub(behind).unwrap_or(Instant::from_nanos(0))
    }
}

impl Instant {
    /// The time now: on a runtime's OS thread by that runtime's clock, elsewhere by the machine's monotonic clock.
    #[must_use]
    pub fn now() -> Instant {
        scheduler::with_place(|place| match place {
            Place::Green(worker) | Place::Driver(worker) => worker.now(),
            Place::OsThread => Instant::of_machine(),
        })
    }

    /// The time that has passed since this instant.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        Instant::now().duration_since(*self)
    }
}

/// That the time of a [`timeout`] was over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elapsed;

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("deadline has elapsed")
    }
}

impl std::error::Error for Elapsed {}

/// Runs `f`; a wait in it, however deep, that lasts until `duration` is over ends and unwinds to here.
///
/// It ends waits, never running code: if `f` returns, its value is returned, however late. Of nested timeouts each one ends its
/// own `f`. Works on green threads and on OS threads.
///
/// ```
/// use osier::time::{Duration, Elapsed, timeout};
/// osier::run(|| {
///     let slow = timeout(Duration::from_millis(1), || osier::sleep(Duration::from_secs(3600)));
///     assert_eq!(slow, Err(Elapsed));
///     assert_eq!(timeout(Duration::from_secs(3600), || 42), Ok(42));
/// });
/// ```
///
/// # Errors
///
/// [`Elapsed`] if the time was over during a wait. What `f` had on its stack was dropped.
///
/// # Panics
///
/// With the panic of `f`.
pub fn timeout<F, T>(duration: Duration, f: F) -> Result<T, Elapsed>
where
    F: FnOnce() -> T,
{
    let Some(at) = Instant::now().checked_add(duration) else {
        return Ok(f());
    };
    limits::with_timeout(at, |id| match catch_unwind(AssertUnwindSafe(f)) {
        Ok(value) => Ok(value),
        Err(payload) => match payload.downcast::<ElapsedPayload>() {
            Ok(elapsed) if elapsed.timeout == id => Err(Elapsed),
            Ok(elapsed) => resume_unwind(elapsed),
            Err(payload) => resume_unwind(payload),
        },
    })
}
