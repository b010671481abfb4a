//! Unix listeners.

use super::SocketAddr;
use super::stream::UnixStream;
use crate::net::descriptor::descriptor_conversions;
use crate::net::socket::{Kind, Socket};
use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixListener as StdListener;
use std::path::Path;

/// A socket that accepts connections within this machine; [`std::os::unix::net::UnixListener`] for green threads.
///
/// ```
/// use osier::os::unix::net::{SocketAddr, UnixListener, UnixStream};
/// use std::io::Read;
/// use std::os::linux::net::SocketAddrExt;
/// osier::run(|| {
///     let addr = SocketAddr::from_abstract_name(format!("osier-example-{}", std::process::id()))?;
///     let listener = UnixListener::bind_addr(&addr)?;
///     let server = osier::spawn(move || listener.accept().map(drop));
///     assert_eq!(UnixStream::connect_addr(&addr)?.read(&mut [0])?, 0);
///     server.join().unwrap()
/// })?;
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct UnixListener(Socket);

impl UnixListener {
    /// Listens at `path`, which must not exist. Never waits.
    ///
    /// # Errors
    ///
    /// If the path exists, is too long or holds a zero byte, or its directory does not allow it.
    pub fn bind<P: AsRef<Path>>(path: P) -> io::Result<UnixListener> {
        Socket::new(StdListener::bind(path)?.into(), Kind::Listener).map(UnixListener)
    }

    /// [`UnixListener::bind`] to an address, which need not be a path.
    ///
    /// # Errors
    ///
    /// If the address is taken.
    pub fn bind_addr(socket_addr: &SocketAddr) -> io::Result<UnixListener> {
        Socket::new(StdListener::bind_addr(socket_addr)?.into(), Kind::Listener).map(UnixListener)
    }

    fn view<T>(&self, f: impl FnOnce(&StdListener) -> T) -> T {
        self.0.view(f)
    }

    /// Waits for a connection, and returns it with the address of the other end.
    ///
    /// # Errors
    ///
    /// If the process or the machine is out of descriptors or memory: the connection is still there for a later call then,
    /// which does not wait and should come after a pause.
    pub fn accept(&self) -> io::Result<(UnixStream, SocketAddr)> {
        let (fd, from) = self.0.accept()?;
        Ok((UnixStream::made(fd)?, from.to_unix()?))
    }

    /// A second handle of the same listener.
    ///
    /// # Errors
    ///
    /// If the process has too many descriptors.
    pub fn try_clone(&self) -> io::Result<UnixListener> {
        self.0.try_clone().map(UnixListener)
    }

    /// The address of this end.
    ///
    /// # Errors
    ///
    /// If the kernel cannot tell.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.view(StdListener::local_addr)
    }

    /// Takes the error that is pending on the socket.
    ///
    /// # Errors
    ///
    /// If the kernel cannot tell.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.view(StdListener::take_error)
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

    /// The connections that come, without end; see [`UnixListener::accept`].
    pub fn incoming(&self) -> Incoming<'_> {
        Incoming { listener: self }
    }
}

impl<'a> IntoIterator for &'a UnixListener {
    type Item = io::Result<UnixStream>;
    type IntoIter = Incoming<'a>;

    fn into_iter(self) -> Incoming<'a> {
        self.incoming()
    }
}

/// The connections of a [`UnixListener`]; made by [`UnixListener::incoming`].
#[derive(Debug)]
#[must_use = "iterators are lazy and do nothing unless consumed"]
pub struct Incoming<'a> {
    listener: &'a UnixListener,
}

impl Iterator for Incoming<'_> {
    type Item = io::Result<UnixStream>;

    fn next(&mut self) -> Option<io::Result<UnixStream>> {
        Some(self.listener.accept().map(|(stream, _)| stream))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (usize::MAX, None)
    }
}

impl From<OwnedFd> for UnixListener {
    fn from(fd: OwnedFd) -> UnixListener {
        UnixListener(Socket::adopt(fd, Kind::Listener))
    }
}

impl FromRawFd for UnixListener {
    unsafe fn from_raw_fd(fd: RawFd) -> UnixListener {
        // SAFETY: the caller's promise.
        UnixListener::from(unsafe { OwnedFd::from_raw_fd(fd) })
    }
}

descriptor_conversions!(UnixListener, StdListener);
