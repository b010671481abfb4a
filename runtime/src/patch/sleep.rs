//! The group `sleep`. A sleep that is cancelled ends early and says nothing: the callers of these functions, std among
//! them, know no other error than an interruption, and go on sleeping after it.

use super::deadline::{duration, reading};
use super::report::count;
use super::wait::{on_green, refuse};
use super::{Group, original};
use crate::clock::Instant;
use crate::park::Cancelled;
use crate::scheduler::Worker;
use crate::sys::errno;
use crate::thread::sleep_checked;
use core::time::Duration;
use libc::{c_int, c_uint, clockid_t, timespec, useconds_t};

/// How often a sleep until a time of day looks whether the clock was set.
const LOOK: Duration = Duration::from_secs(1);

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn nanosleep(time: *const timespec, left: *mut timespec) -> c_int {
    count!(nanosleep);
    let slept = on_green(Group::Sleep, |worker| {
        // SAFETY: null or valid, by the function's contract.
        let time = duration(unsafe { time.as_ref() }?)?;
        sleep_for(worker, time);
        Some(0)
    });
    // SAFETY: the caller's promise.
    slept.flatten().unwrap_or_else(|| unsafe { original::nanosleep(time, left) })
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn clock_nanosleep(
    clock: clockid_t,
    flags: c_int,
    time: *const timespec,
    left: *mut timespec,
) -> c_int {
    count!(clock_nanosleep);
    let slept = on_green(Group::Sleep, |worker| {
        // Others measure a processor's time, can wake the machine, or do not exist.
        let is_plain = matches!(
            clock,
            libc::CLOCK_REALTIME | libc::CLOCK_MONOTONIC | libc::CLOCK_BOOTTIME | libc::CLOCK_TAI
        );
        // SAFETY: null or valid, by the function's contract.
        let time = duration(unsafe { time.as_ref() }?)?;
        match flags {
            _ if !is_plain => return None,
            0 => sleep_for(worker, time),
            libc::TIMER_ABSTIME => sleep_until(worker, clock, time)?,
            _ => return None,
        }
        Some(0)
    });
    // The kernel knows best what is wrong with the rest.
    // SAFETY: the caller's promise.
    slept.flatten().unwrap_or_else(|| unsafe { original::clock_nanosleep(clock, flags, time, left) })
}

#[unsafe(no_mangle)]
pub(super) extern "C" fn usleep(micros: useconds_t) -> c_int {
    count!(usleep);
    on_green(Group::Sleep, |worker| {
        sleep_for(worker, Duration::from_micros(micros.into()));
        0
    })
    .unwrap_or_else(|| original::usleep(micros))
}

#[unsafe(no_mangle)]
pub(super) extern "C" fn sleep(seconds: c_uint) -> c_uint {
    count!(sleep);
    on_green(Group::Sleep, |worker| {
        sleep_for(worker, Duration::from_secs(seconds.into()));
        0
    })
    .unwrap_or_else(|| original::sleep(seconds))
}

fn sleep_for(worker: &Worker, time: Duration) {
    // What cannot be represented is for ever.
    let _ = nap(worker, worker.now().checked_add(time));
}

/// Sleeps until `clock` shows `time`; `None` if it cannot be read. It is measured once, and then slept for by the runtime's
/// clock, which need not be the machine's. Of a clock that is set meanwhile only a step forward is noticed.
fn sleep_until(worker: &Worker, clock: clockid_t, time: Duration) -> Option<()> {
    let left = time.saturating_sub(reading(clock)?);
    let until = worker.now().checked_add(left);
    loop {
        let look = worker.now().checked_add(LOOK);
        let settable = matches!(clock, libc::CLOCK_REALTIME | libc::CLOCK_TAI);
        let stop = if settable && until > look { look } else { until };
        if nap(worker, stop).is_err() || stop == until || reading(clock)? >= time {
            return Some(());
        }
    }
}

fn nap(worker: &Worker, until: Option<Instant>) -> Result<(), Cancelled> {
    let before = errno::last();
    let slept = sleep_checked(until);
    if let Err(cancelled) = slept {
        let _ = refuse(worker, cancelled);
    }
    errno::set(before);
    slept
}
