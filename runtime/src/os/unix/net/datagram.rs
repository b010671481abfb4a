//! Unix datagram sockets.

use super::{Shutdown, SocketAddr};
use crate::net::descriptor::descriptor_conversions;
use crate::net::socket::{Kind, Socket};
use crate::sys::event::Direction;
use crate::sys::socket::{Address, connect_at_once, send_to};
use core::time::Duration;
use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixDatagram as StdSocket;
use std::path::Path;

/// A socket for messages within this machine; [`std::os::unix::net::UnixDatagram`] for green threads.
///
/// ```
/// use osier::os::unix::net::UnixDatagram;
/// osier::run(|| {
///     let (here, there) = UnixDatagram::pair()?;
///     let reader = osier::spawn(move || {
///         let mut buf = [0; 16];
///         there.recv(&mut buf).map(|len| buf[..len].to_vec())
///     });
///     here.send(b"hello")?;
///     assert_eq!(reader.join().unwrap()?, b"hello");
///     Ok::<(), std::io::Error>(())
/// })?;
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct UnixDatagram(Socket);

impl UnixDatagram {
    /// A socket bound to `path`, which must not exist. Never waits.
    ///
    /// # Errors
    ///
    /// If the path exists, is too long or holds a zero byte, or its directory does not allow it.
    pub fn bind<P: AsRef<Path>>(path: P) -> io::Result<UnixDatagram> {
        UnixDatagram::made(StdSocket::bind(path)?)
    }

    /// [`UnixDatagram::bind`] to an address, which need not be a path.
    ///
    /// # Errors
    ///
    /// If the address is taken.
    pub fn bind_addr(socket_addr: &SocketAddr) -> io::Result<UnixDatagram> {
        UnixDatagram::made(StdSocket::bind_addr(socket_addr)?)
    }

    /// A socket without an address.
    ///
    /// # Errors
    ///
    /// If the process has too many descriptors.
    pub fn unbound() -> io::Result<UnixDatagram> {
        UnixDatagram::made(StdSocket::unbound()?)
    }

    /// Two sockets without addresses that are connected to each other.
    ///
    /// # Errors
    ///
    /// If the process has too many descriptors.
    pub fn pair() -> io::Result<(UnixDatagram, UnixDatagram)> {
        let (one, two) = StdSocket::pair()?;
        Ok((UnixDatagram::made(one)?, UnixDatagram::made(two)?))
    }

    fn made(socket: StdSocket) -> io::Result<UnixDatagram> {
        Socket::new(socket.into(), Kind::Messages).map(UnixDatagram)
    }

    fn view<T>(&self, f: impl FnOnce(&StdSocket) -> T) -> T {
        self.0.view(f)
    }

    /// Sets the one address to send to and to receive from. Never waits.
    ///
    /// # Errors
    ///
    /// If there is no such socket, or the path is too long or holds a zero byte.
    pub fn connect<P: AsRef<Path>>(&self, path: P) -> io::Result<()> {
        self.connect_addr(&SocketAddr::from_pathname(path)?)
    }

    /// [`UnixDatagram::connect`] to an address, which need not be a path.
    ///
    /// # Errors
    ///
    /// If there is no such socket.
    pub fn connect_addr(&self, socket_addr: &SocketAddr) -> io::Result<()> {
        connect_at_once(self.0.fd(), &Address::of_unix(socket_addr))
    }

    /// A second handle of the same socket: data, timeouts and other settings are shared.
    ///
    /// # Errors
    ///
    /// If the process has too many descriptors.
    pub fn try_clone(&self) -> io::Result<UnixDatagram> {
        self.0.try_clone().map(UnixDatagram)
    }

    /// The address of this end.
    ///
    /// # Errors
    ///
    /// If the kernel cannot tell.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.view(StdSocket::local_addr)
    }

    /// The address of the other end.
    ///
    /// # Errors
    ///
    /// If the socket is not connected.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.view(StdSocket::peer_addr)
    }

    /// Waits for a message, and returns its length and where it comes from. What has no room in `buf` is lost.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) when the read timeout is over.
    pub fn recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        let (count, from) = self.0.recv_from(buf, false)?;
        Ok((count, from.to_unix()?))
    }

    /// Waits for a message, and returns its length. What has no room in `buf` is lost.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) when the read timeout is over.
    pub fn recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.recv(buf)
    }

    /// Sends `buf` as one message to the socket at `path`; waits while its queue is full.
    ///
    /// The kernel does not say when the queue of a socket that this one is not connected to has room again, so that wait
    /// tries again every few milliseconds.
    ///
    /// # Errors
    ///
    /// If there is no such socket, or the message is too long.
    pub fn send_to<P: AsRef<Path>>(&self, buf: &[u8], path: P) -> io::Result<usize> {
        self.send_to_addr(buf, &SocketAddr::from_pathname(path)?)
    }

    /// [`UnixDatagram::send_to`] to an address, which need not be a path.
    ///
    /// # Errors
    ///
    /// If there is no such socket, or the message is too long.
    pub fn send_to_addr(&self, buf: &[u8], socket_addr: &SocketAddr) -> io::Result<usize> {
        let to = Address::of_unix(socket_addr);
        self.0.retry(|| send_to(self.0.fd(), buf, &to))
    }

    /// Sends `buf` as one message to the socket that this one is connected to; waits for room.
    ///
    /// # Errors
    ///
    /// If it is connected to none, or the message is too long.
    pub fn send(&self, buf: &[u8]) -> io::Result<usize> {
        self.0.send_message(buf)
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
        self.view(StdSocket::read_timeout)
    }

    /// How long sending may wait, as the kernel has rounded it.
    ///
    /// # Errors
    ///
    /// If the kernel cannot tell.
    pub fn write_timeout(&self) -> io::Result<Option<Duration>> {
        self.view(StdSocket::write_timeout)
    }

    /// Takes the error that is pending on the socket.
    ///
    /// # Errors
    ///
    /// If the kernel cannot tell.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.view(StdSocket::take_error)
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

    /// [`UnixDatagram::recv`] that leaves the message for the next call. Unstable in std.
    ///
    /// # Errors
    ///
    /// As [`UnixDatagram::recv`].
    pub fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.peek(buf)
    }

    /// [`UnixDatagram::recv_from`] that leaves the message for the next call. Unstable in std.
    ///
    /// # Errors
    ///
    /// As [`UnixDatagram::recv_from`].
    pub fn peek_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        let (count, from) = self.0.recv_from(buf, true)?;
        Ok((count, from.to_unix()?))
    }
}

impl From<OwnedFd> for UnixDatagram {
    fn from(fd: OwnedFd) -> UnixDatagram {
        UnixDatagram(Socket::adopt(fd, Kind::Messages))
    }
}

impl FromRawFd for UnixDatagram {
    unsafe fn from_raw_fd(fd: RawFd) -> UnixDatagram {
        // SAFETY: the caller's promise.
        UnixDatagram::from(unsafe { OwnedFd::from_raw_fd(fd) })
    }
}

descriptor_conversions!(UnixDatagram, StdSocket);
