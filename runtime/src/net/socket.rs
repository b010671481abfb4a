//! What all sockets of the crate, and its pipes, have in common: one way to try, to wait, and to be closed.
//!
//! # Blocking in name
//!
//! In the kernel a socket is what its user has made of it, so that a descriptor that is lent or given away behaves as one of
//! std's: streams and datagram sockets stay blocking and are tried with `MSG_DONTWAIT`. `accept` knows no such flag, nor
//! does a read of a pipe on every kernel, so listeners and pipes alone are nonblocking in the kernel while they are ours.
//!
//! # Handing on
//!
//! Of several waiters an event wakes one. Whoever leaves [`Socket::try_io`] after a try notes what it has found, errors
//! too, and thereby wakes the next.

use super::registrations::Registrations;
use crate::clock::Instant;
use crate::limits::Limits;
use crate::park::{Cancelled, Reason, Wake, earliest, park, passed};
use crate::reactor::Key;
use crate::scheduler::{self, Place, Worker};
use crate::sys::event::{Direction, wait_readable_or_writable};
use crate::sys::socket::{self, Address, MAX_BYTES, MAX_PARTS};
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use core::time::Duration;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::Arc;

/// The longest pause between two tries of a call that the kernel does not tell us the right time for.
const LONGEST_PAUSE: Duration = Duration::from_millis(5);

/// What a socket is, as far as waiting for it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A stream of bytes, of which a short transfer says that there is no more for now.
    Stream,
    /// Messages, or a stream with marks in it: only `EAGAIN` says so.
    Messages,
    /// Accepts. Nonblocking in the kernel.
    Listener,
    /// One end of a pipe: a stream of bytes that is not a socket. Nonblocking in the kernel.
    Pipe,
    /// What was handed to us as one end of a pipe, which may be a terminal, or keep messages apart: only `EAGAIN` says that
    /// there is no more. Nonblocking in the kernel.
    PipeLike,
}

impl Kind {
    /// Whether its calls know no flag that says "do not wait".
    fn is_nonblocking_in_kernel(self) -> bool {
        matches!(self, Kind::Listener | Kind::Pipe | Kind::PipeLike)
    }
}

/// A socket, or one end of a pipe.
pub(crate) struct Socket {
    kind: Kind,
    settings: Arc<Settings>,
    /// Dropped before the descriptor is closed.
    registrations: Registrations,
    fd: OwnedFd,
}

/// What the user has set; shared by clones. Relaxed throughout: a setting orders nothing else.
#[derive(Default)]
struct Settings {
    /// The user wants `WouldBlock` instead of a wait.
    nonblocking: AtomicBool,
    /// Nanoseconds that a read may wait; 0 for as long as it takes.
    read_timeout: AtomicU64,
    /// Nanoseconds that a write may wait; 0 for as long as it takes.
    write_timeout: AtomicU64,
}

impl Settings {
    fn timeout_cell(&self, direction: Direction) -> &AtomicU64 {
        match direction {
            Direction::Read => &self.read_timeout,
            Direction::Write => &self.write_timeout,
        }
    }

    fn timeout(&self, direction: Direction) -> Option<Duration> {
        let nanos = self.timeout_cell(direction).load(Ordering::Relaxed);
        (nanos != 0).then(|| Duration::from_nanos(nanos))
    }

    fn set_timeout(&self, direction: Direction, timeout: Option<Duration>) {
        let nanos = timeout.map_or(0, |timeout| u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX));
        self.timeout_cell(direction).store(nanos, Ordering::Relaxed);
    }
}

impl Socket {
    /// A socket that we have made, of which nobody else knows. A listener becomes nonblocking, and may have as many connections
    /// waiting for `accept` as the system allows: green threads connect by the thousand, and what overflows the 128 of std
    /// is delayed by seconds, or lost without a word to a client that only reads.
    pub(crate) fn new(fd: OwnedFd, kind: Kind) -> io::Result<Socket> {
        if kind.is_nonblocking_in_kernel() {
            socket::set_nonblocking(fd.as_raw_fd(), true)?;
        }
        if kind == Kind::Listener {
            socket::listen(fd.as_raw_fd())?;
        }
        Ok(Socket::with(fd, kind, Arc::default(), false))
    }

    /// A socket that comes from outside, with what its user has set.
    pub(crate) fn adopt(fd: OwnedFd, kind: Kind) -> Socket {
        let settings = Settings::default();
        // These fail only for what is no socket; then so will every call on it.
        let nonblocking = socket::is_nonblocking(fd.as_raw_fd()).unwrap_or(false);
        settings.nonblocking.store(nonblocking, Ordering::Relaxed);
        // The options are the same for sockets of every kind.
        socket::view(&fd, |socket: &std::net::UdpSocket| {
            settings.set_timeout(Direction::Read, socket.read_timeout().ok().flatten());
            settings.set_timeout(Direction::Write, socket.write_timeout().ok().flatten());
        });
        if kind.is_nonblocking_in_kernel() && !nonblocking {
            let _ = socket::set_nonblocking(fd.as_raw_fd(), true);
        }
        Socket::with(fd, kind, Arc::new(settings), true)
    }

    fn with(fd: OwnedFd, kind: Kind, settings: Arc<Settings>, duplicated: bool) -> Socket {
        let registrations = Registrations::new(fd.as_raw_fd(), duplicated);
        Socket { kind, settings, registrations, fd }
    }

    /// A second descriptor of the same socket.
    pub(crate) fn try_clone(&self) -> io::Result<Socket> {
        let fd = self.fd.try_clone()?;
        self.registrations.note_duplicated();
        Ok(Socket::with(fd, self.kind, self.settings.clone(), true))
    }

    /// Gives the descriptor away, as its user has set it. A listener or pipe stays nonblocking while it has clones, which need it so.
    pub(crate) fn into_fd(self) -> OwnedFd {
        let Socket { kind, settings, registrations, fd } = self;
        registrations.note_duplicated();
        drop(registrations);
        if kind.is_nonblocking_in_kernel()
            && !settings.nonblocking.load(Ordering::Relaxed)
            && Arc::strong_count(&settings) == 1
        {
            // Fails only for what is no socket.
            let _ = socket::set_nonblocking(fd.as_raw_fd(), false);
        }
        fd
    }

    /// Lends the descriptor, of which the borrower may make a duplicate.
    pub(crate) fn lend(&self) -> BorrowedFd<'_> {
        self.registrations.note_duplicated();
        self.fd.as_fd()
    }

    /// What `f` makes of it as one of std's types. For calls that never wait.
    pub(crate) fn view<S: From<OwnedFd>, T>(&self, f: impl FnOnce(&S) -> T) -> T {
        socket::view(&self.fd, f)
    }

    pub(crate) fn fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }

    pub(crate) fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        if !self.kind.is_nonblocking_in_kernel() {
            socket::set_nonblocking(self.fd(), nonblocking)?;
        }
        self.settings.nonblocking.store(nonblocking, Ordering::Relaxed);
        Ok(())
    }

    /// Notes a timeout that the kernel has accepted.
    pub(crate) fn note_timeout(&self, direction: Direction, timeout: Option<Duration>) {
        self.settings.set_timeout(direction, timeout);
    }

    /// Takes over the timeouts of `listener`, as an accepted TCP socket does in the kernel.
    pub(crate) fn inherit_timeouts(&self, listener: &Socket) {
        for direction in [Direction::Read, Direction::Write] {
            self.settings.set_timeout(direction, listener.settings.timeout(direction));
        }
    }

    /// Tries `call` until it does not say `WouldBlock`, and waits in between, for at most the timeout that the user has set for
    /// this direction. `call` returns its result and whether there may be more.
    pub(crate) fn io<T>(
        &self,
        direction: Direction,
        call: impl FnMut() -> io::Result<(T, bool)>,
    ) -> io::Result<T> {
        self.try_io(direction, self.settings.timeout(direction), call)
            .unwrap_or_else(|cancelled| cancelled.raise())
    }

    /// [`Socket::io`] with a timeout of its own; when that is over the result is `WouldBlock`.
    pub(crate) fn try_io<T>(
        &self,
        direction: Direction,
        timeout: Option<Duration>,
        mut call: impl FnMut() -> io::Result<(T, bool)>,
    ) -> Result<io::Result<T>, Cancelled> {
        if self.settings.nonblocking.load(Ordering::Relaxed) {
            return Ok(self.try_once(direction, call));
        }
        scheduler::checkpoint()?;
        scheduler::with_place(|place| match place {
            Place::Green(worker) | Place::Driver(worker) => {
                self.io_on_worker(worker, direction, timeout, &mut call)
            }
            Place::OsThread => self.io_on_os_thread(direction, timeout, &mut call),
        })
    }

    /// Tries without ever waiting or yielding.
    fn try_once<T>(
        &self,
        direction: Direction,
        mut call: impl FnMut() -> io::Result<(T, bool)>,
    ) -> io::Result<T> {
        loop {
            let result = call();
            if is(&result, io::ErrorKind::Interrupted) {
                continue;
            }
            scheduler::with_worker(|worker| {
                if let Some(worker) = worker
                    && let Some(key) = self.registrations.key_on(worker)
                {
                    note(worker, key, direction, &result);
                }
            });
            return result.map(|(value, _)| value);
        }
    }

    fn io_on_worker<T>(
        &self,
        worker: &Worker,
        direction: Direction,
        timeout: Option<Duration>,
        call: &mut impl FnMut() -> io::Result<(T, bool)>,
    ) -> Result<io::Result<T>, Cancelled> {
        let reactor = worker.reactor();
        let mut registered = self.registrations.key_on(worker);
        let mut deadline = None;
        // One last try when the time is over: what has come in the meantime is not left behind.
        let mut is_last = false;
        loop {
            if is_last || !registered.is_some_and(|key| reactor.is_blocked(key, direction)) {
                let result = call();
                if is(&result, io::ErrorKind::Interrupted) {
                    continue;
                }
                if let Some(key) = registered {
                    note(worker, key, direction, &result);
                }
                if is_last || !is(&result, io::ErrorKind::WouldBlock) {
                    return Ok(result.map(|(value, _)| value));
                }
            }
            let key = match registered {
                Some(key) => key,
                None => match self.registrations.register_on(worker) {
                    Ok(key) => {
                        // What has come since the try is reported as the first event.
                        reactor.note_blocked(key, direction);
                        registered = Some(key);
                        key
                    }
                    Err(error) => return Ok(Err(error)),
                },
            };
            if deadline.is_none() {
                deadline = timeout.and_then(|timeout| worker.now().checked_add(timeout));
            }
            match reactor.wait(key, direction, deadline)? {
                Wake::Unparked => {}
                Wake::Deadline => is_last = true,
            }
        }
    }

    fn io_on_os_thread<T>(
        &self,
        direction: Direction,
        timeout: Option<Duration>,
        call: &mut impl FnMut() -> io::Result<(T, bool)>,
    ) -> Result<io::Result<T>, Cancelled> {
        let mut until = None;
        loop {
            let result = call();
            if is(&result, io::ErrorKind::Interrupted) {
                continue;
            }
            if !is(&result, io::ErrorKind::WouldBlock) {
                return Ok(result.map(|(value, _)| value));
            }
            let (at, whose) = *until.get_or_insert_with(|| {
                let own = timeout.and_then(|timeout| Instant::of_machine().checked_add(timeout));
                earliest(own, &Limits::now())
            });
            let left = at.map(|at| at.saturating_duration_since(Instant::of_machine()));
            if left.is_some_and(|left| left.is_zero()) {
                passed(whose)?;
                return Ok(result.map(|(value, _)| value));
            }
            if let Err(error) = wait_readable_or_writable(self.fd(), direction, left) {
                return Ok(Err(error));
            }
        }
    }

    /// Sends all of `buf` unless the time is over, an error comes or the thread is told to end; what was sent by then counts.
    pub(crate) fn send_all(&self, buf: &[u8]) -> io::Result<usize> {
        self.transfer_all(buf, socket::send)
    }

    /// [`Socket::send_all`], with the call that sends a part.
    pub(crate) fn transfer_all(
        &self,
        buf: &[u8],
        send: impl Fn(RawFd, &[u8]) -> io::Result<usize>,
    ) -> io::Result<usize> {
        let mut sent = 0;
        let timeout = self.settings.timeout(Direction::Write);
        let outcome = self.try_io(Direction::Write, timeout, || {
            loop {
                let part = &buf[sent..];
                let count = send(self.fd(), part)?;
                sent += count;
                if sent == buf.len() {
                    return Ok(((), true));
                }
                if !self.may_have_more(count, part.len()) {
                    // No more room: spares the try that would say so.
                    return Err(io::ErrorKind::WouldBlock.into());
                }
            }
        });
        match outcome {
            Ok(Ok(())) => Ok(sent),
            // The next call says why.
            _ if sent > 0 => Ok(sent),
            Ok(Err(error)) => Err(error),
            Err(cancelled) => cancelled.raise(),
        }
    }

    /// Sends `buf` as one message.
    pub(crate) fn send_message(&self, buf: &[u8]) -> io::Result<usize> {
        self.io(Direction::Write, || Ok((socket::send(self.fd(), buf)?, true)))
    }

    /// Receives into `buf`.
    pub(crate) fn recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.io(Direction::Read, || {
            let count = socket::recv(self.fd(), buf, 0)?;
            Ok((count, self.may_have_more(count, buf.len())))
        })
    }

    /// Receives into `buf`, and leaves the data for the next call.
    pub(crate) fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.io(Direction::Read, || Ok((socket::recv(self.fd(), buf, socket::PEEK)?, true)))
    }

    pub(crate) fn recv_vectored(&self, bufs: &mut [io::IoSliceMut<'_>]) -> io::Result<usize> {
        let parts = bufs.len().min(MAX_PARTS);
        let bufs = &mut bufs[..parts];
        let room = bufs.iter().fold(0, |room: usize, buf| room.saturating_add(buf.len()));
        self.io(Direction::Read, || {
            let count = socket::recv_vectored(self.fd(), bufs)?;
            Ok((count, self.may_have_more(count, room)))
        })
    }

    pub(crate) fn send_vectored(&self, bufs: &[io::IoSlice<'_>]) -> io::Result<usize> {
        let bufs = &bufs[..bufs.len().min(MAX_PARTS)];
        let size = bufs.iter().fold(0, |size: usize, buf| size.saturating_add(buf.len()));
        self.io(Direction::Write, || {
            let count = socket::send_vectored(self.fd(), bufs)?;
            Ok((count, self.may_have_more(count, size)))
        })
    }

    /// Receives a message into `buf`, and where it comes from.
    pub(crate) fn recv_from(&self, buf: &mut [u8], peek: bool) -> io::Result<(usize, Address)> {
        let flags = if peek { socket::PEEK } else { 0 };
        self.io(Direction::Read, || Ok((socket::recv_from(self.fd(), buf, flags)?, true)))
    }

    pub(crate) fn accept(&self) -> io::Result<(OwnedFd, Address)> {
        self.io(Direction::Read, || Ok((socket::accept(self.fd())?, true)))
    }

    /// Tries `call` again and again while the kernel says `WouldBlock` and would never say that it is worth a new try: a
    /// Unix socket that is not connected is writable, however full its peer's queue is. Yields first, then pauses for ever longer.
    pub(crate) fn retry<T>(&self, mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
        if self.settings.nonblocking.load(Ordering::Relaxed) {
            return call();
        }
        raise(scheduler::checkpoint());
        let mut deadline = None;
        let mut pause = Duration::ZERO;
        loop {
            let result = call();
            if is(&result, io::ErrorKind::Interrupted) {
                continue;
            }
            if !is(&result, io::ErrorKind::WouldBlock) {
                return result;
            }
            let now = Instant::now();
            if deadline.is_none() {
                let timeout = self.settings.timeout(Direction::Write);
                deadline = timeout.and_then(|timeout| now.checked_add(timeout));
            }
            if deadline.is_some_and(|deadline| deadline <= now) {
                return result;
            }
            if pause.is_zero() {
                raise(scheduler::yield_now());
                pause = Duration::from_micros(50);
                continue;
            }
            let until = now.checked_add(pause);
            let until = deadline.filter(|deadline| until.is_none_or(|until| *deadline < until)).or(until);
            raise(park(Reason::Io(self.fd(), Direction::Write), until).map(drop));
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// What a transfer of `count` bytes says. 0 is the end of a stream, which stays.
    pub(crate) fn may_have_more(&self, count: usize, asked: usize) -> bool {
        !matches!(self.kind, Kind::Stream | Kind::Pipe) || count == 0 || count == asked.min(MAX_BYTES)
    }
}

/// Connects a new stream socket, for at most `timeout`.
pub(crate) fn connect(address: &Address, kind: Kind, timeout: Option<Duration>) -> io::Result<Socket> {
    let socket = Socket::new(socket::stream_socket(address)?, kind)?;
    let attempt = || socket::connect(socket.fd(), address).map(|()| ((), true));
    match socket.try_io(Direction::Write, timeout, attempt) {
        Ok(Ok(())) => {}
        Ok(Err(error)) if timeout.is_some() && error.kind() == io::ErrorKind::WouldBlock => {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "connection timed out"));
        }
        Ok(Err(error)) => return Err(error),
        Err(cancelled) => cancelled.raise(),
    }
    socket::set_nonblocking(socket.fd(), false)?;
    Ok(socket)
}

/// Connects a new Unix stream socket. A full backlog is waited for with [`Socket::retry`].
pub(crate) fn connect_unix(address: &Address) -> io::Result<Socket> {
    let socket = Socket::new(socket::stream_socket(address)?, Kind::Messages)?;
    socket.retry(|| socket::connect(socket.fd(), address))?;
    socket::set_nonblocking(socket.fd(), false)?;
    Ok(socket)
}

fn is<T>(result: &io::Result<T>, kind: io::ErrorKind) -> bool {
    result.as_ref().is_err_and(|error| error.kind() == kind)
}

/// Notes what a try has shown.
fn note<T>(worker: &Worker, key: Key, direction: Direction, result: &io::Result<(T, bool)>) {
    match result {
        Ok((_, more)) => worker.reactor().note(key, direction, *more),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            worker.reactor().note_blocked(key, direction);
        }
        // Whatever it is, the next waiter must hear of it.
        Err(_) => worker.reactor().note(key, direction, true),
    }
}

fn raise(outcome: Result<(), Cancelled>) {
    if let Err(cancelled) = outcome {
        cancelled.raise();
    }
}
