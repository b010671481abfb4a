//! Instants and the clocks that make them.
//!
//! The runtime measures on the monotonic clock and never on wall-clock time. `Instant` is a type of our own since a clock
//! that is not the machine's must be able to make one.

use crate::sys;
use core::fmt;
use core::ops::{Add, AddAssign, Sub, SubAssign};
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use std::sync::Arc;

/// A point in time, measured from an arbitrary start that never changes while the program runs.
///
/// Has what [`std::time::Instant`] has. On a green thread [`Instant::now`] asks the runtime's clock, which need not be the
/// machine's; elsewhere it is the machine's monotonic clock, with a resolution of a nanosecond.
///
/// ```
/// use osier::time::{Duration, Instant};
/// let start = Instant::now();
/// assert!(start + Duration::from_secs(1) > start);
/// assert!(start.elapsed() < Duration::from_secs(3600));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant {
    /// Nanoseconds since the clock's start; enough for 584 years.
    nanos: u64,
}

impl Instant {
    /// The instant `since_start` after the clock's start: for those who write a clock. `None` past 584 years.
    #[must_use]
    pub fn from_start(since_start: Duration) -> Option<Instant> {
        u64::try_from(since_start.as_nanos()).ok().map(|nanos| Instant { nanos })
    }

    /// The time from `earlier` to this instant, or zero if that is later.
    #[must_use]
    pub fn duration_since(&self, earlier: Instant) -> Duration {
        self.saturating_duration_since(earlier)
    }

    /// The time from `earlier` to this instant, or `None` if that is later.
    #[must_use]
    pub fn checked_duration_since(&self, earlier: Instant) -> Option<Duration> {
        self.nanos.checked_sub(earlier.nanos).map(Duration::from_nanos)
    }

    /// The time from `earlier` to this instant, or zero if that is later.
    #[must_use]
    pub fn saturating_duration_since(&self, earlier: Instant) -> Duration {
        Duration::from_nanos(self.nanos.saturating_sub(earlier.nanos))
    }

    /// This instant and `duration`, or `None` if that cannot be represented.
    #[must_use]
    pub fn checked_add(&self, duration: Duration) -> Option<Instant> {
        let nanos = self.nanos.checked_add(u64::try_from(duration.as_nanos()).ok()?)?;
        Some(Instant { nanos })
    }

    /// This instant less `duration`, or `None` if that cannot be represented.
    #[must_use]
    pub fn checked_sub(&self, duration: Duration) -> Option<Instant> {
        let nanos = self.nanos.checked_sub(u64::try_from(duration.as_nanos()).ok()?)?;
        Some(Instant { nanos })
    }

    /// Nanoseconds since the clock's start.
    pub(crate) fn nanos(self) -> u64 {
        self.nanos
    }

    /// The instant so many nanoseconds after the clock's start.
    pub(crate) fn from_nanos(nanos: u64) -> Instant {
        Instant { nanos }
    }

    /// What the machine's monotonic clock says now.
    pub(crate) fn of_machine() -> Instant {
        Instant { nanos: sys::clock::monotonic_nanos() }
    }
}

impl Add<Duration> for Instant {
    type Output = Instant;

    /// # Panics
    ///
    /// If the result cannot be represented.
    fn add(self, duration: Duration) -> Instant {
        self.checked_add(duration).expect("overflow when adding duration to instant")
    }
}

impl AddAssign<Duration> for Instant {
    fn add_assign(&mut self, duration: Duration) {
        *self = *self + duration;
    }
}

impl Sub<Duration> for Instant {
    type Output = Instant;

    /// # Panics
    ///
    /// If the result cannot be represented.
    fn sub(self, duration: Duration) -> Instant {
        self.checked_sub(duration).expect("overflow when subtracting duration from instant")
    }
}

impl SubAssign<Duration> for Instant {
    fn sub_assign(&mut self, duration: Duration) {
        *self = *self - duration;
    }
}

impl Sub<Instant> for Instant {
    type Output = Duration;

    fn sub(self, earlier: Instant) -> Duration {
        self.duration_since(earlier)
    }
}

impl fmt::Debug for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let since_start = Duration::from_nanos(self.nanos);
        f.debug_struct("Instant")
            .field("tv_sec", &since_start.as_secs())
            .field("tv_nsec", &since_start.subsec_nanos())
            .finish()
    }
}

/// What a runtime takes for the time. The default is the machine's monotonic clock.
///
/// A clock must never go back, and must not call into the runtime. One that panics in the runtime's own code aborts the
/// process. The workers of a runtime share one.
pub trait Clock {
    /// The time now.
    fn now(&self) -> Instant;

    /// Called when no green thread can run before `until` (`None`: before something happens outside): how long the worker
    /// may really wait for outside events; `None` for as long as it takes.
    fn idle(&self, until: Option<Instant>) -> Option<Duration>;

    /// Whether it stands still while anything runs; false unless said otherwise. With several workers [`Clock::idle`] of such a
    /// clock is called only when none of them can run, with the earliest deadline of all; of others each worker calls it for itself.
    fn stands_still(&self) -> bool {
        false
    }
}

/// The machine's monotonic clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct MachineClock;

impl Clock for MachineClock {
    fn now(&self) -> Instant {
        Instant::of_machine()
    }

    fn idle(&self, until: Option<Instant>) -> Option<Duration> {
        until.map(|until| until.saturating_duration_since(self.now()))
    }
}

/// A clock that stands still while anything runs and jumps to the next deadline when nothing can: an hour's sleep takes no
/// time, and the same program takes the same virtual time at each run.
///
/// Clones show the same time.
///
/// ```
/// use osier::time::{Duration, FakeClock, Instant};
/// let runtime = osier::Builder::new().clock(FakeClock::new()).build()?;
/// let started = std::time::Instant::now();
/// let slept = runtime.run(|| {
///     let start = Instant::now();
///     osier::sleep(Duration::from_secs(3600));
///     start.elapsed()
/// });
/// assert_eq!(slept, Duration::from_secs(3600));
/// assert!(started.elapsed() < Duration::from_secs(60));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct FakeClock {
    /// Nanoseconds. Relaxed throughout: whoever must see a new time is told of it in another way.
    now: Arc<AtomicU64>,
}

impl FakeClock {
    /// A clock that shows its start.
    #[must_use]
    pub fn new() -> FakeClock {
        FakeClock { now: Arc::default() }
    }

    /// Moves the clock on by `duration`. Sleepers whose time has come run at the worker's next turn.
    ///
    /// # Panics
    ///
    /// If the clock would pass 584 years.
    pub fn advance(&self, duration: Duration) {
        let advanced = |now| Some((Instant { nanos: now } + duration).nanos);
        let _ = self.now.fetch_update(Ordering::Relaxed, Ordering::Relaxed, advanced);
    }
}

impl Default for FakeClock {
    fn default() -> FakeClock {
        FakeClock::new()
    }
}

impl Clock for FakeClock {
    fn now(&self) -> Instant {
        Instant { nanos: self.now.load(Ordering::Relaxed) }
    }

    fn idle(&self, until: Option<Instant>) -> Option<Duration> {
        let until = until?;
        self.now.fetch_max(until.nanos, Ordering::Relaxed);
        Some(Duration::ZERO)
    }

    fn stands_still(&self) -> bool {
        true
    }
}
