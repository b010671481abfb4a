//! The group `net`: several messages by one call.

use super::original;
use super::report::count;
use super::transfer::{is_shut, parts_of, rest, send_bytes, send_message, total};
use super::wait::{checkpoint, error, on_descriptor, patience, wait, would_block};
use crate::clock::Instant;
use crate::park::Wake;
use crate::scheduler::Worker;
use crate::sys::event::Direction;
use crate::sys::shimmed;
use core::ptr;
use core::slice;
use core::time::Duration;
use libc::{c_int, c_uint, mmsghdr, timespec};
use std::io;
use std::os::fd::RawFd;

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn recvmmsg(
    fd: c_int,
    messages: *mut mmsghdr,
    count: c_uint,
    flags: c_int,
    timeout: *mut timespec,
) -> c_int {
    count!(recvmmsg);
    let may_wait = flags & (libc::MSG_DONTWAIT | libc::MSG_ERRQUEUE | libc::MSG_OOB) == 0;
    let received = may_wait.then(|| {
        on_descriptor(fd, |worker| {
            // SAFETY: null or valid, by the function's contract.
            let limit = unsafe { super::poll::limit_of(timeout) }.ok_or_else(|| error(libc::EINVAL))?;
            let start = worker.now();
            // SAFETY: the caller's promise.
            let received = unsafe { receive(worker, fd, messages, count, flags, limit) };
            if let Some(limit) = limit {
                let left = limit.saturating_sub(worker.now().saturating_duration_since(start));
                // SAFETY: there is a limit, so it is valid, and for a write too, by the function's contract.
                unsafe { *timeout = original::timespec_of(left) };
            }
            received
        })
    });
    match received.flatten() {
        Some(received) => received as c_int,
        // SAFETY: the caller's promise.
        None => unsafe { original::recvmmsg(fd, messages, count, flags, timeout) },
    }
}

/// Until there are so many, or one for `MSG_WAITFORONE`. As in the kernel, the time counts from the first message on only:
/// until then the socket's owner says how long to wait. Unlike in the kernel it also ends a wait for one more.
///
/// # Safety
///
/// As for `recvmmsg`.
unsafe fn receive(
    worker: &Worker,
    fd: RawFd,
    messages: *mut mmsghdr,
    count: c_uint,
    flags: c_int,
    limit: Option<Duration>,
) -> io::Result<usize> {
    checkpoint(worker, fd)?;
    let stop = limit.and_then(|limit| worker.now().checked_add(limit));
    let mut patience_left: Option<Option<Instant>> = None;
    let mut was_woken = false;
    let mut done = 0;
    let ended = loop {
        let left = count - done;
        let now = flags & !libc::MSG_WAITFORONE | libc::MSG_DONTWAIT;
        // SAFETY: the caller's promise; `done` messages of `count` are there already.
        let tried = unsafe {
            shimmed::recvmmsg(fd, messages.wrapping_add(done as usize), left, now, ptr::null_mut())
        };
        match tried {
            Ok(received) => {
                done += received as c_uint;
                patience_left = None;
                if received == 0 || done >= count || stop.is_some_and(|stop| stop <= worker.now()) {
                    return Ok(done as usize);
                }
            }
            Err(blocked) if would_block(&blocked) => {
                if done > 0 && flags & libc::MSG_WAITFORONE != 0 {
                    return Ok(done as usize);
                }
                if was_woken && is_shut(fd) {
                    let rest = messages.wrapping_add(done as usize);
                    // It does not wait: it gives what is left, or messages of nothing.
                    // SAFETY: as above.
                    let last = unsafe { shimmed::recvmmsg(fd, rest, left, flags, ptr::null_mut()) };
                    return last.map(|received| done as usize + received);
                }
                let until = match patience_left {
                    Some(until) => until,
                    None => match patience(worker, fd, libc::SO_RCVTIMEO) {
                        Ok(until) => *patience_left.insert(until),
                        Err(unwilling) => break unwilling,
                    },
                };
                let until = if done == 0 { until } else { earlier(until, stop) };
                match wait(worker, fd, Direction::Read, until) {
                    Ok(Wake::Unparked) => was_woken = true,
                    Ok(Wake::Deadline) => break error(libc::EAGAIN),
                    Err(ended) => break ended,
                }
            }
            Err(failed) => break failed,
        }
    };
    if done > 0 { Ok(done as usize) } else { Err(ended) }
}

fn earlier(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn sendmmsg(
    fd: c_int,
    messages: *mut mmsghdr,
    count: c_uint,
    flags: c_int,
) -> c_int {
    count!(sendmmsg);
    // As the kernel does.
    let count = count.min(libc::UIO_MAXIOV as c_uint);
    let sent = if flags & libc::MSG_DONTWAIT == 0 {
        // SAFETY: the caller's promise.
        on_descriptor(fd, |worker| unsafe { send_all(worker, fd, messages, count, flags) })
    } else {
        None
    };
    match sent {
        Some(sent) => sent as c_int,
        // SAFETY: the caller's promise.
        None => unsafe { original::sendmmsg(fd, messages, count, flags) },
    }
}

/// # Safety
///
/// As for `sendmmsg`.
unsafe fn send_all(
    worker: &Worker,
    fd: RawFd,
    messages: *mut mmsghdr,
    count: c_uint,
    flags: c_int,
) -> io::Result<usize> {
    checkpoint(worker, fd)?;
    let mut done = 0_usize;
    while done < count as usize {
        let next = messages.wrapping_add(done);
        let left = count - done as c_uint;
        // As many as find room; then one that may wait for it.
        // SAFETY: the caller's promise; `done` messages of `count` have been sent.
        let tried = unsafe { shimmed::sendmmsg(fd, next, left, flags | libc::MSG_DONTWAIT) };
        let sent = match tried {
            Ok(sent @ 1..) => {
                let last = next.wrapping_add(sent - 1);
                // SAFETY: the kernel has sent this one.
                unsafe { send_rest(worker, fd, last) }?;
                sent
            }
            Ok(_) => break,
            Err(blocked) if would_block(&blocked) => {
                // SAFETY: one of the caller's messages.
                let one = unsafe { send_message(worker, fd, &raw const (*next).msg_hdr, flags) };
                match one {
                    Ok(len) => {
                        // SAFETY: as above.
                        unsafe { (*next).msg_len = len as c_uint };
                        1
                    }
                    Err(_) if done > 0 => break,
                    Err(failed) => return Err(failed),
                }
            }
            Err(_) if done > 0 => break,
            Err(failed) => return Err(failed),
        };
        done += sent;
    }
    Ok(done)
}

/// Sends what did not find room of a message that was sent; on a blocking stream, as no other has such.
///
/// # Safety
///
/// `message` must be valid.
unsafe fn send_rest(worker: &Worker, fd: RawFd, message: *mut mmsghdr) -> io::Result<()> {
    // SAFETY: the caller's promise.
    let parts = unsafe { parts_of(&raw const (*message).msg_hdr) };
    // SAFETY: the caller's promise.
    let mut sent = unsafe { (*message).msg_len } as usize;
    if sent < total(parts) && super::wait::is_nonblocking(fd)? {
        return Ok(());
    }
    while sent < total(parts) {
        let (buf, len) = rest(parts, sent);
        // SAFETY: a part of the message, which is valid for reads.
        let bytes = unsafe { slice::from_raw_parts(buf.cast::<u8>(), len) };
        match send_bytes(worker, fd, bytes) {
            Ok(more) => sent += more,
            // Left for the next call to find.
            Err(_) => break,
        }
    }
    // SAFETY: the caller's promise.
    unsafe { (*message).msg_len = sent as c_uint };
    Ok(())
}
