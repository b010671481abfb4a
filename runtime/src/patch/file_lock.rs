//! The group `file-lock`: `flock`, the waiting commands of `fcntl`, `lockf`.
//!
//! The kernel does not say when a lock is free; so it is tried again and again, with pauses that grow. A
//! call on the offload pool would know at once, but could not be given up: a lock that comes when nobody waits for it
//! any more cannot be given back without taking from those that the process had before. The price: `F_SETLKW` tells of no
//! `EDEADLK`, for the kernel sees no waiters.

use super::pauses::Pauses;
use super::report::count;
use super::wait::{is_nonblocking, on_green, refuse, with_errno};
use super::{Group, original};
use crate::park::Reason;
use crate::scheduler::Worker;
use crate::sys::shimmed;
use libc::{c_int, off_t};
use std::io;
use std::os::fd::RawFd;

#[unsafe(no_mangle)]
pub(super) extern "C" fn flock(fd: c_int, operation: c_int) -> c_int {
    count!(flock);
    let waits = operation & libc::LOCK_NB == 0 && operation & (libc::LOCK_SH | libc::LOCK_EX) != 0;
    let locked = if waits {
        on_green(Group::FileLock, |worker| {
            with_errno(|| until_free(worker, fd, || shimmed::flock(fd, operation | libc::LOCK_NB)))
        })
    } else {
        None
    };
    locked.map_or_else(|| original::flock(fd, operation), |locked| locked as c_int)
}

// libc's takes a variable number of arguments, which travel as those of a fixed number do on the platforms that this crate runs
// on; what was not given is not looked at.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn fcntl(fd: c_int, command: c_int, argument: usize) -> c_int {
    count!(fcntl);
    let attempt = match command {
        libc::F_SETLKW => libc::F_SETLK,
        libc::F_OFD_SETLKW => libc::F_OFD_SETLK,
        // SAFETY: the caller's promise.
        _ => return unsafe { original::fcntl(fd, command, argument) },
    };
    let locked = on_green(Group::FileLock, |worker| {
        // SAFETY: the caller's promise: both commands take the same.
        with_errno(|| until_free(worker, fd, || unsafe { shimmed::fcntl(fd, attempt, argument) }))
    });
    // SAFETY: the caller's promise.
    locked.map_or_else(|| unsafe { original::fcntl(fd, command, argument) }, |locked| locked as c_int)
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn fcntl64(fd: c_int, command: c_int, argument: usize) -> c_int {
    count!(fcntl64);
    // SAFETY: the caller's promise.
    unsafe { fcntl(fd, command, argument) }
}

#[unsafe(no_mangle)]
pub(super) extern "C" fn lockf(fd: c_int, command: c_int, len: off_t) -> c_int {
    count!(lockf);
    if command != libc::F_LOCK {
        return original::lockf(fd, command, len);
    }
    let lock = original::exclusive_lock(len);
    // SAFETY: the command takes a lock.
    unsafe { fcntl(fd, libc::F_SETLKW, (&raw const lock).expose_provenance()) }
}

#[unsafe(no_mangle)]
pub(super) extern "C" fn lockf64(fd: c_int, command: c_int, len: off_t) -> c_int {
    count!(lockf64);
    lockf(fd, command, len)
}

/// Tries until nobody has the lock.
fn until_free(worker: &Worker, fd: RawFd, attempt: impl Fn() -> io::Result<usize>) -> io::Result<usize> {
    if worker.spend() {
        worker.yield_now().map_err(|cancelled| refuse(worker, cancelled))?;
    }
    let mut pauses = Pauses::new();
    loop {
        match attempt() {
            // POSIX lets a held lock be told by either number.
            Err(held) if matches!(held.raw_os_error(), Some(libc::EAGAIN | libc::EACCES)) => {
                // A descriptor without access to the file would be refused for ever.
                is_nonblocking(fd)?;
            }
            result => return result,
        }
        pauses.pause(worker, Reason::FileLock(fd), None)?;
    }
}
