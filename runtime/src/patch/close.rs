//! The group `net`: closing, and what closes on the way: the number that `dup2` is to give.
//!
//! Whoever waits for a descriptor when it is closed is woken and told `EBADF`, though its number may stand for something else by
//! then. That holds for the green threads of the runtime whose OS thread closes; a close on any other is not seen, as the
//! kernel, too, leaves a blocked call alone when another OS thread closes its descriptor.

use super::report::count;
use super::wait::with_errno;
use super::{Group, is_any_active, original};
use crate::reactor::number_close;
use crate::scheduler::{Worker, with_worker};
use crate::sys::{errno, raw, shimmed};
use core::ops::RangeInclusive;
use libc::{c_int, c_uint};
use std::os::fd::RawFd;

/// The groups whose calls wait for descriptors.
const GROUPS: u32 = Group::Net.bit() | Group::Poll.bit() | Group::Pipe.bit();

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn close(fd: c_int) -> c_int {
    count!(close);
    // SAFETY: the caller's promise.
    closing(fd..=fd, || unsafe { original::close(fd) })
}

#[unsafe(no_mangle)]
pub(super) extern "C" fn dup2(old: c_int, new: c_int) -> c_int {
    count!(dup2);
    replacing(old, new, || original::dup2(old, new))
}

#[unsafe(no_mangle)]
pub(super) extern "C" fn dup3(old: c_int, new: c_int, flags: c_int) -> c_int {
    count!(dup3);
    replacing(old, new, || original::dup3(old, new, flags))
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn close_range(first: c_uint, last: c_uint, flags: c_int) -> c_int {
    count!(close_range);
    let call = || with_errno(|| shimmed::close_range(first, last, flags.cast_unsigned())) as c_int;
    // With the flag nothing is closed now.
    if flags.cast_unsigned() & libc::CLOSE_RANGE_CLOEXEC != 0 || first > last {
        return call();
    }
    let number = |fd| RawFd::try_from(fd).unwrap_or(RawFd::MAX);
    closing(number(first)..=number(last), call)
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn closefrom(first: c_int) {
    count!(closefrom);
    let first = first.max(0);
    // SAFETY: the caller's promise.
    closing(first..=RawFd::MAX, || unsafe { original::closefrom(first) });
}

/// Runs `call`, which closes `fds`. Who waits for one of them on this worker is woken before, those of other workers after it. Also off a
/// green thread, when this OS thread drives the runtime whose green threads wait.
fn closing<T>(fds: RangeInclusive<RawFd>, call: impl FnOnce() -> T) -> T {
    let close =
        if is_any_active(GROUPS) { with_worker(|worker| worker.map(|w| before(w, &fds))) } else { None };
    let result = call();
    if let Some(close) = close {
        with_worker(|worker| worker.map(|worker| after(worker, &fds, close)));
    }
    result
}

fn before(worker: &Worker, fds: &RangeInclusive<RawFd>) -> u64 {
    let close = number_close();
    worker.crew().before_close(worker.remote().index(), fds);
    worker.reactor().closing_borrowed(fds.clone(), close);
    close
}

fn after(worker: &Worker, fds: &RangeInclusive<RawFd>, close: u64) {
    let code = errno::last();
    worker.crew().after_close(worker.remote().index(), fds, close);
    errno::set(code);
}

/// Runs `call`, which makes `new` a duplicate of `old`.
fn replacing(old: RawFd, new: RawFd, call: impl FnOnce() -> c_int) -> c_int {
    // If there is nothing to duplicate, nothing is closed.
    if old != new && is_any_active(GROUPS) && raw::fcntl_flags(old).is_ok() {
        closing(new..=new, call)
    } else {
        call()
    }
}
