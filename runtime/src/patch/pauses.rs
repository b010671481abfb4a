//! Pauses between two tries, for what the kernel and libc do not tell of: when a lock is free, say.

use super::deadline::Deadline;
use super::wait::refuse;
use crate::clock::Instant;
use crate::limits::with_shield;
use crate::park::{Reason, Wake, park};
use crate::scheduler::Worker;
use core::time::Duration;
use libc::c_int;
use std::io;

/// The first; each is twice as long as the one before.
const FIRST: Duration = Duration::from_micros(50);

/// The longest.
const LONGEST: Duration = Duration::from_millis(5);

pub(super) struct Pauses(Duration);

impl Pauses {
    pub(super) fn new() -> Pauses {
        Pauses(FIRST)
    }

    /// A pause, which ends at `until` at the latest: then it answers that the deadline has passed.
    ///
    /// # Errors
    ///
    /// `ECANCELED` or `ETIMEDOUT` when cancelled.
    pub(super) fn pause(
        &mut self,
        worker: &Worker,
        reason: Reason<'_>,
        until: Option<Instant>,
    ) -> io::Result<Wake> {
        let end = self.next(worker, until);
        park(reason, end).map_err(|cancelled| refuse(worker, cancelled))?;
        let has_passed = until.is_some_and(|until| until <= worker.now());
        Ok(if has_passed { Wake::Deadline } else { Wake::Unparked })
    }

    /// A pause in a call that knows of no error with which it could end early.
    pub(super) fn pause_shielded(&mut self, worker: &Worker, what: &'static str, until: Option<Instant>) {
        let end = self.next(worker, until);
        // Under a shield, so it is not cancelled.
        let _ = with_shield(|| park(Reason::NextTry(what), end));
    }

    fn next(&mut self, worker: &Worker, until: Option<Instant>) -> Option<Instant> {
        let end = worker.now().checked_add(self.0);
        self.0 = LONGEST.min(self.0 * 2);
        if until.is_some() && until < end { until } else { end }
    }
}

/// Tries until the answer is another than `busy`, an error's number; after the deadline once more.
///
/// # Errors
///
/// Those of `attempt`, `busy` after the deadline, and those of a cancelled pause.
pub(super) fn try_again<T>(
    worker: &Worker,
    what: &'static str,
    busy: c_int,
    deadline: &Deadline,
    attempt: impl Fn() -> io::Result<T>,
) -> io::Result<T> {
    if worker.spend() {
        worker.yield_now().map_err(|cancelled| refuse(worker, cancelled))?;
    }
    let mut pauses = Pauses::new();
    loop {
        let is_over = deadline.is_over(worker);
        match attempt() {
            Err(error) if error.raw_os_error() == Some(busy) && !is_over => {}
            result => return result,
        }
        pauses.pause(worker, Reason::NextTry(what), deadline.next_stop(worker, None))?;
    }
}
