//! The group `poll`: `poll` and `ppoll`.
//!
//! One descriptor that is waited for in one direction goes straight to the reactor. For all else the descriptors are put into an epoll
//! instance of the call's own, and the reactor waits for that: an epoll instance is readable while one of its descriptors is ready.

use super::wait::{answer, on_green, refuse, wait};
use super::{Group, original};
use crate::clock::Instant;
use crate::scheduler::Worker;
use crate::sys::event::{Direction, Epoll};
use crate::sys::{errno, raw};
use crate::thread::sleep_checked;
use core::ptr;
use core::slice;
use core::time::Duration;
use libc::{c_int, nfds_t, pollfd, sigset_t, timespec};
use std::io;
use std::os::fd::{AsFd, AsRawFd};

/// How often is looked when there is no descriptor left for an epoll instance.
const LOOK: Duration = Duration::from_millis(5);

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn poll(entries: *mut pollfd, count: nfds_t, timeout: c_int) -> c_int {
    let limit = u64::try_from(timeout).ok().map(Duration::from_millis);
    // SAFETY: the caller's promise.
    let polled = unsafe { poll_green(entries, count, limit) };
    // SAFETY: the caller's promise.
    polled.unwrap_or_else(|| unsafe { original::poll(entries, count, timeout) })
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn ppoll(
    entries: *mut pollfd,
    count: nfds_t,
    limit: *const timespec,
    mask: *const sigset_t,
) -> c_int {
    // A signal mask is the OS thread's, and holds while that waits: it cannot be left to others.
    if mask.is_null() {
        // SAFETY: null or valid, by the function's contract.
        let time = unsafe { limit.as_ref() };
        let time =
            time.map(|time| Some((u64::try_from(time.tv_sec).ok()?, u32::try_from(time.tv_nsec).ok()?)));
        let time = time.map(|time| {
            let (seconds, nanos) = time?;
            (nanos < 1_000_000_000).then(|| Duration::new(seconds, nanos))
        });
        // An invalid time is for the kernel to refuse.
        if time != Some(None) {
            // SAFETY: the caller's promise.
            if let Some(ready) = unsafe { poll_green(entries, count, time.flatten()) } {
                return ready;
            }
        }
    }
    // SAFETY: the caller's promise.
    unsafe { original::ppoll(entries, count, limit, mask) }
}

/// The call on a green thread, if it may switch there.
///
/// # Safety
///
/// `entries` must point at `count` entries that nobody else uses until it returns.
unsafe fn poll_green(entries: *mut pollfd, count: nfds_t, limit: Option<Duration>) -> Option<c_int> {
    if limit == Some(Duration::ZERO) {
        return None;
    }
    on_green(Group::Poll, |worker| {
        let entries = match usize::try_from(count).ok()? {
            0 => &mut [],
            _ if entries.is_null() => return None,
            // SAFETY: the caller's promise.
            count => unsafe { slice::from_raw_parts_mut(entries, count) },
        };
        if entries.iter().any(|entry| (0..=libc::STDERR_FILENO).contains(&entry.fd)) {
            return None;
        }
        let before = errno::last();
        let result = poll_with(worker, entries, limit);
        if result.is_ok() {
            errno::set(before);
        }
        Some(answer(result) as c_int)
    })
    .flatten()
}

fn poll_with(worker: &Worker, entries: &mut [pollfd], limit: Option<Duration>) -> io::Result<usize> {
    if worker.spend() {
        worker.yield_now().map_err(|cancelled| refuse(worker, cancelled))?;
    }
    let until = limit.and_then(|limit| worker.now().checked_add(limit));
    let mut watch = None;
    loop {
        let mut none = timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: so many entries, a valid time, no mask.
        let ready =
            unsafe { raw::ppoll(entries.as_mut_ptr(), entries.len() as nfds_t, &raw mut none, ptr::null()) }?;
        if ready > 0 || until.is_some_and(|until| until <= worker.now()) {
            return Ok(ready);
        }
        let watch = watch.get_or_insert_with(|| Watch::of(entries));
        match watch.wait(worker, until) {
            Ok(_) => {}
            // Closed, or not to be watched: polled again, which tells.
            Err(error) if matches!(error.raw_os_error(), Some(libc::EBADF | libc::EPERM)) => {
                worker.yield_now().map_err(|cancelled| refuse(worker, cancelled))?;
            }
            Err(error) => return Err(error),
        }
    }
}

/// How to wait for a set of descriptors.
enum Watch {
    One(c_int, Direction),
    Set(Epoll),
    /// Nothing to wait for but the time.
    Nothing,
    /// No descriptor was to be had for a set: look now and then.
    Glances,
}

impl Watch {
    fn of(entries: &[pollfd]) -> Watch {
        let mut wanted = entries.iter().filter(|entry| entry.fd >= 0);
        match (wanted.next(), wanted.next()) {
            (None, _) => return Watch::Nothing,
            (Some(one), None) => {
                let direction = match one.events {
                    libc::POLLIN => Some(Direction::Read),
                    libc::POLLOUT => Some(Direction::Write),
                    _ => None,
                };
                if let Some(direction) = direction {
                    return Watch::One(one.fd, direction);
                }
            }
            _ => {}
        }
        let Ok(set) = Epoll::new() else {
            return Watch::Glances;
        };
        for entry in entries.iter().filter(|entry| entry.fd >= 0) {
            match set.add_polled(entry.fd, entry.events) {
                Ok(()) => {}
                // A regular file: always ready for what it can be ready for.
                Err(error) if error.raw_os_error() == Some(libc::EPERM) => {}
                Err(_) => return Watch::Glances,
            }
        }
        Watch::Set(set)
    }

    fn wait(&self, worker: &Worker, until: Option<Instant>) -> io::Result<()> {
        match self {
            Watch::One(fd, direction) => wait(worker, *fd, *direction, until).map(drop),
            Watch::Set(set) => wait(worker, set.as_fd().as_raw_fd(), Direction::Read, until).map(drop),
            Watch::Nothing => sleep_checked(until).map_err(|cancelled| refuse(worker, cancelled)),
            Watch::Glances => {
                let look = worker.now().checked_add(LOOK);
                let next = if until.is_some_and(|until| Some(until) < look) { until } else { look };
                sleep_checked(next).map_err(|cancelled| refuse(worker, cancelled))
            }
        }
    }
}
