//! `read`, `write` and their kin, which take any descriptor: tried as a receive or a send first, and on what is no socket
//! (`ENOTSOCK`) as what it is.

use super::connect::polls;
use super::report::{Blocking, blocks, count, on_patched_green_thread};
use super::transfer::{send_message, total, transfer};
use super::wait::{checkpoint, error, is_nonblocking, on_descriptor_of};
use super::{Group, is_active, is_any_active, original, pipe};
use crate::scheduler::Worker;
use crate::sys::event::Direction;
use crate::sys::raw;
use core::ptr;
use core::slice;
use libc::{c_int, c_void, iovec, msghdr, size_t, ssize_t};
use std::io;
use std::os::fd::RawFd;

/// The groups with any of which these calls are patched.
const GROUPS: u32 = Group::Net.bit() | Group::Pipe.bit() | Group::File.bit();

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn read(fd: c_int, buf: *mut c_void, len: size_t) -> ssize_t {
    count!(read);
    if fd <= libc::STDERR_FILENO {
        note_standard_stream(fd);
    }
    // A read of nothing never waits, unlike a receive.
    if len == 0 {
        // SAFETY: the caller's promise.
        return unsafe { original::read(fd, buf, len) };
    }
    let received = on_descriptor_of(GROUPS, fd, |worker| {
        let received = as_socket(worker, fd, || {
            transfer(
                worker,
                fd,
                Direction::Read,
                0,
                || 0,
                |_, flags| {
                    // SAFETY: the caller's promise; no address is asked for.
                    unsafe { raw::recvfrom(fd, buf, len, flags, ptr::null_mut(), ptr::null_mut()) }
                },
            )
        });
        or_no_socket(received, || {
            let part = iovec { iov_base: buf, iov_len: len };
            // SAFETY: one part, valid for a write, says the caller.
            unsafe { pipe::read(worker, fd, &raw const part, 1) }
        })
    });
    // SAFETY: the caller's promise.
    received.unwrap_or_else(|| unsafe { original::read(fd, buf, len) })
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn readv(fd: c_int, parts: *const iovec, count: c_int) -> ssize_t {
    count!(readv);
    if fd <= libc::STDERR_FILENO {
        note_standard_stream(fd);
    }
    // SAFETY: the caller's promise.
    let Some(message) = (unsafe { message_of(parts, count) }) else {
        // SAFETY: the caller's promise.
        return unsafe { original::readv(fd, parts, count) };
    };
    let received = on_descriptor_of(GROUPS, fd, |worker| {
        let mut message = message;
        let received = as_socket(worker, fd, || {
            transfer(
                worker,
                fd,
                Direction::Read,
                0,
                || 0,
                |_, flags| {
                    // SAFETY: the message is of the caller's parts, and nothing else.
                    unsafe { raw::recvmsg(fd, &raw mut message, flags) }
                },
            )
        });
        // SAFETY: the caller's promise.
        or_no_socket(received, || unsafe { pipe::read(worker, fd, parts, count) })
    });
    // SAFETY: the caller's promise.
    received.unwrap_or_else(|| unsafe { original::readv(fd, parts, count) })
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn write(fd: c_int, buf: *const c_void, len: size_t) -> ssize_t {
    count!(write);
    if len == 0 {
        // SAFETY: the caller's promise.
        return unsafe { original::write(fd, buf, len) };
    }
    let sent = on_descriptor_of(GROUPS, fd, |worker| {
        let sent = as_socket(worker, fd, || {
            transfer(
                worker,
                fd,
                Direction::Write,
                0,
                || len,
                |done, flags| {
                    // SAFETY: the caller's promise; `done` bytes of `len` have been sent.
                    unsafe { raw::sendto(fd, buf.wrapping_byte_add(done), len - done, flags, ptr::null(), 0) }
                },
            )
        });
        or_no_socket(sent, || {
            let part = iovec { iov_base: buf.cast_mut(), iov_len: len };
            // SAFETY: one part, valid for a read, says the caller.
            unsafe { pipe::write(worker, fd, &raw const part, 1) }
        })
    });
    // SAFETY: the caller's promise.
    sent.unwrap_or_else(|| unsafe { original::write(fd, buf, len) })
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn writev(fd: c_int, parts: *const iovec, count: c_int) -> ssize_t {
    count!(writev);
    // SAFETY: the caller's promise.
    let Some(message) = (unsafe { message_of(parts, count) }) else {
        // SAFETY: the caller's promise.
        return unsafe { original::writev(fd, parts, count) };
    };
    let sent = on_descriptor_of(GROUPS, fd, |worker| {
        // SAFETY: the message is of the caller's parts, and nothing else.
        let send = || unsafe { send_message(worker, fd, &raw const message, 0) };
        let sent = as_socket(worker, fd, send);
        // SAFETY: the caller's promise.
        or_no_socket(sent, || unsafe { pipe::write(worker, fd, parts, count) })
    });
    // SAFETY: the caller's promise.
    sent.unwrap_or_else(|| unsafe { original::writev(fd, parts, count) })
}

/// Notes a read of a standard stream that waits.
#[cold]
fn note_standard_stream(fd: RawFd) {
    let waits = || {
        polls(fd, libc::POLLIN).is_ok_and(|ready| !ready)
            && is_nonblocking(fd).is_ok_and(|is_nonblocking| !is_nonblocking)
    };
    if is_any_active(GROUPS) && on_patched_green_thread() && waits() {
        blocks(Blocking::StandardStream);
    }
}

/// The call as one on a socket, if those are patched.
#[inline]
fn as_socket(worker: &Worker, fd: RawFd, call: impl FnOnce() -> io::Result<usize>) -> io::Result<usize> {
    if is_active(Group::Net) {
        return call();
    }
    checkpoint(worker, fd)?;
    Err(error(libc::ENOTSOCK))
}

/// What `otherwise` makes of a descriptor that is no socket.
fn or_no_socket(
    result: io::Result<usize>,
    otherwise: impl FnOnce() -> io::Result<usize>,
) -> io::Result<usize> {
    match result {
        Err(error) if error.raw_os_error() == Some(libc::ENOTSOCK) => otherwise(),
        result => result,
    }
}

/// A message of nothing but these parts; `None` if there is nothing in them, or for the kernel to refuse.
///
/// # Safety
///
/// `parts` must be null or point at `count` entries.
unsafe fn message_of(parts: *const iovec, count: c_int) -> Option<msghdr> {
    // More than these are refused, but with another number than as a message.
    let is_valid = |count: &usize| (1..=libc::UIO_MAXIOV as usize).contains(count) && !parts.is_null();
    let count = usize::try_from(count).ok().filter(is_valid)?;
    // SAFETY: not null, so there are so many, says the caller.
    let slice = unsafe { slice::from_raw_parts(parts, count) };
    if total(slice) == 0 {
        return None;
    }
    // SAFETY: of numbers and pointers: all zero is an empty message.
    let mut message: msghdr = unsafe { core::mem::zeroed() };
    message.msg_iov = parts.cast_mut();
    message.msg_iovlen = count;
    Some(message)
}
