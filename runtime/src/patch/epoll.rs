//! The group `poll`: `epoll_wait` and its kin, with which event loops wait.
//!
//! An epoll instance is a descriptor that is readable while it has events, so the reactor waits for it as for any other.

use super::poll::{Look, limit_of, mask_of, wait_for_any};
use super::report::count;
use super::wait::{on_green, with_errno};
use super::{Group, original};
use crate::sys::raw;
use crate::sys::shimmed::{self, SignalSet};
use core::ptr;
use core::time::Duration;
use libc::{c_int, epoll_event, pollfd, sigset_t, timespec};
use std::io;

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn epoll_wait(
    epoll: c_int,
    events: *mut epoll_event,
    room: c_int,
    timeout: c_int,
) -> c_int {
    count!(epoll_wait);
    // SAFETY: the caller's promise.
    unsafe { epoll_pwait(epoll, events, room, timeout, ptr::null()) }
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn epoll_pwait(
    epoll: c_int,
    events: *mut epoll_event,
    room: c_int,
    timeout: c_int,
    mask: *const sigset_t,
) -> c_int {
    count!(epoll_pwait);
    let limit = u64::try_from(timeout).ok().map(Duration::from_millis);
    // SAFETY: null or valid, by the function's contract.
    let set = || unsafe { mask_of(mask) };
    // SAFETY: the caller's promise.
    let waited = unsafe { wait_green(epoll, events, room, || Some(limit), set) };
    // SAFETY: the caller's promise.
    waited.unwrap_or_else(|| unsafe { original::epoll_pwait(epoll, events, room, timeout, mask) })
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn epoll_pwait2(
    epoll: c_int,
    events: *mut epoll_event,
    room: c_int,
    limit: *const timespec,
    mask: *const sigset_t,
) -> c_int {
    count!(epoll_pwait2);
    // SAFETY: null or valid, by the function's contract.
    let time = || unsafe { limit_of(limit) };
    // SAFETY: null or valid, by the function's contract.
    let set = || unsafe { mask_of(mask) };
    // SAFETY: the caller's promise.
    let waited = unsafe { wait_green(epoll, events, room, time, set) };
    // SAFETY: the caller's promise.
    waited.unwrap_or_else(|| unsafe { original::epoll_pwait2(epoll, events, room, limit, mask) })
}

/// What is pointed at is read on a green thread alone.
///
/// # Safety
///
/// `events` must have room for `room` of them.
unsafe fn wait_green(
    epoll: c_int,
    events: *mut epoll_event,
    room: c_int,
    limit: impl FnOnce() -> Option<Option<Duration>>,
    mask: impl FnOnce() -> Option<SignalSet>,
) -> Option<c_int> {
    if (0..=libc::STDERR_FILENO).contains(&epoll) {
        return None;
    }
    let waited = on_green(Group::Poll, |worker| {
        let limit = limit()?;
        if limit == Some(Duration::ZERO) {
            return None;
        }
        let mask = mask();
        Some(with_errno(|| {
            wait_for_any(worker, limit, mask, |look| match look {
                Look::Try => {
                    // SAFETY: the caller's promise.
                    let ready = unsafe { shimmed::epoll_pwait(epoll, events, room, 0, ptr::null()) }?;
                    match mask {
                        Some(mask) if ready == 0 => let_signals_in(&mask),
                        _ => Ok(ready),
                    }
                }
                Look::Entries(entries) => {
                    entries.push(pollfd { fd: epoll, events: libc::POLLIN, revents: 0 });
                    Ok(0)
                }
            })
        }))
    });
    waited.flatten().map(|waited| waited as c_int)
}

/// Has pending signals handled that the mask does not block: an `epoll_pwait` that does not wait does not do that.
///
/// # Errors
///
/// `EINTR` if there was one.
fn let_signals_in(mask: &SignalSet) -> io::Result<usize> {
    let mut none = timespec { tv_sec: 0, tv_nsec: 0 };
    let mask = ptr::from_ref(mask).cast::<sigset_t>();
    // SAFETY: no entries, a valid time; of a mask the kernel reads what a `SignalSet` has.
    unsafe { raw::ppoll(ptr::null_mut(), 0, &raw mut none, mask) }
}
