//! Unix stream sockets.

use super::{Shutdown, SocketAddr};
use crate::net::descriptor::{descriptor_conversions, stream_io};
use crate::net::socket::{Kind, Socket, connect_unix};
use crate::sys::event::Direction;
use crate::sys::socket::Address;
use core::time::Duration;
use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream as StdStream;
use std::path::Path;

/// A connection between two processes of this machine; [`std::os::unix::net::UnixStream`] for green threads.
///
/// ```
/// use osier::os::unix::net::UnixStream;
/// use std::io::{Read, Write};
/// osier::run(|| {
///     let (mut here, mut there) = UnixStream::pair()?;
///     let reader = osier::spawn(move || {
///         let mut text = String::new();
///         there.read_to_string(&mut text).map(|_| text)
///     });
///     here.write_all(b"hello")?;
///     drop(here);
///     assert_eq!(reader.join().unwrap()?, "hello");
///     Ok::<(), std::io::Error>(())
/// })?;
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct UnixStream(Socket);

impl UnixStream {
    /// Connects to the socket at `path`; waits while its backlog is full.
    ///
    /// The kernel does not say when a backlog has room again, so that wait tries again every few milliseconds.
    ///
    /// # Errors
    ///
    /// If nobody listens there, or the path is too long or holds a zero byte.
    pub fn connect<P: AsRef<Path>>(path: P) -> io::Result<UnixStream> {
        UnixStream::connect_addr(&SocketAddr::from_pathname(path)?)
    }

    /// [`UnixStream::connect`] to an address, which need not be a path.
    ///
    /// # Errors
    ///
    /// If nobody listens there.
    pub fn connect_addr(socket_addr: &SocketAddr) -> io::Result<UnixStream> {
        connect_unix(&Address::of_unix(socket_addr)).map(UnixStream)
    }

    /// Two ends of a new connection.
    ///
    /// # Errors
    ///
    /// If the process has too many descriptors.
    pub fn pair() -> io::Result<(UnixStream, UnixStream)> {
        let (one, two) = StdStream::pair()?;
        Ok((UnixStream::made(one.into())?, UnixStream::made(two.into())?))
    }

    /// Of a descriptor of which nobody else knows.
    pub(super) fn made(fd: OwnedFd) -> io::Result<UnixStream> {
        Socket::new(fd, Kind::Messages).map(UnixStream)
    }

    fn view<T>(&self, f: impl FnOnce(&StdStream) -> T) -> T {
        self.0.view(f)
    }

    /// A second handle of the same connection: data, timeouts and other settings are shared.
    ///
    /// # Errors
    ///
    /// If the process has too many descriptors.
    pub fn try_clone(&self) -> io::Result<UnixStream> {
        self.0.try_clone().map(UnixStream)
    }

    /// The address of this end.
    ///
    /// # Errors
    ///
    /// If the kernel cannot tell.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.view(StdStream::local_addr)
    }

    /// The address of the other end.
    ///
    /// # Errors
    ///
    /// If the socket is not connected.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.view(StdStream::peer_addr)
    }

    /// Sets how long receiving may wait; `None` for as long as it takes.
    ///
    /// A call whose time is over fails with [`WouldBlock`](io::ErrorKind::WouldBlock).
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) for zero.
    pub fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.view(|socket| socket.set_read_timeout(timeout))?;
        self.0.note_timeout(Direction::Read, timeout);
        Ok(())
    }

    /// Sets how long sending may wait; `None` for as long as it takes.
    ///
    /// A call whose time is over fails with [`WouldBlock`](io::ErrorKind::WouldBlock).
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) for zero.
    pub fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.view(|socket| socket.set_write_timeout(timeout))?;
        self.0.note_timeout(Direction::Write, timeout);
        Ok(())
    }

    /// How long receiving may wait, as the kernel has rounded it.
    ///
    /// # Errors
    ///
    /// If the kernel cannot tell.
    pub fn read_timeout(&self) -> io::Result<Option<Duration>> {
        self.view(StdStream::read_timeout)
    }

    /// How long sending may wait, as the kernel has rounded it.
    ///
    /// # Errors
    ///
    /// If the kernel cannot tell.
    pub fn write_timeout(&self) -> io::Result<Option<Duration>> {
        self.view(StdStream::write_timeout)
    }

    /// Takes the error that is pending on the socket.
    ///
    /// # Errors
    ///
    /// If the kernel cannot tell.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.view(StdStream::take_error)
    }

    /// Makes calls return [`WouldBlock`](io::ErrorKind::WouldBlock) where they would wait, or lets them wait again. Such
    /// calls never yield.
    ///
    /// # Errors
    ///
    /// If the kernel refuses.
    pub fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        self.0.set_nonblocking(nonblocking)
    }

    /// Ends reading, writing or both, for all clones; whoever waits for it is woken. Never waits.
    ///
    /// # Errors
    ///
    /// If the socket is not connected.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.view(|socket| socket.shutdown(how))
    }

    /// Waits for data and copies it into `buf`, but leaves it for the next read; returns how many bytes. Unstable in std.
    ///
    /// # Errors
    ///
    /// As [`read`](io::Read::read).
    pub fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.peek(buf)
    }
}

stream_io!(UnixStream, &UnixStream);

impl From<OwnedFd> for UnixStream {
    fn from(fd: OwnedFd) -> UnixStream {
        UnixStream(Socket::adopt(fd, Kind::Messages))
    }
}

impl FromRawFd for UnixStream {
    unsafe fn from_raw_fd(fd: RawFd) -> UnixStream {
        // SAFETY: the caller's promise.
        UnixStream::from(unsafe { OwnedFd::from_raw_fd(fd) })
    }
}

descriptor_conversions!(UnixStream, StdStream);
