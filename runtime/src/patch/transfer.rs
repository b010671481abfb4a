//! The group `net`: sending and receiving.
//!
//! A call is tried with `MSG_DONTWAIT`, which is a flag of the call and not of the socket.
//!
//! A blocking send on a stream returns when all was sent, not when something was, and C code relies on it; so does a
//! receive with `MSG_WAITALL`. Such a call goes on after a short transfer. An error that comes after the first bytes is left for the
//! next call to find, as the kernel does it. That a connection was reset is told once: so a further try is not made where it could
//! find nothing else. Nor does it send SIGPIPE.

use super::connect::look;
use super::original;
use super::pauses::Pauses;
use super::report::count;
use super::wait::{
    answer, checkpoint, error, is_nonblocking, on_descriptor, patience, tries_at_once, wait, would_block,
};
use crate::clock::Instant;
use crate::park::{Reason, Wake};
use crate::scheduler::Worker;
use crate::sys::event::Direction;
use crate::sys::{errno, raw};
use core::ptr;
use core::slice;
use libc::{c_int, c_void, iovec, msghdr, size_t, sockaddr, socklen_t, ssize_t};
use std::io;
use std::os::fd::RawFd;

/// Flags of calls that are more than one try with `MSG_DONTWAIT`.
const SLOW: c_int = NEVER_WAITS | libc::MSG_WAITALL | libc::MSG_FASTOPEN;

/// Flags with which a call never waits, or answers at once in any case.
const NEVER_WAITS: c_int = libc::MSG_DONTWAIT | libc::MSG_OOB | libc::MSG_ERRQUEUE;

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn recv(fd: c_int, buf: *mut c_void, len: size_t, flags: c_int) -> ssize_t {
    count!(recv);
    // SAFETY: the caller's promise; no address is asked for.
    unsafe { one_buffer::<RecvFrom>(fd, buf, len, flags, ptr::null_mut(), ptr::null_mut()) }
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn recvfrom(
    fd: c_int,
    buf: *mut c_void,
    len: size_t,
    flags: c_int,
    addr: *mut sockaddr,
    addr_len: *mut socklen_t,
) -> ssize_t {
    count!(recvfrom);
    // SAFETY: the caller's promise.
    unsafe { one_buffer::<RecvFrom>(fd, buf, len, flags, addr, addr_len) }
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn recvmsg(fd: c_int, message: *mut msghdr, flags: c_int) -> ssize_t {
    count!(recvmsg);
    let received = on_descriptor(fd, |worker| {
        // SAFETY: asked only after the kernel has filled some of it, so the message is valid.
        let parts = || unsafe { parts_of(message) };
        let whole = || if waits_for_all(fd, flags) { total(parts()) } else { 0 };
        transfer(worker, fd, Direction::Read, flags, whole, |done, flags| match done {
            // SAFETY: the caller's promise.
            0 => unsafe { raw::recvmsg(fd, message, flags) },
            _ => {
                let (buf, len) = rest(parts(), done);
                // SAFETY: a part of the message, which is valid for writes.
                unsafe { raw::recvfrom(fd, buf, len, flags, ptr::null_mut(), ptr::null_mut()) }
            }
        })
    });
    // SAFETY: the caller's promise.
    received.unwrap_or_else(|| unsafe { original::recvmsg(fd, message, flags) })
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn send(fd: c_int, buf: *const c_void, len: size_t, flags: c_int) -> ssize_t {
    count!(send);
    // SAFETY: the caller's promise; no address is given.
    unsafe { one_buffer::<SendTo>(fd, buf.cast_mut(), len, flags, ptr::null_mut(), 0) }
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn sendto(
    fd: c_int,
    buf: *const c_void,
    len: size_t,
    flags: c_int,
    addr: *const sockaddr,
    addr_len: socklen_t,
) -> ssize_t {
    count!(sendto);
    // SAFETY: the caller's promise.
    unsafe { one_buffer::<SendTo>(fd, buf.cast_mut(), len, flags, addr.cast_mut(), addr_len) }
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn sendmsg(fd: c_int, message: *const msghdr, flags: c_int) -> ssize_t {
    count!(sendmsg);
    // SAFETY: the caller's promise.
    let sent = on_descriptor(fd, |worker| unsafe { send_message(worker, fd, message, flags) });
    // SAFETY: the caller's promise.
    sent.unwrap_or_else(|| unsafe { original::sendmsg(fd, message, flags) })
}

/// Sends all of `bytes` on a stream, as `send` does.
pub(super) fn send_bytes(worker: &Worker, fd: RawFd, bytes: &[u8]) -> io::Result<usize> {
    transfer(
        worker,
        fd,
        Direction::Write,
        0,
        || bytes.len(),
        |done, flags| {
            let rest = &bytes[done..];
            // SAFETY: the bytes are valid for a read, and no address is given.
            unsafe { raw::sendto(fd, rest.as_ptr().cast(), rest.len(), flags, ptr::null(), 0) }
        },
    )
}

/// A system call with one buffer and an address. Its arguments are handed on one by one, as they have come: in registers. Closures
/// that hold them would be written to the stack before the first try.
trait OneBuffer {
    type AddressLen: Copy;

    const DIRECTION: Direction;

    /// # Safety
    ///
    /// As for the system call.
    unsafe fn call(
        fd: RawFd,
        buf: *mut c_void,
        len: usize,
        flags: c_int,
        addr: *mut sockaddr,
        addr_len: Self::AddressLen,
    ) -> io::Result<usize>;

    /// How many bytes there must be in all before it returns.
    fn whole(fd: RawFd, len: usize, flags: c_int) -> usize;
}

/// `recvfrom(2)`.
enum RecvFrom {}

impl OneBuffer for RecvFrom {
    type AddressLen = *mut socklen_t;

    const DIRECTION: Direction = Direction::Read;

    #[inline(always)]
    unsafe fn call(
        fd: RawFd,
        buf: *mut c_void,
        len: usize,
        flags: c_int,
        addr: *mut sockaddr,
        addr_len: *mut socklen_t,
    ) -> io::Result<usize> {
        // SAFETY: the caller's promise.
        unsafe { raw::recvfrom(fd, buf, len, flags, addr, addr_len) }
    }

    #[inline(always)]
    fn whole(fd: RawFd, len: usize, flags: c_int) -> usize {
        if waits_for_all(fd, flags) { len } else { 0 }
    }
}

/// `sendto(2)`, which changes nothing of what it is given.
enum SendTo {}

impl OneBuffer for SendTo {
    type AddressLen = socklen_t;

    const DIRECTION: Direction = Direction::Write;

    #[inline(always)]
    unsafe fn call(
        fd: RawFd,
        buf: *mut c_void,
        len: usize,
        flags: c_int,
        addr: *mut sockaddr,
        addr_len: socklen_t,
    ) -> io::Result<usize> {
        // SAFETY: the caller's promise.
        unsafe { raw::sendto(fd, buf, len, flags, addr, addr_len) }
    }

    #[inline(always)]
    fn whole(_: RawFd, len: usize, _: c_int) -> usize {
        len
    }
}

/// The shim of a call that is made most, and mostly finds what it wants: what comes after that first try, or instead of it, is
/// out of the way.
///
/// # Safety
///
/// As for the system call.
#[inline(always)]
unsafe fn one_buffer<Call: OneBuffer>(
    fd: RawFd,
    buf: *mut c_void,
    len: usize,
    flags: c_int,
    addr: *mut sockaddr,
    addr_len: Call::AddressLen,
) -> ssize_t {
    let before = errno::last();
    if flags & SLOW == 0 && tries_at_once(fd) {
        // SAFETY: the caller's promise.
        return match unsafe { Call::call(fd, buf, len, flags | libc::MSG_DONTWAIT, addr, addr_len) } {
            Ok(count) if count >= Call::whole(fd, len, flags) => count.cast_signed(),
            first => {
                if first.as_ref().map_or_else(would_block, |_| true) {
                    errno::set(before);
                }
                // SAFETY: the caller's promise.
                unsafe { after_first::<Call>(fd, buf, len, flags, addr, addr_len, first) }
            }
        };
    }
    // SAFETY: the caller's promise.
    unsafe { slowly::<Call>(fd, buf, len, flags, addr, addr_len) }
}

/// # Safety
///
/// As for the system call.
#[cold]
unsafe fn after_first<Call: OneBuffer>(
    fd: RawFd,
    buf: *mut c_void,
    len: usize,
    flags: c_int,
    addr: *mut sockaddr,
    addr_len: Call::AddressLen,
    first: io::Result<usize>,
) -> ssize_t {
    let reached = first.as_ref().map_or(-1, |count| count.cast_signed());
    let done = on_descriptor(fd, |worker| {
        let whole = || Call::whole(fd, len, flags);
        let attempt = |done, flags| {
            // SAFETY: the caller's promise; `done` bytes of `len` have been moved.
            unsafe { Call::call(fd, buf.wrapping_byte_add(done), len - done, flags, addr, addr_len) }
        };
        go_on(worker, fd, Call::DIRECTION, flags, whole, attempt, first)
    });
    // It is on a green thread, as the first try was.
    done.unwrap_or(reached)
}

/// # Safety
///
/// As for the system call.
#[inline(never)]
unsafe fn slowly<Call: OneBuffer>(
    fd: RawFd,
    buf: *mut c_void,
    len: usize,
    flags: c_int,
    addr: *mut sockaddr,
    addr_len: Call::AddressLen,
) -> ssize_t {
    let done = on_descriptor(fd, |worker| {
        let whole = || Call::whole(fd, len, flags);
        transfer(worker, fd, Call::DIRECTION, flags, whole, |done, flags| {
            // SAFETY: the caller's promise; `done` bytes of `len` have been moved.
            unsafe { Call::call(fd, buf.wrapping_byte_add(done), len - done, flags, addr, addr_len) }
        })
    });
    // SAFETY: the caller's promise.
    done.unwrap_or_else(|| answer(unsafe { Call::call(fd, buf, len, flags, addr, addr_len) }))
}

/// Tries, and waits as long as the socket's owner lets it. `whole` is asked after a transfer: how many bytes there must be in all
/// before a blocking call returns; `attempt` is told how many there are, and with which flags to try.
#[inline(always)]
pub(super) fn transfer(
    worker: &Worker,
    fd: RawFd,
    direction: Direction,
    flags: c_int,
    whole: impl Fn() -> usize,
    mut attempt: impl FnMut(usize, c_int) -> io::Result<usize>,
) -> io::Result<usize> {
    if flags & NEVER_WAITS != 0 && (flags & libc::MSG_DONTWAIT != 0 || direction == Direction::Read) {
        return attempt(0, flags);
    }
    checkpoint(worker, fd)?;
    match attempt(0, flags | libc::MSG_DONTWAIT) {
        Ok(count) if count == 0 || count >= whole() => Ok(count),
        first => go_on(worker, fd, direction, flags, whole, attempt, first),
    }
}

/// After a first try that was not enough.
#[cold]
fn go_on(
    worker: &Worker,
    fd: RawFd,
    direction: Direction,
    flags: c_int,
    whole: impl Fn() -> usize,
    mut attempt: impl FnMut(usize, c_int) -> io::Result<usize>,
    first: io::Result<usize>,
) -> io::Result<usize> {
    let (option, what) = match direction {
        Direction::Read => (libc::SO_RCVTIMEO, "recv"),
        Direction::Write => (libc::SO_SNDTIMEO, "send"),
    };
    let mut flags = flags;
    let mut until: Option<Option<Instant>> = None;
    let mut pauses = None;
    let mut was_woken = false;
    let mut done = 0;
    let mut tried = first;
    let ended = loop {
        match tried {
            Ok(count) => {
                done += count;
                if count == 0 || done >= whole() {
                    return Ok(done);
                }
            }
            Err(blocked) if would_block(&blocked) || is_connecting(fd, flags, &blocked) => {
                // Once is enough: it is on the way.
                flags &= !libc::MSG_FASTOPEN;
                let until = match until {
                    Some(until) => until,
                    None => match patience(worker, fd, option) {
                        Ok(limit) => *until.insert(limit),
                        Err(unwilling) => break unwilling,
                    },
                };
                if was_woken && direction == Direction::Read && is_shut(fd) {
                    // It does not wait: it gives what is left, or nothing.
                    return attempt(done, flags);
                }
                let waited = match &mut pauses {
                    None => wait(worker, fd, direction, until),
                    Some(pauses) => Pauses::pause(pauses, worker, Reason::NextTry(what), until),
                };
                match waited {
                    Ok(Wake::Unparked) => {
                        // Should the next try be in vain, the event does not tell.
                        if pauses.is_none()
                            && (sends_unseen(fd, direction) || was_woken && reports(fd, direction))
                        {
                            pauses = Some(Pauses::new());
                        }
                        was_woken = true;
                    }
                    Ok(Wake::Deadline) => break error(libc::EAGAIN),
                    Err(ended) => break ended,
                }
            }
            Err(failed) => break failed,
        }
        let mut more = flags | libc::MSG_DONTWAIT;
        if done > 0 {
            more |= libc::MSG_NOSIGNAL;
            if is_broken(fd, direction) {
                return Ok(done);
            }
        }
        tried = attempt(done, more);
    };
    if done > 0 { Ok(done) } else { Err(ended) }
}

/// Whether a message that connects, on a blocking socket, has found that it must wait for the connection.
fn is_connecting(fd: RawFd, flags: c_int, failed: &io::Error) -> bool {
    flags & libc::MSG_FASTOPEN != 0
        && failed.raw_os_error() == Some(libc::EINPROGRESS)
        && is_nonblocking(fd).is_ok_and(|is_nonblocking| !is_nonblocking)
}

/// Whether a try could only find out what has broken a connection, which has ended in both directions then.
fn is_broken(fd: RawFd, direction: Direction) -> bool {
    let has_more = || direction == Direction::Read && raw::unread(fd).is_ok_and(|unread| unread > 0);
    // A Unix socket tells a call that has moved some bytes, and no later one.
    look(fd, 0).is_ok_and(|found| found & libc::POLLHUP != 0) && !is_unix(fd) && !has_more()
}

/// Whether `fd` is called ready for nothing but reports in its queue of errors, which only a receive of these takes.
fn reports(fd: RawFd, direction: Direction) -> bool {
    let events = match direction {
        Direction::Read => libc::POLLIN,
        Direction::Write => libc::POLLOUT,
    };
    look(fd, events).is_ok_and(|found| found == libc::POLLERR)
}

/// Whether nothing can be received any more on a socket for messages: it is always ready then, and a try says that it would block.
pub(super) fn is_shut(fd: RawFd) -> bool {
    look(fd, libc::POLLRDHUP).is_ok_and(|found| found & libc::POLLRDHUP != 0)
        && !has_option(fd, libc::SO_TYPE, libc::SOCK_STREAM)
}

fn is_unix(fd: RawFd) -> bool {
    has_option(fd, libc::SO_DOMAIN, libc::AF_UNIX)
}

fn has_option(fd: RawFd, option: c_int, value: c_int) -> bool {
    raw::socket_option::<c_int>(fd, libc::SOL_SOCKET, option).is_ok_and(|found| found == value)
}

/// Whether `fd` may be called ready to write while a send would block: a Unix socket for messages, when the queue of a receiver to
/// which it is not connected is full.
fn sends_unseen(fd: RawFd, direction: Direction) -> bool {
    direction == Direction::Write && is_unix(fd) && has_option(fd, libc::SO_TYPE, libc::SOCK_DGRAM)
}

/// # Safety
///
/// As for `sendmsg`.
pub(super) unsafe fn send_message(
    worker: &Worker,
    fd: RawFd,
    message: *const msghdr,
    flags: c_int,
) -> io::Result<usize> {
    // SAFETY: asked only after the kernel has sent some of it, so the message is valid.
    let parts = || unsafe { parts_of(message) };
    transfer(
        worker,
        fd,
        Direction::Write,
        flags,
        || total(parts()),
        |done, flags| match done {
            // SAFETY: the caller's promise.
            0 => unsafe { raw::sendmsg(fd, message, flags) },
            _ => {
                // A stream: what is left goes without the control data, which went with the first bytes.
                let (buf, len) = rest(parts(), done);
                // SAFETY: a part of the message, which is valid for reads.
                unsafe { raw::sendto(fd, buf, len, flags, ptr::null(), 0) }
            }
        },
    )
}

/// Whether a receive on a blocking socket is to fill its buffer. Only streams know that.
fn waits_for_all(fd: RawFd, flags: c_int) -> bool {
    flags & (libc::MSG_WAITALL | libc::MSG_PEEK) == libc::MSG_WAITALL
        && has_option(fd, libc::SO_TYPE, libc::SOCK_STREAM)
}

/// # Safety
///
/// `message` must be valid for as long as the answer is used.
pub(super) unsafe fn parts_of<'a>(message: *const msghdr) -> &'a [iovec] {
    // SAFETY: the caller's promise.
    let message = unsafe { &*message };
    if message.msg_iov.is_null() {
        return &[];
    }
    // SAFETY: the caller's promise: the message is valid, so there are so many parts.
    unsafe { slice::from_raw_parts(message.msg_iov, message.msg_iovlen) }
}

pub(super) fn total(parts: &[iovec]) -> usize {
    parts.iter().fold(0, |sum, part| sum.saturating_add(part.iov_len))
}

/// What is left of the part in which byte `done` lies; nothing if it lies behind them all.
pub(super) fn rest(parts: &[iovec], mut done: usize) -> (*mut c_void, usize) {
    for part in parts {
        if done < part.iov_len {
            return (part.iov_base.wrapping_byte_add(done), part.iov_len - done);
        }
        done -= part.iov_len;
    }
    (ptr::null_mut(), 0)
}
