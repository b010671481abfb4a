//! `pthread_join` and its kin, with which std joins its threads: tried again and again, with pauses.
//!
//! A try is a join until a time that has passed. (`pthread_tryjoin_np` would say of itself and of one that is detached that they have not
//! ended, which would be for ever.)

use super::super::deadline::Deadline;
use super::super::pauses::Pauses;
use super::super::report::count;
use super::{Behind, behind, on_green_keeping_errno};
use core::ffi::c_void;
use libc::{c_int, clockid_t, pthread_t, timespec};

type Join = unsafe extern "C" fn(pthread_t, *mut *mut c_void) -> c_int;
type TimedJoin = unsafe extern "C" fn(pthread_t, *mut *mut c_void, *const timespec) -> c_int;
type ClockJoin = unsafe extern "C" fn(pthread_t, *mut *mut c_void, clockid_t, *const timespec) -> c_int;

// SAFETY: the type of the function.
static JOIN: Behind<Join> = unsafe { Behind::new(c"pthread_join", None) };
// SAFETY: the type of the function.
static TIMED_JOIN: Behind<TimedJoin> = unsafe { Behind::new(c"pthread_timedjoin_np", None) };
// SAFETY: the type of the function.
static CLOCK_JOIN: Behind<ClockJoin> = unsafe { Behind::new(c"pthread_clockjoin_np", None) };

/// Before all times.
const PASSED: timespec = timespec { tv_sec: -1, tv_nsec: 0 };

/// Joins on a green thread; `None` if libc is to do it.
///
/// # Safety
///
/// The OS thread must be one to be joined, and `value` null or valid for a write; so must the time be, if there is one.
unsafe fn join(
    thread: pthread_t,
    value: *mut *mut c_void,
    until: Option<(clockid_t, *const timespec)>,
) -> Option<c_int> {
    on_green_keeping_errno(|worker| {
        TIMED_JOIN.function()?;
        let deadline = match until {
            None => Deadline::never(),
            // SAFETY: null or valid, says the caller.
            Some((clock, until)) => match unsafe { until.as_ref() } {
                None => Deadline::never(),
                Some(until) => Deadline::at(worker, clock, until)?,
            },
        };
        let mut pauses = Pauses::new();
        loop {
            let is_over = deadline.is_over(worker);
            match behind!(TIMED_JOIN, thread, value, &PASSED) {
                libc::ETIMEDOUT if !is_over => {}
                answer => return Some(answer),
            }
            pauses.pause_shielded(worker, "pthread_join", deadline.next_stop(worker, None));
        }
    })
}

#[unsafe(no_mangle)]
pub(in super::super) unsafe extern "C" fn pthread_join(thread: pthread_t, value: *mut *mut c_void) -> c_int {
    count!(pthread_join);
    // SAFETY: the caller's promise.
    unsafe { join(thread, value, None) }.unwrap_or_else(|| behind!(JOIN, thread, value))
}

#[unsafe(no_mangle)]
pub(in super::super) unsafe extern "C" fn pthread_timedjoin_np(
    thread: pthread_t,
    value: *mut *mut c_void,
    until: *const timespec,
) -> c_int {
    count!(pthread_timedjoin_np);
    // SAFETY: the caller's promise.
    let joined = unsafe { join(thread, value, Some((libc::CLOCK_REALTIME, until))) };
    joined.unwrap_or_else(|| behind!(TIMED_JOIN, thread, value, until))
}

#[unsafe(no_mangle)]
pub(in super::super) unsafe extern "C" fn pthread_clockjoin_np(
    thread: pthread_t,
    value: *mut *mut c_void,
    clock: clockid_t,
    until: *const timespec,
) -> c_int {
    count!(pthread_clockjoin_np);
    let is_known = matches!(clock, libc::CLOCK_REALTIME | libc::CLOCK_MONOTONIC);
    // SAFETY: the caller's promise.
    let joined = is_known.then(|| unsafe { join(thread, value, Some((clock, until))) });
    joined.flatten().unwrap_or_else(|| behind!(CLOCK_JOIN, thread, value, clock, until))
}
