//! The functions that the shims stand in front of: what a call does without us, also on a green thread.
//!
//! Each makes the system call that libc's function of that name makes (or calls libc's, where there is none), blocks the OS thread
//! where that blocks, and answers with -1 and `errno` where that does. For callers that know what they do, a shim of their own for
//! instance.
//!
//! ```
//! let start = std::time::Instant::now();
//! let half = libc::timespec { tv_sec: 0, tv_nsec: 500_000 };
//! // SAFETY: the time is valid, and what is left of it is not asked for.
//! let result = unsafe { osier::patch::original::nanosleep(&half, std::ptr::null_mut()) };
//! assert_eq!(result, 0);
//! assert!(start.elapsed() >= std::time::Duration::from_micros(500));
//! ```

mod descriptors;
mod names;
mod waiting;

pub use self::descriptors::*;
pub use self::names::*;
pub use self::waiting::*;

use super::wait::{answer, code};
use crate::sys::{errno, raw};
use core::ptr;
use core::time::Duration;
use libc::{
    c_int, c_uint, c_void, clockid_t, iovec, msghdr, nfds_t, off_t, pollfd, sigset_t, size_t, sockaddr,
    socklen_t, ssize_t, timespec, useconds_t,
};

/// As `recv(2)`.
///
/// # Safety
///
/// As there: `buf` must be valid for a write of `len` bytes.
pub unsafe fn recv(fd: c_int, buf: *mut c_void, len: size_t, flags: c_int) -> ssize_t {
    // SAFETY: the caller's promise; no address is asked for.
    answer(unsafe { raw::recvfrom(fd, buf, len, flags, ptr::null_mut(), ptr::null_mut()) })
}

/// As `recvfrom(2)`.
///
/// # Safety
///
/// As there: `buf` must be valid for a write of `len` bytes; `addr` null, or valid for a write of `*addr_len` bytes.
pub unsafe fn recvfrom(
    fd: c_int,
    buf: *mut c_void,
    len: size_t,
    flags: c_int,
    addr: *mut sockaddr,
    addr_len: *mut socklen_t,
) -> ssize_t {
    // SAFETY: the caller's promise.
    answer(unsafe { raw::recvfrom(fd, buf, len, flags, addr, addr_len) })
}

/// As `recvmsg(2)`.
///
/// # Safety
///
/// As there: `message` must be valid, and what it points at valid for writes.
pub unsafe fn recvmsg(fd: c_int, message: *mut msghdr, flags: c_int) -> ssize_t {
    // SAFETY: the caller's promise.
    answer(unsafe { raw::recvmsg(fd, message, flags) })
}

/// As `send(2)`.
///
/// # Safety
///
/// As there: `buf` must be valid for a read of `len` bytes.
pub unsafe fn send(fd: c_int, buf: *const c_void, len: size_t, flags: c_int) -> ssize_t {
    // SAFETY: the caller's promise; no address is given.
    answer(unsafe { raw::sendto(fd, buf, len, flags, ptr::null(), 0) })
}

/// As `sendto(2)`.
///
/// # Safety
///
/// As there: `buf` must be valid for a read of `len` bytes; `addr` null, or valid for a read of `addr_len` bytes.
pub unsafe fn sendto(
    fd: c_int,
    buf: *const c_void,
    len: size_t,
    flags: c_int,
    addr: *const sockaddr,
    addr_len: socklen_t,
) -> ssize_t {
    // SAFETY: the caller's promise.
    answer(unsafe { raw::sendto(fd, buf, len, flags, addr, addr_len) })
}

/// As `sendmsg(2)`.
///
/// # Safety
///
/// As there: `message` must be valid, and what it points at valid for reads.
pub unsafe fn sendmsg(fd: c_int, message: *const msghdr, flags: c_int) -> ssize_t {
    // SAFETY: the caller's promise.
    answer(unsafe { raw::sendmsg(fd, message, flags) })
}

/// As `read(2)`.
///
/// # Safety
///
/// As there: `buf` must be valid for a write of `len` bytes.
pub unsafe fn read(fd: c_int, buf: *mut c_void, len: size_t) -> ssize_t {
    // SAFETY: the caller's promise.
    answer(unsafe { raw::read(fd, buf, len) })
}

/// As `readv(2)`.
///
/// # Safety
///
/// As there: `parts` must point at `count` buffers, each valid for a write of its length.
pub unsafe fn readv(fd: c_int, parts: *const iovec, count: c_int) -> ssize_t {
    // SAFETY: the caller's promise.
    answer(unsafe { raw::readv(fd, parts, count) })
}

/// As `write(2)`.
///
/// # Safety
///
/// As there: `buf` must be valid for a read of `len` bytes.
pub unsafe fn write(fd: c_int, buf: *const c_void, len: size_t) -> ssize_t {
    // SAFETY: the caller's promise.
    answer(unsafe { raw::write(fd, buf, len) })
}

/// As `writev(2)`.
///
/// # Safety
///
/// As there: `parts` must point at `count` buffers, each valid for a read of its length.
pub unsafe fn writev(fd: c_int, parts: *const iovec, count: c_int) -> ssize_t {
    // SAFETY: the caller's promise.
    answer(unsafe { raw::writev(fd, parts, count) })
}

/// As `sendfile(2)`.
///
/// # Safety
///
/// As there: `offset` must be null or valid.
pub unsafe fn sendfile(out: c_int, file: c_int, offset: *mut off_t, count: size_t) -> ssize_t {
    // SAFETY: the caller's promise.
    answer(unsafe { raw::sendfile(out, file, offset, count) })
}

/// As `accept(2)`.
///
/// # Safety
///
/// As there: `addr` must be null, or valid for a write of `*addr_len` bytes.
pub unsafe fn accept(fd: c_int, addr: *mut sockaddr, addr_len: *mut socklen_t) -> c_int {
    // SAFETY: the caller's promise.
    unsafe { accept4(fd, addr, addr_len, 0) }
}

/// As `accept4(2)`.
///
/// # Safety
///
/// As there: `addr` must be null, or valid for a write of `*addr_len` bytes.
pub unsafe fn accept4(fd: c_int, addr: *mut sockaddr, addr_len: *mut socklen_t, flags: c_int) -> c_int {
    // SAFETY: the caller's promise.
    let result = unsafe { raw::accept4(fd, addr, addr_len, flags) };
    answer(result.map(|fd| fd as usize)) as c_int
}

/// As `connect(2)`.
///
/// # Safety
///
/// As there: `addr` must be valid for a read of `addr_len` bytes.
pub unsafe fn connect(fd: c_int, addr: *const sockaddr, addr_len: socklen_t) -> c_int {
    // SAFETY: the caller's promise.
    let result = unsafe { raw::connect(fd, addr, addr_len) };
    answer(result.map(|()| 0)) as c_int
}

/// As `close(2)`; wakes nobody.
///
/// # Safety
///
/// `fd` must be the caller's to close.
pub unsafe fn close(fd: c_int) -> c_int {
    // SAFETY: the caller's promise.
    let result = unsafe { raw::close(fd) };
    answer(result.map(|()| 0)) as c_int
}

/// As `poll(2)`.
///
/// # Safety
///
/// As there: `entries` must point at `count` entries.
pub unsafe fn poll(entries: *mut pollfd, count: nfds_t, timeout: c_int) -> c_int {
    let limit = u64::try_from(timeout).ok().map(|millis| timespec_of(Duration::from_millis(millis)));
    let limit = limit.as_ref().map_or(ptr::null(), ptr::from_ref);
    // SAFETY: the caller's promise; the time is null or valid, and there is no mask.
    unsafe { ppoll(entries, count, limit, ptr::null()) }
}

/// As `ppoll(2)`.
///
/// # Safety
///
/// As there: `entries` must point at `count` entries; `limit` and `mask` each null or valid.
pub unsafe fn ppoll(
    entries: *mut pollfd,
    count: nfds_t,
    limit: *const timespec,
    mask: *const sigset_t,
) -> c_int {
    // The system call writes what is left of the time; the function does not.
    // SAFETY: null or valid, says the caller.
    let mut limit = unsafe { limit.as_ref() }.copied();
    let limit = limit.as_mut().map_or(ptr::null_mut(), ptr::from_mut);
    // SAFETY: the caller's promise; `limit` is null or valid.
    answer(unsafe { raw::ppoll(entries, count, limit, mask) }) as c_int
}

/// As `nanosleep(2)`.
///
/// # Safety
///
/// As there: `time` must be valid, `left` null or valid for a write.
pub unsafe fn nanosleep(time: *const timespec, left: *mut timespec) -> c_int {
    // As libc does; Linux sleeps on the monotonic clock for either.
    // SAFETY: the caller's promise.
    match unsafe { clock_nanosleep(libc::CLOCK_REALTIME, 0, time, left) } {
        0 => 0,
        code => {
            errno::set(code);
            -1
        }
    }
}

/// As `clock_nanosleep(2)`: gives 0 or the error's number.
///
/// # Safety
///
/// As there: `time` must be valid, `left` null or valid for a write.
pub unsafe fn clock_nanosleep(
    clock: clockid_t,
    flags: c_int,
    time: *const timespec,
    left: *mut timespec,
) -> c_int {
    let before = errno::last();
    // SAFETY: the caller's promise.
    let result = unsafe { raw::clock_nanosleep(clock, flags, time, left) };
    errno::set(before);
    result.map_or_else(|error| code(&error), |()| 0)
}

/// As `usleep(3)`.
pub fn usleep(micros: useconds_t) -> c_int {
    let time = timespec_of(Duration::from_micros(micros.into()));
    // SAFETY: the time is valid, and what is left is not asked for.
    unsafe { nanosleep(&time, ptr::null_mut()) }
}

/// As `sleep(3)`: gives the seconds that are left when a signal has ended it.
pub fn sleep(seconds: c_uint) -> c_uint {
    let mut time = timespec_of(Duration::from_secs(seconds.into()));
    let left = &raw mut time;
    // SAFETY: the kernel reads the time before it writes what is left of it.
    if unsafe { nanosleep(left, left) } == 0 { 0 } else { time.tv_sec as c_uint }
}

/// As `sched_yield(2)`.
pub fn sched_yield() -> c_int {
    answer(raw::sched_yield().map(|()| 0)) as c_int
}

pub(super) fn timespec_of(duration: Duration) -> timespec {
    timespec {
        tv_sec: libc::time_t::try_from(duration.as_secs()).unwrap_or(libc::time_t::MAX),
        tv_nsec: duration.subsec_nanos().into(),
    }
}
