//! The group `signal`: `sigwait` and its kin, which take a signal that is blocked and pending; `sigsuspend` and `pause`, which wait for a
//! handler to run.
//!
//! The kernel has a descriptor that is readable while one is pending; each try is libc's own call that does not wait.
//!
//! # Handlers
//!
//! A signal that the OS thread blocks, and that `sigsuspend` lets in, stays pending until a try wears the mask, as with `ppoll`: so the handler
//! runs in a try, which says so. The handler of one that is not blocked runs at any time, and the kernel tells nobody. So if there is one such
//! handler the call blocks the OS thread, and is noted. (To block such signals meanwhile would show: OS threads and processes that others start
//! then would inherit that.) A handler that is set up only while a call waits does not end it.

use super::Group;
use super::behind::{Behind, behind, behind_errno};
use super::deadline::Deadline;
use super::pauses::Pauses;
use super::poll::{Look, mask_of, wait_for_any};
use super::report::{Blocking, blocks, count};
use super::wait::{answer, error, on_green, refuse, wait, with_errno};
use crate::park::Reason;
use crate::scheduler::Worker;
use crate::sys::event::Direction;
use crate::sys::signal::caught;
use crate::sys::{errno, raw, shimmed};
use core::ptr;
use libc::{c_int, siginfo_t, sigset_t, timespec};
use std::io;
use std::os::fd::AsRawFd;

type Wait = unsafe extern "C" fn(*const sigset_t, *mut c_int) -> c_int;
type WaitInfo = unsafe extern "C" fn(*const sigset_t, *mut siginfo_t) -> c_int;
type TimedWait = unsafe extern "C" fn(*const sigset_t, *mut siginfo_t, *const timespec) -> c_int;

// SAFETY: the type of the function.
static WAIT: Behind<Wait> = unsafe { Behind::new(c"sigwait", None) };
// SAFETY: the type of the function.
static WAIT_INFO: Behind<WaitInfo> = unsafe { Behind::new(c"sigwaitinfo", None) };
// SAFETY: the type of the function.
static TIMED_WAIT: Behind<TimedWait> = unsafe { Behind::new(c"sigtimedwait", None) };

/// Waits on a green thread; `None` if libc is to do it.
///
/// # Safety
///
/// `set` must be null or valid, `info` null or valid for a write, `limit` null or valid.
unsafe fn wait_on_green(
    set: *const sigset_t,
    info: *mut siginfo_t,
    limit: *const timespec,
) -> Option<io::Result<usize>> {
    on_green(Group::Signal, |worker| {
        TIMED_WAIT.function()?;
        // SAFETY: null or valid, says the caller.
        let wanted = unsafe { mask_of(set) }?;
        // SAFETY: null or valid, says the caller.
        let deadline = unsafe { Deadline::within(worker, limit) }?;
        Some(wait_until(worker, wanted, &deadline, || {
            let none = timespec { tv_sec: 0, tv_nsec: 0 };
            let taken = behind_errno!(TIMED_WAIT, set, info, &raw const none);
            usize::try_from(taken).map_err(|_| error(errno::last()))
        }))
    })
    .flatten()
}

fn wait_until(
    worker: &Worker,
    wanted: shimmed::SignalSet,
    deadline: &Deadline,
    attempt: impl Fn() -> io::Result<usize>,
) -> io::Result<usize> {
    if worker.spend() {
        worker.yield_now().map_err(|cancelled| refuse(worker, cancelled))?;
    }
    // Made when it is needed. Where no descriptor is to be had, it is tried again and again.
    let mut pending = None;
    let mut pauses = Pauses::new();
    loop {
        match attempt() {
            Err(none) if none.raw_os_error() == Some(libc::EAGAIN) && !deadline.is_over(worker) => {}
            result => return result,
        }
        let stop = deadline.next_stop(worker, None);
        match pending.get_or_insert_with(|| shimmed::pending_signal(wanted)) {
            Ok(pending) => drop(wait(worker, pending.as_raw_fd(), Direction::Read, stop)?),
            Err(_) => drop(pauses.pause(worker, Reason::NextTry("sigtimedwait"), stop)?),
        }
    }
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn sigwait(set: *const sigset_t, signal: *mut c_int) -> c_int {
    count!(sigwait);
    let before = errno::last();
    let waited = loop {
        // SAFETY: the caller's promise.
        match unsafe { wait_on_green(set, ptr::null_mut(), ptr::null()) } {
            // Not to be told by this function.
            Some(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
            waited => break waited,
        }
    };
    match waited {
        None => behind!(WAIT, set, signal),
        Some(Err(error)) => super::wait::code(&error),
        Some(Ok(taken)) => {
            errno::set(before);
            // SAFETY: valid for a write, says the caller.
            unsafe { *signal = taken as c_int };
            0
        }
    }
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn sigwaitinfo(set: *const sigset_t, info: *mut siginfo_t) -> c_int {
    count!(sigwaitinfo);
    // SAFETY: the caller's promise.
    let waited = unsafe { wait_with_errno(set, info, ptr::null()) };
    waited.unwrap_or_else(|| behind_errno!(WAIT_INFO, set, info))
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn sigtimedwait(
    set: *const sigset_t,
    info: *mut siginfo_t,
    limit: *const timespec,
) -> c_int {
    count!(sigtimedwait);
    // SAFETY: the caller's promise.
    let waited = unsafe { wait_with_errno(set, info, limit) };
    waited.unwrap_or_else(|| behind_errno!(TIMED_WAIT, set, info, limit))
}

/// # Safety
///
/// As [`wait_on_green`].
unsafe fn wait_with_errno(
    set: *const sigset_t,
    info: *mut siginfo_t,
    limit: *const timespec,
) -> Option<c_int> {
    let before = errno::last();
    // SAFETY: the caller's promise.
    let waited = unsafe { wait_on_green(set, info, limit) }?;
    errno::set(before);
    Some(with_errno(|| waited) as c_int)
}

/// Waits until a handler has run of a signal that is not in `mask`; `None` if the OS thread is to be blocked for that.
fn suspend_on_green(mask: impl FnOnce() -> Option<shimmed::SignalSet>, what: Blocking) -> Option<c_int> {
    on_green(Group::Signal, |worker| {
        let mask = mask()?;
        if caught(!mask & !shimmed::blocked_signals()) != 0 {
            blocks(what);
            return None;
        }
        let suspended = with_errno(|| {
            wait_for_any(worker, None, Some(mask), |look| match look {
                Look::Try => {
                    let mut none = timespec { tv_sec: 0, tv_nsec: 0 };
                    // SAFETY: no entries, a valid time; of a mask the kernel reads what a `SignalSet` has.
                    unsafe { raw::ppoll(ptr::null_mut(), 0, &raw mut none, (&raw const mask).cast()) }
                }
                Look::Entries(_) => Ok(0),
            })
        });
        Some(suspended as c_int)
    })
    .flatten()
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn sigsuspend(mask: *const sigset_t) -> c_int {
    count!(sigsuspend);
    // SAFETY: null or valid, says the caller.
    let suspended = suspend_on_green(|| unsafe { mask_of(mask) }, Blocking::Sigsuspend);
    // SAFETY: the caller's promise.
    suspended.unwrap_or_else(|| answer(unsafe { shimmed::rt_sigsuspend(mask) }) as c_int)
}

#[unsafe(no_mangle)]
pub(super) extern "C" fn pause() -> c_int {
    count!(pause);
    let paused = suspend_on_green(|| Some(shimmed::blocked_signals()), Blocking::Pause);
    paused.unwrap_or_else(|| {
        // The system call of this name is not everywhere, and does no more than this one.
        // SAFETY: no entries, no time, no mask.
        answer(unsafe { raw::ppoll(ptr::null_mut(), 0, ptr::null_mut(), ptr::null()) }) as c_int
    })
}
