//! The group `net`: closing, and what closes on the way: the number that `dup2` is to give.
//!
//! Whoever waits for a descriptor when it is closed is woken and told `EBADF`, though its number may stand for something else by
//! then. That holds for the green threads of the OS thread that closes; a close on another OS thread is not seen, as the
//! kernel, too, leaves a blocked call alone when another OS thread closes its descriptor.

use super::wait::with_errno;
use super::{Group, is_any_active, original};
use crate::scheduler::{Worker, with_worker};
use crate::sys::raw;
use crate::sys::shimmed;
use libc::{c_int, c_uint};
use std::os::fd::RawFd;

/// The groups whose calls wait for descriptors.
const GROUPS: u32 = Group::Net.bit() | Group::Poll.bit() | Group::Pipe.bit();

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn close(fd: c_int) -> c_int {
    before_closing(|worker| worker.reactor().closing_borrowed(fd));
    // SAFETY: the caller's promise.
    unsafe { original::close(fd) }
}

#[unsafe(no_mangle)]
pub(super) extern "C" fn dup2(old: c_int, new: c_int) -> c_int {
    before_replacing(old, new);
    original::dup2(old, new)
}

#[unsafe(no_mangle)]
pub(super) extern "C" fn dup3(old: c_int, new: c_int, flags: c_int) -> c_int {
    before_replacing(old, new);
    original::dup3(old, new, flags)
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn close_range(first: c_uint, last: c_uint, flags: c_int) -> c_int {
    // With the flag nothing is closed now.
    if flags.cast_unsigned() & libc::CLOSE_RANGE_CLOEXEC == 0 && first <= last {
        let from = RawFd::try_from(first).unwrap_or(RawFd::MAX);
        let to = RawFd::try_from(last).unwrap_or(RawFd::MAX);
        before_closing(|worker| worker.reactor().closing_all_borrowed(from..=to));
    }
    with_errno(|| shimmed::close_range(first, last, flags.cast_unsigned())) as c_int
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn closefrom(first: c_int) {
    let first = first.max(0);
    before_closing(|worker| worker.reactor().closing_all_borrowed(first..=RawFd::MAX));
    // SAFETY: the caller's promise.
    unsafe { original::closefrom(first) }
}

/// Also off a green thread, when this OS thread drives the runtime whose green threads wait.
fn before_closing(tell: impl FnOnce(&Worker)) {
    if is_any_active(GROUPS) {
        with_worker(|worker| {
            if let Some(worker) = worker {
                tell(worker);
            }
        });
    }
}

fn before_replacing(old: RawFd, new: RawFd) {
    if old != new {
        before_closing(|worker| {
            // If there is nothing to duplicate, nothing is closed.
            if raw::fcntl_flags(old).is_ok() {
                worker.reactor().closing_borrowed(new);
            }
        });
    }
}
