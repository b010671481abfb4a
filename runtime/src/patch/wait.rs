//! What all shims share: whether to act, how to wait, what to answer.
//!
//! # Invariants
//!
//! 1. Nothing unwinds out of a shim: its caller may be C. A cancelled wait becomes an error number; the kill or the deadline
//!    stays, and is raised by the next wait that is entered from Rust.
//! 2. Whoever is told to end lets the others run first, so that a caller that loops on the error does not keep the worker.
//! 3. `errno` belongs to the OS thread, not to the green thread: it is set after the last switch. A call that succeeds
//!    leaves it as it was.
//! 4. A call on a nonblocking descriptor never switches, which also keeps the usual signal handlers (a byte into a nonblocking
//!    socket) from switching wherever they have interrupted the worker.

use super::{Group, is_active, is_any_active};
use crate::clock::Instant;
use crate::limits;
use crate::park::{Cancelled, Reason, Wake};
use crate::scheduler::{Place, Worker, with_place};
use crate::sys::event::Direction;
use crate::sys::shimmed::kind_of;
use crate::sys::{errno, raw};
use core::time::Duration;
use libc::{c_int, c_long};
use std::io;
use std::os::fd::RawFd;

/// Runs `f` if the group is active and the call was made on a green thread, where that may switch.
#[inline]
pub(super) fn on_green<T>(group: Group, f: impl FnOnce(&Worker) -> T) -> Option<T> {
    on_green_of(group.bit(), f)
}

/// [`on_green`] for a call of several groups.
#[inline(always)]
fn on_green_of<T>(bits: u32, f: impl FnOnce(&Worker) -> T) -> Option<T> {
    if !is_any_active(bits) {
        return None;
    }
    with_place(|place| match place {
        Place::Green(worker) if worker.may_switch() => Some(f(worker)),
        Place::Green(_) | Place::Driver(_) | Place::OsThread => None,
    })
}

/// [`on_green`] for a call on a descriptor. Those that std locks around its calls, 0 to 2, never switch.
#[inline(always)]
pub(super) fn on_descriptor(
    fd: RawFd,
    f: impl FnOnce(&Worker) -> io::Result<usize>,
) -> Option<libc::ssize_t> {
    on_descriptor_of(Group::Net.bit(), fd, f)
}

/// [`on_descriptor`] for a call of these groups.
#[inline(always)]
pub(super) fn on_descriptor_of(
    bits: u32,
    fd: RawFd,
    f: impl FnOnce(&Worker) -> io::Result<usize>,
) -> Option<libc::ssize_t> {
    if fd <= libc::STDERR_FILENO { None } else { on_green_of(bits, |worker| with_errno(|| f(worker))) }
}

/// Whether a call on the socket `fd` is to be tried, on a green thread that need not yield before. [`on_descriptor`] in short, for the
/// calls that are made most, and mostly find what they want.
#[inline(always)]
pub(super) fn tries_at_once(fd: RawFd) -> bool {
    let tries = |place: Place<'_>| matches!(place, Place::Green(worker) if worker.try_spend());
    fd > libc::STDERR_FILENO && is_active(Group::Net) && with_place(tries)
}

/// What C is told of a call that was made for it.
#[inline(always)]
pub(super) fn with_errno(call: impl FnOnce() -> io::Result<usize>) -> libc::ssize_t {
    // A green thread stays on its OS thread, so this is its variable also after a switch.
    let place = errno::place();
    // SAFETY: valid as long as the OS thread lives, and nobody else's.
    let before = unsafe { *place };
    match call() {
        Ok(value) => {
            // SAFETY: as above.
            unsafe { *place = before };
            value.cast_signed()
        }
        Err(failed) => answer(Err(failed)),
    }
}

/// What C is told: the number, or -1 and `errno`.
#[inline]
pub(super) fn answer(result: io::Result<usize>) -> libc::ssize_t {
    match result {
        Ok(value) => value.cast_signed(),
        Err(error) => {
            errno::set(code(&error));
            -1
        }
    }
}

/// The error's number.
pub(super) fn code(error: &io::Error) -> c_int {
    // Each error here is a system call's.
    error.raw_os_error().unwrap_or(libc::EIO)
}

pub(super) fn error(code: c_int) -> io::Error {
    io::Error::from_raw_os_error(code)
}

/// Whether a try has said that the call would block. (`EWOULDBLOCK` is the same number on Linux.)
pub(super) fn would_block(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EAGAIN)
}

/// Waits until `fd` may be ready.
///
/// # Errors
///
/// `ECANCELED` or `ETIMEDOUT` when cancelled, `EBADF` when `fd` was closed, and what epoll says.
pub(super) fn wait(
    worker: &Worker,
    fd: RawFd,
    direction: Direction,
    until: Option<Instant>,
) -> io::Result<Wake> {
    let reason = Reason::Io(fd, direction);
    let outcome = worker.reactor().wait_borrowed(reason, fd, direction, until)?;
    outcome.map_err(|cancelled| refuse(worker, cancelled))
}

/// Turns a cancellation into an error, after the others have run.
pub(super) fn refuse(worker: &Worker, cancelled: Cancelled) -> io::Error {
    // Under a shield, and so not cancelled once more.
    let _ = limits::with_shield(|| worker.yield_now());
    error(match cancelled {
        Cancelled::Killed => libc::ECANCELED,
        Cancelled::Elapsed(_) => libc::ETIMEDOUT,
    })
}

/// Has a green thread yield whose calls on blocking descriptors have succeeded without waiting for a long time.
#[inline]
pub(super) fn checkpoint(worker: &Worker, fd: RawFd) -> io::Result<()> {
    if worker.spend() { yield_for(worker, fd) } else { Ok(()) }
}

#[cold]
fn yield_for(worker: &Worker, fd: RawFd) -> io::Result<()> {
    let group = match kind_of(fd)? {
        libc::S_IFSOCK => Group::Net,
        libc::S_IFREG | libc::S_IFDIR | libc::S_IFBLK => Group::File,
        _ => Group::Pipe,
    };
    if !is_active(group) || is_nonblocking(fd)? {
        return Ok(());
    }
    worker.yield_now().map_err(|cancelled| refuse(worker, cancelled))
}

pub(super) fn is_nonblocking(fd: RawFd) -> io::Result<bool> {
    Ok(raw::fcntl_flags(fd)?.cast_signed() & libc::O_NONBLOCK != 0)
}

/// Until when the owner of a blocking socket lets its calls wait; `None` for ever. `option` is `SO_RCVTIMEO` or
/// `SO_SNDTIMEO`.
///
/// # Errors
///
/// `EAGAIN` if the owner does not want to wait at all.
pub(super) fn patience(worker: &Worker, fd: RawFd, option: c_int) -> io::Result<Option<Instant>> {
    if is_nonblocking(fd)? {
        return Err(error(libc::EAGAIN));
    }
    time_limit(worker, fd, option)
}

/// Until when a socket's option lets calls wait; `None` for ever.
pub(super) fn time_limit(worker: &Worker, fd: RawFd, option: c_int) -> io::Result<Option<Instant>> {
    // A `timeval`.
    let [seconds, micros]: [c_long; 2] = raw::socket_option(fd, libc::SOL_SOCKET, option)?;
    let limit = Duration::from_secs(seconds.unsigned_abs()) + Duration::from_micros(micros.unsigned_abs());
    Ok(if limit.is_zero() { None } else { worker.now().checked_add(limit) })
}
