//! The blocking system calls on descriptors, made directly.
//!
//! The feature `patch` defines libc's symbols of these names in the executable, and would answer the crate's own calls
//! with a second wait. So the crate, and the shims themselves once they have decided to make the real call, come here. Each
//! function is exactly one system call: `EINTR` and `EAGAIN` are handed to the caller.

use super::system_call::syscall;
use libc::{c_int, c_uint, c_void, iovec, msghdr, sockaddr, socklen_t};
use std::io;
use std::os::fd::RawFd;

/// The result of a call that says -1 for "see errno".
#[inline]
pub(super) fn check(result: libc::c_long) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}

/// # Safety
///
/// `buf` must be valid for a write of `len` bytes.
pub(crate) unsafe fn read(fd: RawFd, buf: *mut c_void, len: usize) -> io::Result<usize> {
    // SAFETY: the caller's promise.
    let result = unsafe { syscall(libc::SYS_read, fd, buf, len) };
    check(result)
}

/// # Safety
///
/// `buf` must be valid for a read of `len` bytes.
pub(crate) unsafe fn write(fd: RawFd, buf: *const c_void, len: usize) -> io::Result<usize> {
    // SAFETY: the caller's promise.
    let result = unsafe { syscall(libc::SYS_write, fd, buf, len) };
    check(result)
}

/// # Safety
///
/// `parts` must point at `count` buffers, each valid for a write of its length.
pub(crate) unsafe fn readv(fd: RawFd, parts: *const iovec, count: c_int) -> io::Result<usize> {
    // SAFETY: the caller's promise.
    let result = unsafe { syscall(libc::SYS_readv, fd, parts, count) };
    check(result)
}

/// # Safety
///
/// `parts` must point at `count` buffers, each valid for a write of its length.
pub(crate) unsafe fn preadv2(
    fd: RawFd,
    parts: *const iovec,
    count: c_int,
    at: libc::off_t,
    flags: c_int,
) -> io::Result<usize> {
    // SAFETY: the caller's promise. The upper half of the offset counts only where a register has 32 bits.
    let result = unsafe { syscall(libc::SYS_preadv2, fd, parts, count, at, 0_usize, flags) };
    check(result)
}

/// # Safety
///
/// `parts` must point at `count` buffers, each valid for a read of its length.
pub(crate) unsafe fn writev(fd: RawFd, parts: *const iovec, count: c_int) -> io::Result<usize> {
    // SAFETY: the caller's promise.
    let result = unsafe { syscall(libc::SYS_writev, fd, parts, count) };
    check(result)
}

/// # Safety
///
/// `buf` must be valid for a write of `len` bytes; `addr` null, or valid for a write of `*addr_len` bytes.
pub(crate) unsafe fn recvfrom(
    fd: RawFd,
    buf: *mut c_void,
    len: usize,
    flags: c_int,
    addr: *mut sockaddr,
    addr_len: *mut socklen_t,
) -> io::Result<usize> {
    // SAFETY: the caller's promise.
    let result = unsafe { syscall(libc::SYS_recvfrom, fd, buf, len, flags, addr, addr_len) };
    check(result)
}

/// # Safety
///
/// `buf` must be valid for a read of `len` bytes; `addr` null, or valid for a read of `addr_len` bytes.
pub(crate) unsafe fn sendto(
    fd: RawFd,
    buf: *const c_void,
    len: usize,
    flags: c_int,
    addr: *const sockaddr,
    addr_len: socklen_t,
) -> io::Result<usize> {
    // SAFETY: the caller's promise.
    let result = unsafe { syscall(libc::SYS_sendto, fd, buf, len, flags, addr, addr_len) };
    check(result)
}

/// # Safety
///
/// `message` must be valid, and what it points at valid for writes.
pub(crate) unsafe fn recvmsg(fd: RawFd, message: *mut msghdr, flags: c_int) -> io::Result<usize> {
    // SAFETY: the caller's promise.
    let result = unsafe { syscall(libc::SYS_recvmsg, fd, message, flags) };
    check(result)
}

/// # Safety
///
/// `message` must be valid, and what it points at valid for reads.
pub(crate) unsafe fn sendmsg(fd: RawFd, message: *const msghdr, flags: c_int) -> io::Result<usize> {
    // SAFETY: the caller's promise.
    let result = unsafe { syscall(libc::SYS_sendmsg, fd, message, flags) };
    check(result)
}

/// # Safety
///
/// `addr` must be null, or valid for a write of `*addr_len` bytes.
pub(crate) unsafe fn accept4(
    fd: RawFd,
    addr: *mut sockaddr,
    addr_len: *mut socklen_t,
    flags: c_int,
) -> io::Result<RawFd> {
    // SAFETY: the caller's promise.
    let result = unsafe { syscall(libc::SYS_accept4, fd, addr, addr_len, flags) };
    check(result).map(|fd| fd as RawFd)
}

/// # Safety
///
/// `addr` must be valid for a read of `addr_len` bytes.
pub(crate) unsafe fn connect(fd: RawFd, addr: *const sockaddr, addr_len: socklen_t) -> io::Result<()> {
    // SAFETY: the caller's promise.
    let result = unsafe { syscall(libc::SYS_connect, fd, addr, addr_len) };
    check(result).map(drop)
}

/// # Safety
///
/// `fd` must be the caller's to close. It is gone even if this fails.
pub(crate) unsafe fn close(fd: RawFd) -> io::Result<()> {
    // SAFETY: the caller's promise.
    let result = unsafe { syscall(libc::SYS_close, fd) };
    check(result).map(drop)
}

/// # Safety
///
/// `entries` must point at `count` entries; `timeout` and `mask` each null or valid. The kernel writes what is left of the time
/// into `timeout`.
pub(crate) unsafe fn ppoll(
    entries: *mut libc::pollfd,
    count: libc::nfds_t,
    timeout: *mut libc::timespec,
    mask: *const libc::sigset_t,
) -> io::Result<usize> {
    // The kernel's own signal set has 64 bits.
    // SAFETY: the caller's promise.
    let result = unsafe { syscall(libc::SYS_ppoll, entries, count, timeout, mask, 8_usize) };
    check(result)
}

/// Lets other OS threads run first.
pub(crate) fn sched_yield() -> io::Result<()> {
    // SAFETY: no arguments.
    let result = unsafe { syscall(libc::SYS_sched_yield) };
    check(result).map(drop)
}

pub(crate) fn fcntl_flags(fd: RawFd) -> io::Result<c_uint> {
    // SAFETY: no pointers.
    let result = unsafe { syscall(libc::SYS_fcntl, fd, libc::F_GETFL) };
    check(result).map(|flags| flags as c_uint)
}

/// Turns `O_NONBLOCK` on or off and touches no other flag, in one step.
pub(crate) fn set_nonblocking(fd: RawFd, nonblocking: bool) -> io::Result<()> {
    let on = c_int::from(nonblocking);
    // SAFETY: `on` is valid for a read.
    let result = unsafe { syscall(libc::SYS_ioctl, fd, libc::FIONBIO, &raw const on) };
    check(result).map(drop)
}

/// How many bytes have come that nobody has read.
#[cfg(feature = "patch")]
pub(crate) fn unread(fd: RawFd) -> io::Result<c_int> {
    let mut count: c_int = 0;
    // SAFETY: `count` is valid for a write.
    let result = unsafe { syscall(libc::SYS_ioctl, fd, libc::FIONREAD, &raw mut count) };
    check(result).map(|_| count)
}

/// The value of a socket option. `T` must be what the option is defined as, or shorter.
pub(crate) fn socket_option<T: Copy + Default>(fd: RawFd, level: c_int, name: c_int) -> io::Result<T> {
    let mut value = T::default();
    let mut len = size_of::<T>() as socklen_t;
    // SAFETY: `value` is valid for a write of `len` bytes.
    let result = unsafe { syscall(libc::SYS_getsockopt, fd, level, name, &raw mut value, &raw mut len) };
    check(result).map(|_| value)
}

/// # Safety
///
/// `request` must be valid for a read, `left` null or valid for a write.
pub(crate) unsafe fn clock_nanosleep(
    clock: libc::clockid_t,
    flags: c_int,
    request: *const libc::timespec,
    left: *mut libc::timespec,
) -> io::Result<()> {
    // SAFETY: the caller's promise.
    let result = unsafe { syscall(libc::SYS_clock_nanosleep, clock, flags, request, left) };
    check(result).map(drop)
}

/// # Safety
///
/// `offset` must be null or valid.
pub(crate) unsafe fn sendfile(
    out: RawFd,
    file: RawFd,
    offset: *mut libc::off_t,
    count: usize,
) -> io::Result<usize> {
    // SAFETY: the caller's promise.
    let result = unsafe { syscall(libc::SYS_sendfile, out, file, offset, count) };
    check(result)
}

pub(crate) fn pread(file: RawFd, buf: &mut [u8], at: libc::off_t) -> io::Result<usize> {
    // SAFETY: `buf` is valid for a write of its length.
    let result = unsafe { syscall(libc::SYS_pread64, file, buf.as_mut_ptr(), buf.len(), at) };
    check(result)
}

pub(crate) fn seek(file: RawFd, offset: libc::off_t, whence: c_int) -> io::Result<libc::off_t> {
    // SAFETY: no pointers.
    let result = unsafe { syscall(libc::SYS_lseek, file, offset, whence) };
    check(result).map(|position| position as libc::off_t)
}
