//! TCP listeners.

use super::SocketAddr;
use super::addr::{ToSocketAddrs, each_addr};
use super::descriptor::descriptor_conversions;
use super::socket::{Kind, Socket};
use super::tcp::TcpStream;
use core::iter::FusedIterator;
use std::io;
use std::net::TcpListener as StdListener;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

/// A socket that accepts TCP connections; [`std::net::TcpListener`] for green threads.
///
/// Several green threads may accept on one listener: each connection goes to one of them.
///
/// ```
/// use osier::net::{TcpListener, TcpStream};
/// use std::io::Read;
/// osier::run(|| {
///     let listener = TcpListener::bind("127.0.0.1:0")?;
///     let addr = listener.local_addr()?;
///     osier::spawn(move || {
///         for stream in listener.incoming() {
///             osier::spawn(move || drop(stream));
///         }
///     });
///     assert_eq!(TcpStream::connect(addr)?.read(&mut [0])?, 0);
///     Ok::<(), std::io::Error>(())
/// })?;
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct TcpListener(Socket);

impl TcpListener {
    /// Listens at `addr`; of several addresses at the first that is free. Port 0 asks for any free port.
    ///
    /// Waits only for the look-up of a name.
    ///
    /// # Errors
    ///
    /// What the last address led to, or that there was none.
    pub fn bind<A: ToSocketAddrs>(addr: A) -> io::Result<TcpListener> {
        each_addr(addr, |addr| Socket::new(StdListener::bind(*addr)?.into(), Kind::Listener)).map(TcpListener)
    }

    fn view<T>(&self, f: impl FnOnce(&StdListener) -> T) -> T {
        self.0.view(f)
    }

    /// The address at which it listens.
    ///
    /// # Errors
    ///
    /// If the kernel cannot tell.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.view(StdListener::local_addr)
    }

    /// A second handle of the same listener.
    ///
    /// # Errors
    ///
    /// If the process has too many descriptors.
    pub fn try_clone(&self) -> io::Result<TcpListener> {
        self.0.try_clone().map(TcpListener)
    }

    /// Waits for a connection, and returns it with the address of the other end.
    ///
    /// # Errors
    ///
    /// If the connection has ended already, or the process or the machine is out of descriptors or memory: the
    /// connection is still there for a later call then, which does not wait and should come after a pause.
    pub fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let (fd, from) = self.0.accept()?;
        let socket = Socket::new(fd, Kind::Stream)?;
        socket.inherit_timeouts(&self.0);
        Ok((TcpStream::accepted(socket), from.to_ip()?))
    }

    /// The connections that come, without end; see [`TcpListener::accept`].
    pub fn incoming(&self) -> Incoming<'_> {
        Incoming { listener: self }
    }

    /// [`TcpListener::incoming`], with the listener inside.
    pub fn into_incoming(self) -> IntoIncoming {
        IntoIncoming { listener: self }
    }

    /// Sets over how many hops a packet may go.
    ///
    /// # Errors
    ///
    /// If the kernel refuses.
    pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        self.view(|listener| listener.set_ttl(ttl))
    }

    /// Over how many hops a packet may go.
    ///
    /// # Errors
    ///
    /// If the kernel cannot tell.
    pub fn ttl(&self) -> io::Result<u32> {
        self.view(StdListener::ttl)
    }

    /// Sets whether it accepts only IPv6; works only before the socket is bound.
    ///
    /// # Errors
    ///
    /// If the kernel refuses.
    #[deprecated(since = "0.1.0", note = "this option can only be set before the socket is bound")]
    #[expect(deprecated, reason = "mirrors std")]
    pub fn set_only_v6(&self, only_v6: bool) -> io::Result<()> {
        self.view(|listener| listener.set_only_v6(only_v6))
    }

    /// Whether it accepts only IPv6.
    ///
    /// # Errors
    ///
    /// If the kernel cannot tell.
    #[deprecated(since = "0.1.0", note = "this option can only be set before the socket is bound")]
    #[expect(deprecated, reason = "mirrors std")]
    pub fn only_v6(&self) -> io::Result<bool> {
        self.view(StdListener::only_v6)
    }

    /// Takes the error that is pending on the socket.
    ///
    /// # Errors
    ///
    /// If the kernel cannot tell.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.view(StdListener::take_error)
    }

    /// Makes [`TcpListener::accept`] return [`WouldBlock`](io::ErrorKind::WouldBlock) where it would wait, or lets it wait
    /// again. Such calls never yield.
    ///
    /// # Errors
    ///
    /// If the kernel refuses.
    pub fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        self.0.set_nonblocking(nonblocking)
    }
}

/// The connections of a [`TcpListener`]; made by [`TcpListener::incoming`].
#[derive(Debug)]
#[must_use = "iterators are lazy and do nothing unless consumed"]
pub struct Incoming<'a> {
    listener: &'a TcpListener,
}

impl Iterator for Incoming<'_> {
    type Item = io::Result<TcpStream>;

    fn next(&mut self) -> Option<io::Result<TcpStream>> {
        Some(self.listener.accept().map(|(stream, _)| stream))
    }
}

impl FusedIterator for Incoming<'_> {}

/// The connections of a [`TcpListener`] that it owns; made by [`TcpListener::into_incoming`].
#[derive(Debug)]
#[must_use = "iterators are lazy and do nothing unless consumed"]
pub struct IntoIncoming {
    listener: TcpListener,
}

impl Iterator for IntoIncoming {
    type Item = io::Result<TcpStream>;

    fn next(&mut self) -> Option<io::Result<TcpStream>> {
        Some(self.listener.accept().map(|(stream, _)| stream))
    }
}

impl FusedIterator for IntoIncoming {}

impl From<OwnedFd> for TcpListener {
    fn from(fd: OwnedFd) -> TcpListener {
        TcpListener(Socket::adopt(fd, Kind::Listener))
    }
}

impl FromRawFd for TcpListener {
    unsafe fn from_raw_fd(fd: RawFd) -> TcpListener {
        // SAFETY: the caller's promise.
        TcpListener::from(unsafe { OwnedFd::from_raw_fd(fd) })
    }
}

descriptor_conversions!(TcpListener, StdListener);
