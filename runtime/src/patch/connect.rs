//! The group `net`: connecting and accepting.
//!
//! # The flag
//!
//! `accept` and `connect` have no flag for "do not wait". To call them blind would be wrong: the connection of which `poll` has
//! told may be taken by another process or OS thread before our `accept`, and then the worker would stand still, with
//! all its green threads, until the next one comes. To leave the system call to another OS thread is what this library
//! exists to avoid. So the socket's `O_NONBLOCK` is set around the one system call, with no switch in between:
//!
//! - by `FIONBIO`, which changes that flag alone, in one step;
//! - by one OS thread at a time ([`FLAG`]), so that no other worker takes our flag for the owner's wish;
//! - around `accept` (and `splice`, for which the same holds), only when `poll` says that a connection is there; around `connect`, only on a socket whose owner is about
//!   to wait for it, and which nobody can use before it is connected.
//!
//! Who can notice: somebody who shares the open socket (after a `fork`, or from an OS thread off the runtime) and in that
//! microsecond either enters a blocking call on it, finds nothing to take and is told `EAGAIN`, or sets the flag, and
//! finds it cleared. A process that is killed in that microsecond leaves it set for those who share the socket.

use super::original;
use super::pauses::Pauses;
use super::report::count;
use super::wait::{checkpoint, error, is_nonblocking, on_descriptor, time_limit, wait, would_block};
use crate::clock::Instant;
use crate::park::{Reason, Wake};
use crate::scheduler::Worker;
use crate::sys::event::Direction;
use crate::sys::raw;
use core::cell::Cell;
use core::ptr;
use core::sync::atomic::{AtomicBool, Ordering};
use libc::{c_int, pollfd, sockaddr, socklen_t, timespec};
use std::io;
use std::os::fd::RawFd;

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn accept(fd: c_int, addr: *mut sockaddr, addr_len: *mut socklen_t) -> c_int {
    count!(accept);
    // SAFETY: the caller's promise.
    unsafe { accept4(fd, addr, addr_len, 0) }
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn accept4(
    fd: c_int,
    addr: *mut sockaddr,
    addr_len: *mut socklen_t,
    flags: c_int,
) -> c_int {
    count!(accept4);
    // SAFETY: the caller's promise.
    let call = || unsafe { raw::accept4(fd, addr, addr_len, flags) }.map(|fd| fd as usize);
    // Wrong flags are refused before anybody waits.
    let is_known = flags & !(libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK) == 0;
    let accept = || on_descriptor(fd, |worker| accept_with(worker, fd, call));
    match is_known.then(accept).flatten() {
        Some(accepted) => accepted as c_int,
        // SAFETY: the caller's promise.
        None => unsafe { original::accept4(fd, addr, addr_len, flags) },
    }
}

fn accept_with(worker: &Worker, fd: RawFd, call: impl Fn() -> io::Result<usize>) -> io::Result<usize> {
    let listens = raw::socket_option::<c_int>(fd, libc::SOL_SOCKET, libc::SO_ACCEPTCONN);
    if !listens.is_ok_and(|listens| listens != 0) {
        // The kernel knows best what is wrong.
        return call();
    }
    checkpoint(worker, fd)?;
    let mut until: Option<Option<Instant>> = None;
    loop {
        match without_wait(fd, || polls(fd, libc::POLLIN), &call)? {
            Attempt::NotWanted => return call(),
            // Nobody is there, or somebody else has taken it.
            Attempt::NotReady => {}
            Attempt::Made(Err(taken)) if would_block(&taken) => {}
            Attempt::Made(result) => return result,
        }
        let until = match until {
            Some(until) => until,
            None => *until.insert(time_limit(worker, fd, libc::SO_RCVTIMEO)?),
        };
        match wait(worker, fd, Direction::Read, until)? {
            Wake::Unparked => {}
            Wake::Deadline => return Err(error(libc::EAGAIN)),
        }
    }
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn connect(fd: c_int, addr: *const sockaddr, addr_len: socklen_t) -> c_int {
    count!(connect);
    // SAFETY: the caller's promise.
    let call = || unsafe { raw::connect(fd, addr, addr_len) }.map(|()| 0);
    match on_descriptor(fd, |worker| connect_with(worker, fd, call)) {
        Some(connected) => connected as c_int,
        // SAFETY: the caller's promise.
        None => unsafe { original::connect(fd, addr, addr_len) },
    }
}

/// Calls until the answer is one that a blocking `connect` gives: a socket that was connecting tells by the next call how
/// that has ended, and counts as connected only then.
fn connect_with(worker: &Worker, fd: RawFd, call: impl Fn() -> io::Result<usize>) -> io::Result<usize> {
    let kind = raw::socket_option::<c_int>(fd, libc::SOL_SOCKET, libc::SO_TYPE);
    if !kind.is_ok_and(|kind| matches!(kind, libc::SOCK_STREAM | libc::SOCK_SEQPACKET)) {
        // A datagram socket takes a name and does not wait.
        return call();
    }
    let domain: c_int = raw::socket_option(fd, libc::SOL_SOCKET, libc::SO_DOMAIN)?;
    let mut until: Option<Option<Instant>> = None;
    let mut pauses = Pauses::new();
    loop {
        let unready = match without_wait(fd, || Ok(true), &call)? {
            Attempt::NotWanted | Attempt::NotReady => return call(),
            Attempt::Made(Err(unready)) => unready,
            Attempt::Made(connected) => return connected,
        };
        let queue_is_full = match unready.raw_os_error() {
            Some(libc::EINPROGRESS | libc::EALREADY) => false,
            // There is no event that tells when the listener has room again.
            Some(libc::EAGAIN) if domain == libc::AF_UNIX => true,
            _ => return Err(unready),
        };
        let until = match until {
            Some(until) => until,
            None => *until.insert(time_limit(worker, fd, libc::SO_SNDTIMEO)?),
        };
        if queue_is_full {
            if pauses.pause(worker, Reason::NextTry("connect"), until)? == Wake::Deadline {
                return Err(error(libc::EAGAIN));
            }
        } else if wait(worker, fd, Direction::Write, until)? == Wake::Deadline {
            return Err(error(libc::EINPROGRESS));
        }
    }
}

/// Whether one of these events is there, or an error is.
pub(super) fn polls(fd: RawFd, events: libc::c_short) -> io::Result<bool> {
    look(fd, events).map(|found| found != 0)
}

/// Which of these events are there, and of those that are told in any case.
pub(super) fn look(fd: RawFd, events: libc::c_short) -> io::Result<libc::c_short> {
    let mut entry = pollfd { fd, events, revents: 0 };
    let mut none = timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: one entry, a valid time, no mask.
    unsafe { raw::ppoll(&raw mut entry, 1, &raw mut none, ptr::null()) }?;
    Ok(entry.revents)
}

/// Taken around the time in which a flag is ours and not its owner's. A lock that spins: it is held for three system calls, and
/// no wait of ours may happen inside.
static FLAG: AtomicBool = AtomicBool::new(false);

thread_local! {
    /// Whether this OS thread has it, or is about to.
    static HAS_FLAG: Cell<bool> = const { Cell::new(false) };
}

/// What became of a call that must not wait.
pub(super) enum Attempt {
    /// It was not made, and may be made as it is: the owner has made the socket nonblocking, or a signal handler calls, which has
    /// interrupted another such call and waits as it would without us.
    NotWanted,
    /// It was not made: it would have waited.
    NotReady,
    Made(io::Result<usize>),
}

/// Makes the call on a blocking socket if `is_ready`, without waiting.
pub(super) fn without_wait(
    fd: RawFd,
    is_ready: impl Fn() -> io::Result<bool>,
    call: impl Fn() -> io::Result<usize>,
) -> io::Result<Attempt> {
    struct Unlock;
    impl Drop for Unlock {
        fn drop(&mut self) {
            // Release: pairs with the acquire below: the flag is the owner's again.
            FLAG.store(false, Ordering::Release);
            HAS_FLAG.set(false);
        }
    }
    if HAS_FLAG.replace(true) {
        return Ok(Attempt::NotWanted);
    }
    // Acquire: pairs with `Unlock`.
    while FLAG.swap(true, Ordering::Acquire) {
        core::hint::spin_loop();
    }
    let _unlock = Unlock;
    if is_nonblocking(fd)? {
        return Ok(Attempt::NotWanted);
    }
    if !is_ready()? {
        return Ok(Attempt::NotReady);
    }
    raw::set_nonblocking(fd, true)?;
    let result = call();
    raw::set_nonblocking(fd, false)?;
    Ok(Attempt::Made(result))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::os::fd::AsRawFd;

    /// As a signal handler does that interrupts the one call and makes the other.
    #[test]
    fn a_call_within_a_call_does_not_wait_for_the_flag() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let fd = listener.as_raw_fd();
        let no_call = || -> io::Result<usize> { panic!("nothing is ready") };
        for _ in 0..2 {
            let outer = without_wait(
                fd,
                || {
                    let inner = without_wait(fd, || Ok(false), no_call)?;
                    assert!(matches!(inner, Attempt::NotWanted));
                    Ok(false)
                },
                no_call,
            );
            assert!(matches!(outer.unwrap(), Attempt::NotReady));
        }
    }
}
