//! The group `file`: reading, writing and syncing regular files, on the offload pool.
//!
//! What is in the page cache is read in place (`RWF_NOWAIT`). A file's calls end soon, and their data goes into the caller's
//! memory: a kill or a deadline waits for their end.

use super::Group;
use super::original;
use super::pool::system_call_on_pool;
use super::read_write::{readv, writev};
use super::report::count;
use super::transfer::{rest, total};
use super::wait::{answer, on_descriptor_of};
use crate::scheduler::Worker;
use crate::sys::raw;
use crate::sys::shimmed::{self, POSITION, kind_of};
use core::slice;
use libc::{c_int, c_void, iovec, off_t, size_t, ssize_t};
use std::io;
use std::os::fd::RawFd;

/// Reads at `at`.
///
/// # Safety
///
/// `parts` must point at `count` buffers, each valid for a write of its length.
pub(super) unsafe fn read(
    worker: &Worker,
    fd: RawFd,
    parts: *const iovec,
    count: c_int,
    at: off_t,
) -> io::Result<usize> {
    // SAFETY: the caller's promise.
    let there = unsafe { raw::preadv2(fd, parts, count, at, libc::RWF_NOWAIT) };
    let Ok(done @ 1..) = there else {
        return match there {
            Ok(end) => Ok(end),
            // Not there yet, or not to be told; a bad call is refused once more.
            // SAFETY: the caller's promise, and its green thread waits.
            Err(_) => unsafe { system_call_on_pool(worker, || raw::preadv2(fd, parts, count, at, 0)) },
        };
    };
    // SAFETY: so many parts, since the kernel has read into them.
    let all = unsafe { slice::from_raw_parts(parts, count.unsigned_abs() as usize) };
    if done >= total(all) {
        return Ok(done);
    }
    // The end of the file, or of what is in memory: one part tells.
    let (iov_base, iov_len) = rest(all, done);
    let part = iovec { iov_base, iov_len };
    let next = if at == POSITION { at } else { at + done as off_t };
    // SAFETY: a part of the caller's.
    let more = match unsafe { raw::preadv2(fd, &raw const part, 1, next, libc::RWF_NOWAIT) } {
        Ok(more) => Ok(more),
        // SAFETY: as above, and its green thread waits.
        Err(_) => unsafe { system_call_on_pool(worker, || raw::preadv2(fd, &raw const part, 1, next, 0)) },
    };
    Ok(done + more.unwrap_or(0))
}

/// Writes at `at`.
///
/// # Safety
///
/// `parts` must point at `count` buffers, each valid for a read of its length.
pub(super) unsafe fn write(
    worker: &Worker,
    fd: RawFd,
    parts: *const iovec,
    count: c_int,
    at: off_t,
) -> io::Result<usize> {
    // SAFETY: the caller's promise, and its green thread waits.
    unsafe { system_call_on_pool(worker, || shimmed::pwritev2(fd, parts, count, at, 0)) }
}

fn is_file(fd: RawFd) -> bool {
    matches!(kind_of(fd), Ok(libc::S_IFREG | libc::S_IFBLK | libc::S_IFDIR))
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn pread(fd: c_int, buf: *mut c_void, len: size_t, at: off_t) -> ssize_t {
    count!(pread);
    let part = iovec { iov_base: buf, iov_len: len };
    // SAFETY: one part, valid for a write, says the caller.
    unsafe { preadv(fd, &raw const part, 1, at) }
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn pread64(fd: c_int, buf: *mut c_void, len: size_t, at: off_t) -> ssize_t {
    count!(pread64);
    // SAFETY: the caller's promise.
    unsafe { pread(fd, buf, len, at) }
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn pwrite(fd: c_int, buf: *const c_void, len: size_t, at: off_t) -> ssize_t {
    count!(pwrite);
    let part = iovec { iov_base: buf.cast_mut(), iov_len: len };
    // SAFETY: one part, valid for a read, says the caller.
    unsafe { pwritev(fd, &raw const part, 1, at) }
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn pwrite64(fd: c_int, buf: *const c_void, len: size_t, at: off_t) -> ssize_t {
    count!(pwrite64);
    // SAFETY: the caller's promise.
    unsafe { pwrite(fd, buf, len, at) }
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn preadv(fd: c_int, parts: *const iovec, count: c_int, at: off_t) -> ssize_t {
    count!(preadv);
    let done = on_descriptor_of(Group::File.bit(), fd, |worker| {
        if at < 0 || !is_file(fd) {
            // SAFETY: the caller's promise.
            return unsafe { original::preadv_raw(fd, parts, count, at) };
        }
        // SAFETY: the caller's promise.
        unsafe { read(worker, fd, parts, count, at) }
    });
    // SAFETY: the caller's promise.
    done.unwrap_or_else(|| unsafe { original::preadv(fd, parts, count, at) })
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn preadv64(fd: c_int, parts: *const iovec, count: c_int, at: off_t) -> ssize_t {
    count!(preadv64);
    // SAFETY: the caller's promise.
    unsafe { preadv(fd, parts, count, at) }
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn pwritev(fd: c_int, parts: *const iovec, count: c_int, at: off_t) -> ssize_t {
    count!(pwritev);
    let done = on_descriptor_of(Group::File.bit(), fd, |worker| {
        if at < 0 || !is_file(fd) {
            // SAFETY: the caller's promise.
            return unsafe { original::pwritev_raw(fd, parts, count, at) };
        }
        // SAFETY: the caller's promise.
        unsafe { write(worker, fd, parts, count, at) }
    });
    // SAFETY: the caller's promise.
    done.unwrap_or_else(|| unsafe { original::pwritev(fd, parts, count, at) })
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn pwritev64(
    fd: c_int,
    parts: *const iovec,
    count: c_int,
    at: off_t,
) -> ssize_t {
    count!(pwritev64);
    // SAFETY: the caller's promise.
    unsafe { pwritev(fd, parts, count, at) }
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn preadv2(
    fd: c_int,
    parts: *const iovec,
    count: c_int,
    at: off_t,
    flags: c_int,
) -> ssize_t {
    count!(preadv2);
    match flags {
        // SAFETY: the caller's promise.
        0 if at == POSITION => unsafe { readv(fd, parts, count) },
        // SAFETY: the caller's promise.
        0 => unsafe { preadv(fd, parts, count, at) },
        _ => {
            // SAFETY: the caller's promise.
            with_flags(fd, flags, || unsafe { raw::preadv2(fd, parts, count, at, flags) })
        }
    }
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn preadv64v2(
    fd: c_int,
    parts: *const iovec,
    count: c_int,
    at: off_t,
    flags: c_int,
) -> ssize_t {
    count!(preadv64v2);
    // SAFETY: the caller's promise.
    unsafe { preadv2(fd, parts, count, at, flags) }
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn pwritev2(
    fd: c_int,
    parts: *const iovec,
    count: c_int,
    at: off_t,
    flags: c_int,
) -> ssize_t {
    count!(pwritev2);
    match flags {
        // SAFETY: the caller's promise.
        0 if at == POSITION => unsafe { writev(fd, parts, count) },
        // SAFETY: the caller's promise.
        0 => unsafe { pwritev(fd, parts, count, at) },
        _ => {
            // SAFETY: the caller's promise.
            with_flags(fd, flags, || unsafe { shimmed::pwritev2(fd, parts, count, at, flags) })
        }
    }
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn pwritev64v2(
    fd: c_int,
    parts: *const iovec,
    count: c_int,
    at: off_t,
    flags: c_int,
) -> ssize_t {
    count!(pwritev64v2);
    // SAFETY: the caller's promise.
    unsafe { pwritev2(fd, parts, count, at, flags) }
}

/// A call with flags, which are about files.
fn with_flags(fd: RawFd, flags: c_int, call: impl Fn() -> io::Result<usize>) -> ssize_t {
    let done = if flags & libc::RWF_NOWAIT == 0 && is_file(fd) {
        // SAFETY: it uses the caller's memory, whose green thread waits.
        on_descriptor_of(Group::File.bit(), fd, |worker| unsafe { system_call_on_pool(worker, &call) })
    } else {
        None
    };
    done.unwrap_or_else(|| answer(call()))
}

#[unsafe(no_mangle)]
pub(super) extern "C" fn fsync(fd: c_int) -> c_int {
    count!(fsync);
    // SAFETY: refers to no memory.
    let synced = on_descriptor_of(Group::File.bit(), fd, |worker| unsafe {
        system_call_on_pool(worker, || shimmed::fsync(fd))
    });
    synced.map_or_else(|| original::fsync(fd), |synced| synced as c_int)
}

#[unsafe(no_mangle)]
pub(super) extern "C" fn fdatasync(fd: c_int) -> c_int {
    count!(fdatasync);
    // SAFETY: refers to no memory.
    let synced = on_descriptor_of(Group::File.bit(), fd, |worker| unsafe {
        system_call_on_pool(worker, || shimmed::fdatasync(fd))
    });
    synced.map_or_else(|| original::fdatasync(fd), |synced| synced as c_int)
}
