//! Waiting for a descriptor that stays its owner's, from any place.

use crate::clock::Instant;
use crate::limits::Limits;
use crate::park::{Cancelled, Reason, Wake, earliest, passed};
use crate::scheduler::{self, Place};
use crate::sys::event::{Direction, wait_readable_or_writable};
use std::io;
use std::os::fd::RawFd;

/// Waits until `fd` is ready for `direction`, or may be: try, and wait again. Nothing is remembered of `fd` afterwards.
///
/// # Errors
///
/// Outside: what the system says of a descriptor that cannot be watched. Inside: the wait was cancelled.
pub(crate) fn wait_ready(
    reason: Reason,
    fd: RawFd,
    direction: Direction,
    deadline: Option<Instant>,
) -> io::Result<Result<Wake, Cancelled>> {
    scheduler::with_place(|place| match place {
        Place::Green(worker) | Place::Driver(worker) => {
            worker.reactor().wait_borrowed(reason, fd, direction, deadline)
        }
        Place::OsThread => {
            let (until, whose) = earliest(deadline, &Limits::now());
            let left = until.map(|until| until.saturating_duration_since(Instant::of_machine()));
            let ready = wait_readable_or_writable(fd, direction, left)?;
            Ok(if ready { Ok(Wake::Unparked) } else { passed(whose) })
        }
    })
}

/// Waits until `fd` is readable, or may be. False if `deadline` came first. Unwinds when cancelled.
pub(crate) fn wait_readable(fd: RawFd, deadline: Option<Instant>) -> io::Result<bool> {
    wait_readable_for(Reason::Io(fd, Direction::Read), fd, deadline)
}

/// [`wait_readable`], for the reason given.
pub(crate) fn wait_readable_for(reason: Reason, fd: RawFd, deadline: Option<Instant>) -> io::Result<bool> {
    match wait_ready(reason, fd, Direction::Read, deadline)? {
        Ok(wake) => Ok(wake == Wake::Unparked),
        Err(cancelled) => cancelled.raise(),
    }
}
