//! Until when a call of C waits.

use crate::clock::Instant;
use crate::scheduler::Worker;
use core::time::Duration;
use libc::{clockid_t, timespec};

/// How often a wait until a time of day looks whether the clock was set.
const LOOK: Duration = Duration::from_secs(1);

/// The end of a wait, by the clock of the runtime, which need not be the machine's.
pub(super) struct Deadline {
    /// `None` for never.
    at: Option<Instant>,
    /// The clock may be set meanwhile: which one, and what it is to show.
    settable: Option<(clockid_t, Duration)>,
}

impl Deadline {
    pub(super) fn never() -> Deadline {
        Deadline { at: None, settable: None }
    }

    /// When so much time has passed; `None` if it is no valid time.
    pub(super) fn after(worker: &Worker, time: &timespec) -> Option<Deadline> {
        Some(Deadline { at: worker.now().checked_add(duration(time)?), settable: None })
    }

    /// When so much time has passed, or never for null; `None` if it is no valid time.
    ///
    /// # Safety
    ///
    /// `limit` must be null or valid.
    pub(super) unsafe fn within(worker: &Worker, limit: *const timespec) -> Option<Deadline> {
        // SAFETY: the caller's promise.
        match unsafe { limit.as_ref() } {
            None => Some(Deadline::never()),
            Some(limit) => Deadline::after(worker, limit),
        }
    }

    /// When `clock` shows `time`; `None` if that is no valid time or clock.
    pub(super) fn at(worker: &Worker, clock: clockid_t, time: &timespec) -> Option<Deadline> {
        let time = duration(time)?;
        let left = time.saturating_sub(reading(clock)?);
        let settable = matches!(clock, libc::CLOCK_REALTIME | libc::CLOCK_TAI).then_some((clock, time));
        Some(Deadline { at: worker.now().checked_add(left), settable })
    }

    /// Until when to wait before it is looked whether the deadline [has passed](Deadline::has_passed), and `look` at most.
    pub(super) fn next_stop(&self, worker: &Worker, look: Option<Duration>) -> Option<Instant> {
        let look = look.or(self.settable.map(|_| LOOK));
        let look = look.and_then(|look| worker.now().checked_add(look));
        match (self.at, look) {
            (Some(at), Some(look)) => Some(at.min(look)),
            (at, look) => at.or(look),
        }
    }

    /// How long it is until then; `None` for ever.
    pub(super) fn left(&self, worker: &Worker) -> Option<Duration> {
        self.at.map(|at| at.saturating_duration_since(worker.now()))
    }

    /// Whether it has passed, now that a wait has ended at `stop`.
    pub(super) fn has_passed(&self, stop: Option<Instant>) -> bool {
        self.at.is_some() && stop == self.at || self.was_set_beyond()
    }

    /// Whether it has passed.
    pub(super) fn is_over(&self, worker: &Worker) -> bool {
        self.at.is_some_and(|at| at <= worker.now()) || self.was_set_beyond()
    }

    fn was_set_beyond(&self) -> bool {
        self.settable.is_some_and(|(clock, time)| reading(clock).is_some_and(|now| now >= time))
    }
}

/// The time, if it is a valid one.
pub(super) fn duration(time: &timespec) -> Option<Duration> {
    let seconds = u64::try_from(time.tv_sec).ok()?;
    let nanos = u32::try_from(time.tv_nsec).ok().filter(|nanos| *nanos < 1_000_000_000)?;
    Some(Duration::new(seconds, nanos))
}

/// What a clock shows; `None` if it cannot be read.
pub(super) fn reading(clock: clockid_t) -> Option<Duration> {
    let mut now = timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` is valid for a write.
    let result = unsafe { libc::clock_gettime(clock, &mut now) };
    (result == 0).then(|| duration(&now)).flatten()
}
