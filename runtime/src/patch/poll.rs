//! The group `poll`: `poll` and `ppoll`, and how a call waits for a set of descriptors.
//!
//! One descriptor that is waited for in one direction goes straight to the reactor. For all else the descriptors are put into an epoll
//! instance of the call's own, and the reactor waits for that: an epoll instance is readable while one of its descriptors is ready.
//!
//! # Signal masks
//!
//! A call with a mask lets signals in that are blocked otherwise, and ends with `EINTR` when one was handled. The OS thread
//! cannot wear the mask while the green thread waits, for the others would wear it too. So the mask is given to each try,
//! in which the kernel takes it up and puts it back; and a descriptor that is readable while such a signal is pending is waited
//! for besides. Signals that only the mask blocks may be handled meanwhile: they would be, too, were there another OS thread.

use super::report::{Blocking, blocks, count};
use super::wait::{answer, on_green, refuse, wait, with_errno};
use super::{Group, original};
use crate::clock::Instant;
use crate::scheduler::Worker;
use crate::sys::event::{Direction, Epoll};
use crate::sys::raw;
use crate::sys::shimmed::{SignalSet, blocked_signals, pending_signal};
use crate::thread::sleep_checked;
use core::ptr;
use core::slice;
use core::time::Duration;
use libc::{c_int, nfds_t, pollfd, sigset_t, timespec};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};

/// How often is looked when there is no descriptor left for an epoll instance.
const LOOK: Duration = Duration::from_millis(5);

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn poll(entries: *mut pollfd, count: nfds_t, timeout: c_int) -> c_int {
    count!(poll);
    let limit = u64::try_from(timeout).ok().map(Duration::from_millis);
    // SAFETY: the caller's promise.
    let polled = on_green(Group::Poll, |worker| unsafe { poll_green(worker, entries, count, limit, None) });
    // SAFETY: the caller's promise.
    polled.flatten().unwrap_or_else(|| unsafe { original::poll(entries, count, timeout) })
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn ppoll(
    entries: *mut pollfd,
    count: nfds_t,
    limit: *const timespec,
    mask: *const sigset_t,
) -> c_int {
    count!(ppoll);
    let polled = on_green(Group::Poll, |worker| {
        // SAFETY: null or valid, by the function's contract.
        let limit = unsafe { limit_of(limit) }?;
        // SAFETY: null or valid, by the function's contract.
        let mask = unsafe { mask_of(mask) };
        // SAFETY: the caller's promise.
        unsafe { poll_green(worker, entries, count, limit, mask) }
    });
    // SAFETY: the caller's promise.
    polled.flatten().unwrap_or_else(|| unsafe { original::ppoll(entries, count, limit, mask) })
}

/// How long a call is to wait, `None` for as long as it takes; or nothing if that is invalid, for the kernel to refuse.
///
/// # Safety
///
/// `limit` must be null or valid.
pub(super) unsafe fn limit_of(limit: *const timespec) -> Option<Option<Duration>> {
    // SAFETY: the caller's promise.
    let Some(limit) = (unsafe { limit.as_ref() }) else {
        return Some(None);
    };
    let seconds = u64::try_from(limit.tv_sec).ok()?;
    let nanos = u32::try_from(limit.tv_nsec).ok().filter(|nanos| *nanos < 1_000_000_000)?;
    Some(Some(Duration::new(seconds, nanos)))
}

/// The kernel's part of a mask.
///
/// # Safety
///
/// `mask` must be null or valid.
pub(super) unsafe fn mask_of(mask: *const sigset_t) -> Option<SignalSet> {
    // libc's set begins with the kernel's.
    // SAFETY: the caller's promise, and the set is at least as long as the kernel's, and aligned for it.
    unsafe { mask.cast::<SignalSet>().as_ref() }.copied()
}

/// The call on a green thread, if it may switch there.
///
/// # Safety
///
/// `entries` must point at `count` entries that nobody else uses until it returns.
unsafe fn poll_green(
    worker: &Worker,
    entries: *mut pollfd,
    count: nfds_t,
    limit: Option<Duration>,
    mask: Option<SignalSet>,
) -> Option<c_int> {
    if limit == Some(Duration::ZERO) {
        return None;
    }
    let attempt = || {
        let mut none = timespec { tv_sec: 0, tv_nsec: 0 };
        let mask = mask.as_ref().map_or(ptr::null(), ptr::from_ref).cast();
        // SAFETY: the caller's promise; a valid time; of a mask the kernel reads what a `SignalSet` has.
        unsafe { raw::ppoll(entries, count, &raw mut none, mask) }
    };
    // At first the kernel, which refuses what cannot be.
    let first = match attempt() {
        Ok(ready) => ready,
        Err(refused) => return Some(answer(Err(refused)) as c_int),
    };
    let len = usize::try_from(count).ok()?;
    let all = || match len {
        0 => &[],
        // SAFETY: the kernel has read so many, and writes none of them while this is used.
        len => unsafe { slice::from_raw_parts(entries.cast_const(), len) },
    };
    if all().iter().any(|entry| (0..=libc::STDERR_FILENO).contains(&entry.fd)) {
        if first == 0 {
            blocks(Blocking::StandardStream);
        }
        return None;
    }
    let mut first = Some(first);
    let polled = with_errno(|| {
        wait_for_any(worker, limit, mask, |look| match look {
            Look::Try => first.take().map_or_else(attempt, Ok),
            Look::Entries(of) => {
                of.extend_from_slice(all());
                Ok(0)
            }
        })
    });
    Some(polled as c_int)
}

/// What is asked of a call that waits for a set of descriptors.
pub(super) enum Look<'a> {
    /// How many are ready now?
    Try,
    /// Which are they?
    Entries(&'a mut Vec<pollfd>),
}

/// Waits until `ask` finds some ready, or for `limit`: then the answer is 0.
///
/// # Errors
///
/// Those of `ask`, `EINTR` among them, and those of a cancelled wait.
pub(super) fn wait_for_any(
    worker: &Worker,
    limit: Option<Duration>,
    mask: Option<SignalSet>,
    mut ask: impl FnMut(Look<'_>) -> io::Result<usize>,
) -> io::Result<usize> {
    if worker.spend() {
        worker.yield_now().map_err(|cancelled| refuse(worker, cancelled))?;
    }
    let until = limit.and_then(|limit| worker.now().checked_add(limit));
    let mut watch = None;
    loop {
        let ready = ask(Look::Try)?;
        if ready > 0 || until.is_some_and(|until| until <= worker.now()) {
            return Ok(ready);
        }
        if watch.is_none() {
            let mut entries = Vec::new();
            ask(Look::Entries(&mut entries))?;
            watch = Some(Watch::of(&entries, mask));
        }
        let waited = watch.as_ref().map_or(Ok(()), |watch| watch.wait(worker, until));
        match waited {
            Ok(()) => {}
            // Closed, or not to be watched: asked again, which tells.
            Err(error) if matches!(error.raw_os_error(), Some(libc::EBADF | libc::EPERM)) => {
                worker.yield_now().map_err(|cancelled| refuse(worker, cancelled))?;
            }
            // An epoll instance in which others are nested as deep as can be; or the kernel watches no more for this user.
            Err(error) if matches!(error.raw_os_error(), Some(libc::ELOOP | libc::ENOSPC | libc::ENOMEM)) => {
                watch = Some(Watch::Glances);
            }
            Err(error) => return Err(error),
        }
    }
}

/// How to wait for a set of descriptors.
enum Watch {
    One(RawFd, Direction),
    /// With the descriptor that tells of a signal, if one is to end the wait.
    Set(Epoll, #[expect(dead_code, reason = "open as long as it is waited for")] Option<OwnedFd>),
    /// Nothing to wait for but the time.
    Nothing,
    /// No descriptor was to be had for a set, or it cannot be watched: look now and then.
    Glances,
}

impl Watch {
    fn of(entries: &[pollfd], mask: Option<SignalSet>) -> Watch {
        // Those that are blocked now, and come in under the mask.
        let let_in = mask.map_or(0, |mask| blocked_signals() & !mask);
        let mut wanted = entries.iter().filter(|entry| entry.fd >= 0);
        match (wanted.next(), wanted.next()) {
            _ if let_in != 0 => {}
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
        let mut signal = None;
        if let_in != 0 {
            let added = pending_signal(let_in)
                .and_then(|fd| set.add_polled(signal.insert(fd).as_raw_fd(), libc::POLLIN, || libc::POLLIN));
            if added.is_err() {
                return Watch::Glances;
            }
        }
        for entry in entries.iter().filter(|entry| entry.fd >= 0) {
            // More than is wanted would be there for ever, and never end the call.
            let all = || {
                let same = entries.iter().filter(|other| other.fd == entry.fd);
                same.fold(0, |all, other| all | other.events)
            };
            match set.add_polled(entry.fd, entry.events, all) {
                Ok(()) => {}
                // A regular file: always ready for what it can be ready for.
                Err(error) if error.raw_os_error() == Some(libc::EPERM) => {}
                Err(_) => return Watch::Glances,
            }
        }
        Watch::Set(set, signal)
    }

    fn wait(&self, worker: &Worker, until: Option<Instant>) -> io::Result<()> {
        match self {
            Watch::One(fd, direction) => wait(worker, *fd, *direction, until).map(drop),
            Watch::Set(set, _) => wait(worker, set.as_fd().as_raw_fd(), Direction::Read, until).map(drop),
            Watch::Nothing => sleep_checked(until).map_err(|cancelled| refuse(worker, cancelled)),
            Watch::Glances => {
                let look = worker.now().checked_add(LOOK);
                let next = if until.is_some_and(|until| Some(until) < look) { until } else { look };
                sleep_checked(next).map_err(|cancelled| refuse(worker, cancelled))
            }
        }
    }
}
