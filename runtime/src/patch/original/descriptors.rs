//! Descriptors themselves, files, and what moves data between them.

use super::super::wait::{answer, error};
use crate::sys::{raw, shimmed};
use core::ptr;
use libc::{c_int, c_uint, c_void, iovec, loff_t, mmsghdr, off_t, size_t, ssize_t, timespec};
use std::io;

/// As `recvmmsg(2)`.
///
/// # Safety
///
/// As there: `messages` must point at `count` valid messages; `timeout` must be null or valid.
pub unsafe fn recvmmsg(
    fd: c_int,
    messages: *mut mmsghdr,
    count: c_uint,
    flags: c_int,
    timeout: *mut timespec,
) -> c_int {
    // SAFETY: the caller's promise.
    answer(unsafe { shimmed::recvmmsg(fd, messages, count, flags, timeout) }) as c_int
}

/// As `sendmmsg(2)`.
///
/// # Safety
///
/// As there: `messages` must point at `count` valid messages.
pub unsafe fn sendmmsg(fd: c_int, messages: *mut mmsghdr, count: c_uint, flags: c_int) -> c_int {
    // SAFETY: the caller's promise.
    answer(unsafe { shimmed::sendmmsg(fd, messages, count, flags) }) as c_int
}

/// As `splice(2)`.
///
/// # Safety
///
/// As there: the offsets must each be null or valid.
pub unsafe fn splice(
    from: c_int,
    from_at: *mut loff_t,
    to: c_int,
    to_at: *mut loff_t,
    len: size_t,
    flags: c_uint,
) -> ssize_t {
    // SAFETY: the caller's promise.
    answer(unsafe { shimmed::splice(from, from_at, to, to_at, len, flags) })
}

/// As `dup2(2)`; wakes nobody.
pub fn dup2(old: c_int, new: c_int) -> c_int {
    if old == new {
        // Nothing is made; but it must be there.
        return answer(raw::fcntl_flags(old).map(|_| new as usize)) as c_int;
    }
    dup3(old, new, 0)
}

/// As `dup3(2)`; wakes nobody.
pub fn dup3(old: c_int, new: c_int, flags: c_int) -> c_int {
    answer(shimmed::dup3(old, new, flags)) as c_int
}

/// As `closefrom(3)`; wakes nobody.
///
/// # Safety
///
/// The descriptors must be the caller's to close.
pub unsafe fn closefrom(first: c_int) {
    if shimmed::close_range(first.max(0).cast_unsigned(), c_uint::MAX, 0).is_ok() {
        return;
    }
    // Before Linux 5.9: as many numbers as the process may use.
    // SAFETY: all zeroes are a valid `rlimit`.
    let mut limit: libc::rlimit = unsafe { core::mem::zeroed() };
    // SAFETY: `limit` is valid for a write.
    unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) };
    for fd in first.max(0)..c_int::try_from(limit.rlim_cur).unwrap_or(c_int::MAX) {
        // SAFETY: the caller's promise.
        let _ = unsafe { raw::close(fd) };
    }
}

/// As `preadv(2)`.
///
/// # Safety
///
/// As there: `parts` must point at `count` buffers, each valid for a write of its length.
pub unsafe fn preadv(fd: c_int, parts: *const iovec, count: c_int, at: off_t) -> ssize_t {
    // SAFETY: the caller's promise.
    answer(unsafe { preadv_raw(fd, parts, count, at) })
}

pub(in super::super) unsafe fn preadv_raw(
    fd: c_int,
    parts: *const iovec,
    count: c_int,
    at: off_t,
) -> io::Result<usize> {
    if at < 0 {
        return Err(error(libc::EINVAL));
    }
    // SAFETY: the caller's promise.
    unsafe { raw::preadv2(fd, parts, count, at, 0) }
}

/// As `pwritev(2)`.
///
/// # Safety
///
/// As there: `parts` must point at `count` buffers, each valid for a read of its length.
pub unsafe fn pwritev(fd: c_int, parts: *const iovec, count: c_int, at: off_t) -> ssize_t {
    // SAFETY: the caller's promise.
    answer(unsafe { pwritev_raw(fd, parts, count, at) })
}

pub(in super::super) unsafe fn pwritev_raw(
    fd: c_int,
    parts: *const iovec,
    count: c_int,
    at: off_t,
) -> io::Result<usize> {
    if at < 0 {
        return Err(error(libc::EINVAL));
    }
    // SAFETY: the caller's promise.
    unsafe { shimmed::pwritev2(fd, parts, count, at, 0) }
}

/// As `pread(2)`.
///
/// # Safety
///
/// As there: `buf` must be valid for a write of `len` bytes.
pub unsafe fn pread(fd: c_int, buf: *mut c_void, len: size_t, at: off_t) -> ssize_t {
    let part = iovec { iov_base: buf, iov_len: len };
    // SAFETY: one part, valid for a write, says the caller.
    unsafe { preadv(fd, ptr::from_ref(&part), 1, at) }
}

/// As `pwrite(2)`.
///
/// # Safety
///
/// As there: `buf` must be valid for a read of `len` bytes.
pub unsafe fn pwrite(fd: c_int, buf: *const c_void, len: size_t, at: off_t) -> ssize_t {
    let part = iovec { iov_base: buf.cast_mut(), iov_len: len };
    // SAFETY: one part, valid for a read, says the caller.
    unsafe { pwritev(fd, ptr::from_ref(&part), 1, at) }
}

/// As `fsync(2)`.
#[must_use]
pub fn fsync(fd: c_int) -> c_int {
    answer(shimmed::fsync(fd)) as c_int
}

/// As `fdatasync(2)`.
#[must_use]
pub fn fdatasync(fd: c_int) -> c_int {
    answer(shimmed::fdatasync(fd)) as c_int
}
