//! The names under which C that was compiled with `_FORTIFY_SOURCE` calls some of these functions: with the size of a buffer
//! whose limits the compiler knows. libraries of distributions call them so.

use super::file::{pread, pread64};
use super::open::{open, open64, openat, openat64};
use super::poll::{poll, ppoll};
use super::read_write::read;
use super::report::count;
use super::transfer::{recv, recvfrom};
use libc::{
    c_char, c_int, c_void, nfds_t, off_t, pollfd, sigset_t, size_t, sockaddr, socklen_t, ssize_t, timespec,
};

unsafe extern "C" {
    /// Ends the process with a report, as libc does when a buffer is too small.
    #[link_name = "__chk_fail"]
    safe fn overflow() -> !;
}

/// `needed` bytes must fit into so many.
fn check(needed: usize, size: size_t) {
    if needed > size {
        overflow();
    }
}

/// The entries must fit into so many bytes.
fn check_entries(count: nfds_t, size: size_t) {
    if size / size_of::<pollfd>() < count as usize {
        overflow();
    }
}

/// Flags that say that a mode follows must not come without one.
fn check_flags(flags: c_int) {
    if flags & libc::O_CREAT != 0 || flags & libc::O_TMPFILE == libc::O_TMPFILE {
        overflow();
    }
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn __read_chk(
    fd: c_int,
    buf: *mut c_void,
    len: size_t,
    size: size_t,
) -> ssize_t {
    count!(__read_chk);
    check(len, size);
    // SAFETY: the caller's promise.
    unsafe { read(fd, buf, len) }
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn __recv_chk(
    fd: c_int,
    buf: *mut c_void,
    len: size_t,
    size: size_t,
    flags: c_int,
) -> ssize_t {
    count!(__recv_chk);
    check(len, size);
    // SAFETY: the caller's promise.
    unsafe { recv(fd, buf, len, flags) }
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn __recvfrom_chk(
    fd: c_int,
    buf: *mut c_void,
    len: size_t,
    size: size_t,
    flags: c_int,
    addr: *mut sockaddr,
    addr_len: *mut socklen_t,
) -> ssize_t {
    count!(__recvfrom_chk);
    check(len, size);
    // SAFETY: the caller's promise.
    unsafe { recvfrom(fd, buf, len, flags, addr, addr_len) }
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn __pread_chk(
    fd: c_int,
    buf: *mut c_void,
    len: size_t,
    at: off_t,
    size: size_t,
) -> ssize_t {
    count!(__pread_chk);
    check(len, size);
    // SAFETY: the caller's promise.
    unsafe { pread(fd, buf, len, at) }
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn __pread64_chk(
    fd: c_int,
    buf: *mut c_void,
    len: size_t,
    at: off_t,
    size: size_t,
) -> ssize_t {
    count!(__pread64_chk);
    check(len, size);
    // SAFETY: the caller's promise.
    unsafe { pread64(fd, buf, len, at) }
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn __poll_chk(
    entries: *mut pollfd,
    count: nfds_t,
    timeout: c_int,
    size: size_t,
) -> c_int {
    count!(__poll_chk);
    check_entries(count, size);
    // SAFETY: the caller's promise.
    unsafe { poll(entries, count, timeout) }
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn __ppoll_chk(
    entries: *mut pollfd,
    count: nfds_t,
    limit: *const timespec,
    mask: *const sigset_t,
    size: size_t,
) -> c_int {
    count!(__ppoll_chk);
    check_entries(count, size);
    // SAFETY: the caller's promise.
    unsafe { ppoll(entries, count, limit, mask) }
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn __open_2(path: *const c_char, flags: c_int) -> c_int {
    count!(__open_2);
    check_flags(flags);
    // SAFETY: the caller's promise.
    unsafe { open(path, flags, 0) }
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn __open64_2(path: *const c_char, flags: c_int) -> c_int {
    count!(__open64_2);
    check_flags(flags);
    // SAFETY: the caller's promise.
    unsafe { open64(path, flags, 0) }
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn __openat_2(directory: c_int, path: *const c_char, flags: c_int) -> c_int {
    count!(__openat_2);
    check_flags(flags);
    // SAFETY: the caller's promise.
    unsafe { openat(directory, path, flags, 0) }
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn __openat64_2(directory: c_int, path: *const c_char, flags: c_int) -> c_int {
    count!(__openat64_2);
    check_flags(flags);
    // SAFETY: the caller's promise.
    unsafe { openat64(directory, path, flags, 0) }
}
