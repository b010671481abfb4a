//! TCP streams.

use super::addr::{ToSocketAddrs, each_addr};
use super::descriptor::{descriptor_conversions, stream_io};
use super::socket::{self, Kind, Socket};
use super::{Shutdown, SocketAddr};
use crate::sys::event::Direction;
use crate::sys::socket::{Address, linger, set_linger};
use core::time::Duration;
use std::io;
use std::net::TcpStream as StdStream;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

/// A TCP connection; [`std::net::TcpStream`] for green threads.
///
/// ```
/// use osier::net::{Shutdown, TcpListener, TcpStream};
/// use std::io::{Read, Write};
/// osier::run(|| {
///     let listener = TcpListener::bind("127.0.0.1:0")?;
///     let addr = listener.local_addr()?;
///     let server = osier::spawn(move || {
///         let (mut stream, _) = listener.accept()?;
///         let mut text = String::new();
///         stream.read_to_string(&mut text)?;
///         stream.write_all(text.to_uppercase().as_bytes())
///     });
///     let mut stream = TcpStream::connect(addr)?;
///     stream.write_all(b"hello")?;
///     stream.shutdown(Shutdown::Write)?;
///     let mut text = String::new();
///     stream.read_to_string(&mut text)?;
///     assert_eq!(text, "HELLO");
///     server.join().unwrap()
/// })?;
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct TcpStream(Socket);

impl TcpStream {
    /// Connects to `addr`; of several addresses to the first that answers.
    ///
    /// Waits for the connection, and for the look-up of a name.
    ///
    /// # Errors
    ///
    /// What the last address led to, or that there was none.
    pub fn connect<A: ToSocketAddrs>(addr: A) -> io::Result<TcpStream> {
        each_addr(addr, |addr| socket::connect(&Address::of_ip(addr), Kind::Stream, None)).map(TcpStream)
    }

    /// Connects to `addr` within `timeout`.
    ///
    /// # Errors
    ///
    /// [`TimedOut`](io::ErrorKind::TimedOut) if the time is over first, [`InvalidInput`](io::ErrorKind::InvalidInput) for a
    /// timeout of zero.
    pub fn connect_timeout(addr: &SocketAddr, timeout: Duration) -> io::Result<TcpStream> {
        if timeout.is_zero() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "cannot set a 0 duration timeout"));
        }
        socket::connect(&Address::of_ip(addr), Kind::Stream, Some(timeout)).map(TcpStream)
    }

    pub(super) fn accepted(socket: Socket) -> TcpStream {
        TcpStream(socket)
    }

    fn view<T>(&self, f: impl FnOnce(&StdStream) -> T) -> T {
        self.0.view(f)
    }

    /// The address of the other end.
    ///
    /// # Errors
    ///
    /// If the socket is not connected any more.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.view(StdStream::peer_addr)
    }

    /// The address of this end.
    ///
    /// # Errors
    ///
    /// If the kernel cannot tell.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.view(StdStream::local_addr)
    }

    /// Ends reading, writing or both, for all clones; whoever waits for it is woken. Never waits.
    ///
    /// # Errors
    ///
    /// If the socket is not connected any more.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.view(|stream| stream.shutdown(how))
    }

    /// A second handle of the same connection: data, timeouts and other settings are shared.
    ///
    /// # Errors
    ///
    /// If the process has too many descriptors.
    pub fn try_clone(&self) -> io::Result<TcpStream> {
        self.0.try_clone().map(TcpStream)
    }

    /// Sets how long a read may wait; `None` for as long as it takes.
    ///
    /// A read whose time is over fails with [`WouldBlock`](io::ErrorKind::WouldBlock).
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) for zero.
    pub fn set_read_timeout(&self, dur: Option<Duration>) -> io::Result<()> {
        self.view(|stream| stream.set_read_timeout(dur))?;
        self.0.note_timeout(Direction::Read, dur);
        Ok(())
    }

    /// Sets how long a write may wait; `None` for as long as it takes.
    ///
    /// A write whose time is over before anything was sent fails with [`WouldBlock`](io::ErrorKind::WouldBlock).
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) for zero.
    pub fn set_write_timeout(&self, dur: Option<Duration>) -> io::Result<()> {
        self.view(|stream| stream.set_write_timeout(dur))?;
        self.0.note_timeout(Direction::Write, dur);
        Ok(())
    }

    /// How long a read may wait, as the kernel has rounded it.
    ///
    /// # Errors
    ///
    /// If the kernel cannot tell.
    pub fn read_timeout(&self) -> io::Result<Option<Duration>> {
        self.view(StdStream::read_timeout)
    }

    /// How long a write may wait, as the kernel has rounded it.
    ///
    /// # Errors
    ///
    /// If the kernel cannot tell.
    pub fn write_timeout(&self) -> io::Result<Option<Duration>> {
        self.view(StdStream::write_timeout)
    }

    /// Waits for data and copies it into `buf`, but leaves it for the next read; returns how many bytes.
    ///
    /// # Errors
    ///
    /// As [`read`](io::Read::read).
    pub fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.peek(buf)
    }

    /// Sets how long closing waits for what was not sent yet, in whole seconds; `None`: it does not wait. That wait blocks the
    /// OS thread.
    ///
    /// # Errors
    ///
    /// If the kernel refuses.
    pub fn set_linger(&self, linger: Option<Duration>) -> io::Result<()> {
        set_linger(self.0.fd(), linger)
    }

    /// How long closing waits for what was not sent yet.
    ///
    /// # Errors
    ///
    /// If the kernel cannot tell.
    pub fn linger(&self) -> io::Result<Option<Duration>> {
        linger(self.0.fd())
    }

    /// Sets `TCP_NODELAY`: small writes are sent at once.
    ///
    /// # Errors
    ///
    /// If the kernel refuses.
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.view(|stream| stream.set_nodelay(nodelay))
    }

    /// Whether small writes are sent at once.
    ///
    /// # Errors
    ///
    /// If the kernel cannot tell.
    pub fn nodelay(&self) -> io::Result<bool> {
        self.view(StdStream::nodelay)
    }

    /// Sets over how many hops a packet may go.
    ///
    /// # Errors
    ///
    /// If the kernel refuses.
    pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        self.view(|stream| stream.set_ttl(ttl))
    }

    /// Over how many hops a packet may go.
    ///
    /// # Errors
    ///
    /// If the kernel cannot tell.
    pub fn ttl(&self) -> io::Result<u32> {
        self.view(StdStream::ttl)
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
}

stream_io!(TcpStream, &TcpStream);

impl From<OwnedFd> for TcpStream {
    fn from(fd: OwnedFd) -> TcpStream {
        TcpStream(Socket::adopt(fd, Kind::Stream))
    }
}

impl FromRawFd for TcpStream {
    unsafe fn from_raw_fd(fd: RawFd) -> TcpStream {
        // SAFETY: the caller's promise.
        TcpStream::from(unsafe { OwnedFd::from_raw_fd(fd) })
    }
}

descriptor_conversions!(TcpStream, StdStream);
