//! What waits for readiness, for children and for locks.

use super::super::select::timeval_of;
use super::super::wait::answer;
use crate::sys::shimmed;
use core::ptr;
use core::time::Duration;
use libc::{
    c_int, epoll_event, fd_set, id_t, idtype_t, off_t, pid_t, rusage, siginfo_t, sigset_t, timespec, timeval,
};

/// As `select(2)`.
///
/// # Safety
///
/// As there: each set must be null or hold `count` bits, rounded up to a `long`; `limit` must be null or valid.
pub unsafe fn select(
    count: c_int,
    read: *mut fd_set,
    write: *mut fd_set,
    except: *mut fd_set,
    limit: *mut timeval,
) -> c_int {
    // SAFETY: null or valid, says the caller.
    let limit = unsafe { limit.as_mut() };
    // Seconds that are too many micros are let pass; negative ones are for the kernel to refuse.
    let mut time = limit.as_deref().map(|limit| timespec {
        tv_sec: limit.tv_sec.saturating_add(limit.tv_usec.div_euclid(1_000_000)),
        tv_nsec: limit.tv_usec.rem_euclid(1_000_000) * 1000,
    });
    let sets = [read.cast(), write.cast(), except.cast()];
    let left = time.as_mut().map_or(ptr::null_mut(), ptr::from_mut);
    // SAFETY: the caller's promise; the time is null or valid.
    let result = unsafe { shimmed::pselect(count, sets, left, ptr::null()) };
    if let (Some(limit), Some(left)) = (limit, time) {
        let seconds = u64::try_from(left.tv_sec).unwrap_or_default();
        *limit = timeval_of(Duration::new(seconds, u32::try_from(left.tv_nsec).unwrap_or_default()));
    }
    answer(result) as c_int
}

/// As `pselect(2)`.
///
/// # Safety
///
/// As there: each set must be null or hold `count` bits, rounded up to a `long`; `limit` and `mask` must each be null or valid.
pub unsafe fn pselect(
    count: c_int,
    read: *mut fd_set,
    write: *mut fd_set,
    except: *mut fd_set,
    limit: *const timespec,
    mask: *const sigset_t,
) -> c_int {
    // The system call writes what is left of the time; the function does not.
    // SAFETY: null or valid, says the caller.
    let mut limit = unsafe { limit.as_ref() }.copied();
    let sets = [read.cast(), write.cast(), except.cast()];
    let limit = limit.as_mut().map_or(ptr::null_mut(), ptr::from_mut);
    // SAFETY: the caller's promise; the time is null or valid.
    answer(unsafe { shimmed::pselect(count, sets, limit, mask) }) as c_int
}

/// As `epoll_wait(2)`.
///
/// # Safety
///
/// As there: `events` must have room for `room` of them.
pub unsafe fn epoll_wait(epoll: c_int, events: *mut epoll_event, room: c_int, timeout: c_int) -> c_int {
    // SAFETY: the caller's promise; no mask is given.
    unsafe { epoll_pwait(epoll, events, room, timeout, ptr::null()) }
}

/// As `epoll_pwait(2)`.
///
/// # Safety
///
/// As there: `events` must have room for `room` of them; `mask` must be null or valid.
pub unsafe fn epoll_pwait(
    epoll: c_int,
    events: *mut epoll_event,
    room: c_int,
    timeout: c_int,
    mask: *const sigset_t,
) -> c_int {
    // SAFETY: the caller's promise.
    answer(unsafe { shimmed::epoll_pwait(epoll, events, room, timeout, mask) }) as c_int
}

/// As `epoll_pwait2(2)`: `ENOSYS` before Linux 5.11.
///
/// # Safety
///
/// As there: `events` must have room for `room` of them; `limit` and `mask` must each be null or valid.
pub unsafe fn epoll_pwait2(
    epoll: c_int,
    events: *mut epoll_event,
    room: c_int,
    limit: *const timespec,
    mask: *const sigset_t,
) -> c_int {
    // SAFETY: the caller's promise.
    answer(unsafe { shimmed::epoll_pwait2(epoll, events, room, limit, mask) }) as c_int
}

/// As `wait4(2)`.
///
/// # Safety
///
/// As there: `status` and `usage` must each be null or valid for a write.
pub unsafe fn wait4(pid: pid_t, status: *mut c_int, options: c_int, usage: *mut rusage) -> pid_t {
    // SAFETY: the caller's promise.
    answer(unsafe { shimmed::wait4(pid, status, options, usage) }) as pid_t
}

/// As `waitpid(2)`.
///
/// # Safety
///
/// As there: `status` must be null or valid for a write.
pub unsafe fn waitpid(pid: pid_t, status: *mut c_int, options: c_int) -> pid_t {
    // SAFETY: the caller's promise.
    unsafe { wait4(pid, status, options, ptr::null_mut()) }
}

/// As `waitid(2)`.
///
/// # Safety
///
/// As there: `info` must be null or valid for a write.
pub unsafe fn waitid(kind: idtype_t, id: id_t, info: *mut siginfo_t, options: c_int) -> c_int {
    // SAFETY: the caller's promise.
    answer(unsafe { shimmed::waitid(kind, id, info, options) }) as c_int
}

/// As `flock(2)`.
pub fn flock(fd: c_int, operation: c_int) -> c_int {
    answer(shimmed::flock(fd, operation)) as c_int
}

/// As `fcntl(2)`; `argument` is 0 where there is none, or what the command takes.
///
/// # Safety
///
/// As there: a pointer must be valid for what the command does with it.
pub unsafe fn fcntl(fd: c_int, command: c_int, argument: usize) -> c_int {
    if command == libc::F_GETOWN {
        return owner(fd);
    }
    // SAFETY: the caller's promise.
    answer(unsafe { shimmed::fcntl(fd, command, argument) }) as c_int
}

/// `F_GETOWN`: a process group is told as a negative number, which must not be taken for an error.
fn owner(fd: c_int) -> c_int {
    const F_GETOWN_EX: c_int = 16;
    const F_OWNER_PGRP: c_int = 2;
    let mut owner: [c_int; 2] = [0; 2];
    let argument = (&raw mut owner).expose_provenance();
    // SAFETY: the command writes a kind and an id.
    let told = unsafe { shimmed::fcntl(fd, F_GETOWN_EX, argument) };
    let [kind, id] = owner;
    match told {
        Ok(_) if kind == F_OWNER_PGRP => -id,
        Ok(_) => id,
        Err(error) => answer(Err(error)) as c_int,
    }
}

/// As `lockf(3)`.
pub fn lockf(fd: c_int, command: c_int, len: off_t) -> c_int {
    let mut lock = exclusive_lock(len);
    let command = match command {
        libc::F_LOCK => libc::F_SETLKW,
        libc::F_TLOCK => libc::F_SETLK,
        libc::F_ULOCK => {
            lock.l_type = libc::F_UNLCK as libc::c_short;
            libc::F_SETLK
        }
        libc::F_TEST => {
            lock.l_type = libc::F_RDLCK as libc::c_short;
            libc::F_GETLK
        }
        _ => return answer(Err(super::super::wait::error(libc::EINVAL))) as c_int,
    };
    let argument = (&raw mut lock).expose_provenance();
    // SAFETY: the command takes a lock, which is valid for a write too.
    let result = unsafe { fcntl(fd, command, argument) };
    // SAFETY: no pointers.
    let own = || unsafe { libc::getpid() };
    if result == 0
        && command == libc::F_GETLK
        && lock.l_type != libc::F_UNLCK as libc::c_short
        && lock.l_pid != own()
    {
        return answer(Err(super::super::wait::error(libc::EACCES))) as c_int;
    }
    result
}

/// The lock that `lockf` asks for: `len` bytes from the file's position on; 0 for all.
pub(in super::super) fn exclusive_lock(len: off_t) -> libc::flock {
    // SAFETY: of numbers: all zero is a lock of the whole file.
    let mut lock: libc::flock = unsafe { core::mem::zeroed() };
    lock.l_type = libc::F_WRLCK as libc::c_short;
    lock.l_whence = libc::SEEK_CUR as libc::c_short;
    lock.l_len = len;
    lock
}
