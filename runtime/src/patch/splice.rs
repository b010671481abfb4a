//! The groups `net` and `pipe`: `splice`, from or to a pipe, and its kin.
//!
//! Between pipes and files `SPLICE_F_NONBLOCK` keeps the call from waiting. A blocking socket does not heed it: there the socket's
//! own flag is set for the length of the call, as [`connect`](super::connect) explains.

use super::connect::{Attempt, look, polls, without_wait};
use super::original;
use super::report::count;
use super::transfer::is_shut;
use super::wait::{
    answer, checkpoint, error, is_nonblocking, on_descriptor_of, time_limit, wait, would_block,
};
use super::{Group, is_active};
use crate::clock::Instant;
use crate::park::Wake;
use crate::scheduler::Worker;
use crate::sys::event::Direction;
use crate::sys::raw;
use crate::sys::shimmed::{self, kind_of};
use libc::{c_int, c_uint, iovec, loff_t, size_t, ssize_t};
use std::io;
use std::os::fd::RawFd;

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn splice(
    from: c_int,
    from_at: *mut loff_t,
    to: c_int,
    to_at: *mut loff_t,
    len: size_t,
    flags: c_uint,
) -> ssize_t {
    count!(splice);
    let moved = if (0..=libc::STDERR_FILENO).contains(&to) || is_settled(len, flags) {
        None
    } else {
        on_descriptor_of(Group::Net.bit() | Group::Pipe.bit(), from, |worker| {
            // SAFETY: the caller's promise.
            splice_with(worker, from, to, flags, |flags| unsafe {
                shimmed::splice(from, from_at, to, to_at, len, flags)
            })
        })
    };
    // SAFETY: the caller's promise.
    moved.unwrap_or_else(|| unsafe { original::splice(from, from_at, to, to_at, len, flags) })
}

/// Whether the kernel answers without a look at the descriptors: nothing is to be moved, or a flag is unknown.
fn is_settled(len: size_t, flags: c_uint) -> bool {
    const FLAGS: c_uint =
        libc::SPLICE_F_MOVE | libc::SPLICE_F_NONBLOCK | libc::SPLICE_F_MORE | libc::SPLICE_F_GIFT;
    len == 0 || flags & !FLAGS != 0
}

/// Whether the kernel refuses these before it waits for a socket: a pipe's wrong end, or a pipe that nobody reads.
fn is_refused(from: RawFd, to: RawFd) -> io::Result<bool> {
    let access = |fd| raw::fcntl_flags(fd).map(|flags| flags.cast_signed() & libc::O_ACCMODE);
    let has_no_reader = || Ok::<_, io::Error>(look(to, 0)? & libc::POLLERR != 0);
    Ok(access(from)? == libc::O_WRONLY || access(to)? == libc::O_RDONLY || has_no_reader()?)
}

fn splice_with(
    worker: &Worker,
    from: RawFd,
    to: RawFd,
    flags: c_uint,
    call: impl Fn(c_uint) -> io::Result<usize>,
) -> io::Result<usize> {
    let (source, sink) = (kind_of(from)?, kind_of(to)?);
    if source != libc::S_IFIFO && sink != libc::S_IFIFO {
        // For the kernel to refuse.
        return call(flags);
    }
    let socket = match (source, sink) {
        (libc::S_IFSOCK, _) => Some((from, libc::POLLIN)),
        (_, libc::S_IFSOCK) => Some((to, libc::POLLOUT)),
        _ => None,
    };
    let group = if socket.is_some() { Group::Net } else { Group::Pipe };
    if !is_active(group) || flags & libc::SPLICE_F_NONBLOCK != 0 && socket.is_none() {
        return call(flags);
    }
    checkpoint(worker, if source == libc::S_IFREG { to } else { from })?;
    let mut until: Option<Option<Instant>> = None;
    loop {
        let tried = match socket {
            None => call(flags | libc::SPLICE_F_NONBLOCK),
            Some((fd, events)) => {
                let call = || call(flags | libc::SPLICE_F_NONBLOCK);
                match without_wait(fd, || Ok(polls(fd, events)? || is_refused(from, to)?), call)? {
                    Attempt::Made(result) => result,
                    Attempt::NotReady => Err(error(libc::EAGAIN)),
                    // The socket does not wait; the pipe may.
                    Attempt::NotWanted => call(),
                }
            }
        };
        match tried {
            Err(blocked) if would_block(&blocked) => {}
            result => return result,
        }
        // For whichever of the two was not ready, as long as its owner waits at all.
        let (fd, direction, option) = if !polls(from, libc::POLLIN)? {
            (from, Direction::Read, libc::SO_RCVTIMEO)
        } else {
            (to, Direction::Write, libc::SO_SNDTIMEO)
        };
        let of_socket = socket.is_some_and(|(socket, _)| socket == fd);
        if of_socket && direction == Direction::Read && is_shut(fd) {
            // It does not wait.
            return call(flags);
        }
        if is_nonblocking(fd)? || !of_socket && flags & libc::SPLICE_F_NONBLOCK != 0 {
            return Err(error(libc::EAGAIN));
        }
        let until = match until {
            Some(until) => until,
            None if of_socket => *until.insert(time_limit(worker, fd, option)?),
            None => None,
        };
        if wait(worker, fd, direction, until)? == Wake::Deadline {
            return Err(error(libc::EAGAIN));
        }
    }
}

#[unsafe(no_mangle)]
pub(super) extern "C" fn tee(from: c_int, to: c_int, len: size_t, flags: c_uint) -> ssize_t {
    count!(tee);
    let copied = if (0..=libc::STDERR_FILENO).contains(&to) || is_settled(len, flags) {
        None
    } else {
        on_descriptor_of(Group::Pipe.bit(), from, |worker| {
            if kind_of(from)? != libc::S_IFIFO || kind_of(to)? != libc::S_IFIFO {
                // For the kernel to refuse.
                return shimmed::tee(from, to, len, flags);
            }
            splice_with(worker, from, to, flags, |flags| shimmed::tee(from, to, len, flags))
        })
    };
    copied.unwrap_or_else(|| answer(shimmed::tee(from, to, len, flags)))
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn vmsplice(
    fd: c_int,
    parts: *const iovec,
    count: size_t,
    flags: c_uint,
) -> ssize_t {
    count!(vmsplice);
    // SAFETY: the caller's promise.
    let call = |flags| unsafe { shimmed::vmsplice(fd, parts, count, flags) };
    let moved = on_descriptor_of(Group::Pipe.bit(), fd, |worker| {
        if flags & libc::SPLICE_F_NONBLOCK != 0 {
            return call(flags);
        }
        checkpoint(worker, fd)?;
        loop {
            match call(flags | libc::SPLICE_F_NONBLOCK) {
                Err(blocked) if would_block(&blocked) && !is_nonblocking(fd)? => {}
                result => return result,
            }
            // Into or out of the pipe, as it is open.
            let access = raw::fcntl_flags(fd)?.cast_signed() & libc::O_ACCMODE;
            let direction = if access == libc::O_RDONLY { Direction::Read } else { Direction::Write };
            wait(worker, fd, direction, None)?;
        }
    });
    moved.unwrap_or_else(|| answer(call(flags)))
}
