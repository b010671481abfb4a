//! epoll, eventfd, timerfd and poll.

use super::check;
use super::system_call::syscall;
use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// Which way a descriptor is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Read,
    Write,
}

/// What a descriptor turned out to be ready for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Readiness {
    pub(crate) read: bool,
    pub(crate) write: bool,
    /// The peer has closed, an error is pending, or urgent data has come: a short read no longer says that nothing is left.
    pub(crate) irregular: bool,
}

/// How a descriptor is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Interest {
    /// Both directions, each change reported once, until removed.
    Edge,
    /// These directions, reported once in all.
    Once { read: bool, write: bool },
    /// Reading, each change reported once.
    EdgeRead,
}

impl Interest {
    fn bits(self) -> u32 {
        let bits = match self {
            Interest::Edge => {
                libc::EPOLLIN | libc::EPOLLOUT | libc::EPOLLRDHUP | libc::EPOLLPRI | libc::EPOLLET
            }
            Interest::Once { read, write } => {
                libc::EPOLLONESHOT
                    | if read { libc::EPOLLIN | libc::EPOLLRDHUP } else { 0 }
                    | if write { libc::EPOLLOUT } else { 0 }
            }
            Interest::EdgeRead => libc::EPOLLIN | libc::EPOLLET,
        };
        bits.cast_unsigned()
    }
}

/// An epoll instance.
#[derive(Debug)]
pub(crate) struct Epoll {
    fd: OwnedFd,
    /// False once the kernel has said that it has no `epoll_pwait2` (before Linux 5.11).
    has_pwait2: AtomicBool,
}

/// How many events one wait can bring.
const EVENTS: usize = 256;

impl Epoll {
    pub(crate) fn new() -> io::Result<Epoll> {
        // SAFETY: no pointers.
        let fd = check(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
        // SAFETY: just created, and nobody else's.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        Ok(Epoll { fd, has_pwait2: AtomicBool::new(true) })
    }

    pub(crate) fn add(&self, fd: RawFd, interest: Interest, token: u64) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_ADD, fd, interest.bits(), token)
    }

    /// Watches for the events of a `pollfd`, which have the same numbers, for as long as they are there. `all` tells what is
    /// wanted of a descriptor in all, and is asked if it is watched already.
    #[cfg(feature = "patch")]
    pub(crate) fn add_polled(
        &self,
        fd: RawFd,
        events: libc::c_short,
        all: impl FnOnce() -> libc::c_short,
    ) -> io::Result<()> {
        let bits = |events: libc::c_short| u32::from(events.cast_unsigned());
        match self.control(libc::EPOLL_CTL_ADD, fd, bits(events), 0) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                self.control(libc::EPOLL_CTL_MOD, fd, bits(all()), 0)
            }
            result => result,
        }
    }

    pub(crate) fn modify(&self, fd: RawFd, interest: Interest, token: u64) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_MOD, fd, interest.bits(), token)
    }

    pub(crate) fn remove(&self, fd: RawFd) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_DEL, fd, 0, 0)
    }

    /// Whether a wait would bring events. For a signal handler.
    #[cfg(feature = "patch")]
    pub(crate) fn has_events(&self) -> bool {
        let ready = wait_readable_or_writable(self.fd.as_raw_fd(), Direction::Read, Some(Duration::ZERO));
        ready.unwrap_or(false)
    }

    fn control(&self, operation: libc::c_int, fd: RawFd, events: u32, token: u64) -> io::Result<()> {
        let mut event = libc::epoll_event { events, u64: token };
        // SAFETY: `event` is valid for the call; a descriptor that is none is answered with EBADF.
        check(unsafe { libc::epoll_ctl(self.fd.as_raw_fd(), operation, fd, &mut event) }).map(drop)
    }

    /// Waits for events, `None` for as long as it takes, and calls `each` with the token and readiness of each. An
    /// interruption counts as no events. Never returns before the time is over because of rounding.
    pub(crate) fn wait(
        &self,
        timeout: Option<Duration>,
        mut each: impl FnMut(u64, Readiness),
    ) -> io::Result<()> {
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; EVENTS];
        let count = match self.wait_raw(&mut events, timeout) {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
            Err(error) => return Err(error),
        };
        for event in &events[..count] {
            let (bits, token) = (event.events.cast_signed(), event.u64);
            let ended = bits & (libc::EPOLLHUP | libc::EPOLLERR) != 0;
            each(
                token,
                Readiness {
                    read: ended || bits & (libc::EPOLLIN | libc::EPOLLRDHUP | libc::EPOLLPRI) != 0,
                    write: ended || bits & libc::EPOLLOUT != 0,
                    irregular: ended || bits & (libc::EPOLLRDHUP | libc::EPOLLPRI) != 0,
                },
            );
        }
        Ok(())
    }

    fn wait_raw(&self, events: &mut [libc::epoll_event], timeout: Option<Duration>) -> io::Result<usize> {
        let (fd, room) = (self.fd.as_raw_fd(), events.len() as libc::c_int);
        let exact = timeout.filter(|timeout| !timeout.is_zero());
        if let Some(timeout) = exact
            && self.has_pwait2.load(Ordering::Relaxed)
        {
            let time = timespec(timeout);
            // SAFETY: `events` has room for `room` events, `time` is valid, and no signal mask is given.
            let result = unsafe {
                syscall(
                    libc::SYS_epoll_pwait2,
                    fd,
                    events.as_mut_ptr(),
                    room,
                    &raw const time,
                    core::ptr::null::<libc::sigset_t>(),
                    0_usize,
                )
            };
            match check(result as libc::c_int) {
                Err(error) if error.raw_os_error() == Some(libc::ENOSYS) => {
                    self.has_pwait2.store(false, Ordering::Relaxed);
                }
                result => return result.map(|count| count as usize),
            }
        }
        // Rounded up: for an old kernel the worker arms its timerfd, which is exact; this is the upper bound.
        let millis = match timeout {
            None => -1,
            Some(timeout) => {
                libc::c_int::try_from(timeout.as_nanos().div_ceil(1_000_000)).unwrap_or(libc::c_int::MAX)
            }
        };
        // A raw system call, since `epoll_wait` is one of the symbols that a shim may define.
        // SAFETY: `events` has room for `room` events; no signal mask is given.
        let result = unsafe {
            syscall(
                libc::SYS_epoll_pwait,
                fd,
                events.as_mut_ptr(),
                room,
                millis,
                core::ptr::null::<libc::sigset_t>(),
                0_usize,
            )
        };
        check(result as libc::c_int).map(|count| count as usize)
    }

    /// Whether [`Epoll::wait`] keeps to the nanosecond by itself; if not a [`TimerFd`] among its descriptors must.
    pub(crate) fn is_exact(&self) -> bool {
        self.has_pwait2.load(Ordering::Relaxed)
    }

    /// Behaves from now on as on a kernel without `epoll_pwait2`.
    #[cfg(test)]
    pub(crate) fn forget_pwait2(&self) {
        self.has_pwait2.store(false, Ordering::Relaxed);
    }
}

impl AsFd for Epoll {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// A descriptor that becomes readable when it is signalled. The worker watches its own for edges, and never reads it.
#[derive(Debug)]
pub(crate) struct EventFd(OwnedFd);

impl EventFd {
    pub(crate) fn new() -> io::Result<EventFd> {
        // SAFETY: no pointers.
        let fd = check(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) })?;
        // SAFETY: just created, and nobody else's.
        Ok(EventFd(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Puts a new one in the place of its descriptor, of which other processes have a duplicate.
    pub(crate) fn make_anew(&self) -> io::Result<()> {
        let new = EventFd::new()?;
        // SAFETY: no pointers. Both are open, and ours; the number stays ours.
        check(unsafe { libc::dup3(new.0.as_raw_fd(), self.0.as_raw_fd(), libc::O_CLOEXEC) }).map(drop)
    }

    /// Makes it readable. Async-signal-safe.
    pub(crate) fn signal(&self) {
        let one = 1_u64;
        // A full counter (EAGAIN) is readable already. Raw, since `write` is a symbol that a shim may define.
        // SAFETY: `one` is valid for 8 bytes.
        unsafe { syscall(libc::SYS_write, self.0.as_raw_fd(), &raw const one, 8_usize) };
    }

    /// Makes it no longer readable, for those who wait for it to be rather than for the edge.
    pub(crate) fn clear(&self) {
        let mut count = 0_u64;
        // Nothing to read (EAGAIN) is as good.
        // SAFETY: `count` has room for 8 bytes.
        unsafe { syscall(libc::SYS_read, self.0.as_raw_fd(), &raw mut count, 8_usize) };
    }
}

impl AsFd for EventFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// A descriptor that becomes readable when a time has come. Watched for edges, so it need not be read.
#[derive(Debug)]
pub(crate) struct TimerFd(OwnedFd);

impl TimerFd {
    pub(crate) fn new() -> io::Result<TimerFd> {
        let flags = libc::TFD_CLOEXEC | libc::TFD_NONBLOCK;
        // SAFETY: no pointers.
        let fd = check(unsafe { libc::timerfd_create(libc::CLOCK_MONOTONIC, flags) })?;
        // SAFETY: just created, and nobody else's.
        Ok(TimerFd(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Makes it readable `after` from now (at once for zero), and not before; `None`: never. Forgets what was set before.
    pub(crate) fn set(&self, after: Option<Duration>) {
        let it_value = match after {
            None => libc::timespec { tv_sec: 0, tv_nsec: 0 },
            // Zero would disarm it.
            Some(after) => timespec(after.max(Duration::from_nanos(1))),
        };
        let time = libc::itimerspec { it_interval: libc::timespec { tv_sec: 0, tv_nsec: 0 }, it_value };
        // SAFETY: `time` is valid, and the old value is not asked for.
        let result = unsafe { libc::timerfd_settime(self.0.as_raw_fd(), 0, &time, core::ptr::null_mut()) };
        debug_assert_eq!(result, 0, "timerfd_settime fails only for bad arguments");
    }
}

impl AsFd for TimerFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Blocks the OS thread until `fd` is ready for `direction` (or has ended). False if the time was over first.
pub(crate) fn wait_readable_or_writable(
    fd: RawFd,
    direction: Direction,
    timeout: Option<Duration>,
) -> io::Result<bool> {
    let events = match direction {
        Direction::Read => libc::POLLIN,
        Direction::Write => libc::POLLOUT,
    };
    let mut entry = libc::pollfd { fd, events, revents: 0 };
    let time = timeout.map(timespec);
    let time = time.as_ref().map_or(core::ptr::null(), core::ptr::from_ref);
    // Raw, since `ppoll` is a symbol that a shim may define.
    // SAFETY: one entry, valid; `time` is null or valid; no signal mask is given.
    let result = unsafe {
        syscall(
            libc::SYS_ppoll,
            &raw mut entry,
            1_usize,
            time.cast_mut(),
            core::ptr::null::<libc::sigset_t>(),
            0_usize,
        )
    };
    match check(result as libc::c_int) {
        Ok(ready) => Ok(ready > 0),
        // The caller tries again and waits for what is left of its time.
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(true),
        Err(error) => Err(error),
    }
}

pub(super) fn timespec(duration: Duration) -> libc::timespec {
    libc::timespec {
        tv_sec: libc::time_t::try_from(duration.as_secs()).unwrap_or(libc::time_t::MAX),
        tv_nsec: duration.subsec_nanos().into(),
    }
}
