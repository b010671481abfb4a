//! Messages between processes.
//!
//! The kernel keeps them apart and gives each, whole, to one of those that wait for it, in whatever process: sockets of the kind
//! `SOCK_SEQPACKET`. So no lock is needed, and a process or green thread that ends while it waits takes nothing with it.
//!
//! Each message is sent behind a byte of its own, since an empty one would look like the end.

use crate::net::socket::{Kind, Socket};
use crate::sys::event::Direction;
use crate::sys::{ipc, socket};
use core::fmt;
use core::time::Duration;
use std::io;
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd};

/// The most bytes of a message.
pub const MAX_MESSAGE: usize = 64 * 1024;

/// One end of a connection that carries messages, between green threads of this process and its children.
///
/// Several may use one end at the same time, also in different processes: each message goes to one of them.
///
/// ```
/// use osier::multiprocess::{Connection, duplex};
/// osier::run(|| {
///     let (here, there): (Connection, Connection) = duplex()?;
///     let echo = osier::spawn(move || {
///         while let Some(message) = there.recv().unwrap() {
///             there.send(&message.to_ascii_uppercase()).unwrap();
///         }
///     });
///     here.send(b"twigs")?;
///     assert_eq!(here.recv()?.unwrap(), b"TWIGS");
///     drop(here);
///     echo.join().unwrap();
///     Ok::<(), std::io::Error>(())
/// })?;
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Connection(Socket);

/// Makes two ends between which messages go both ways. Never waits.
///
/// # Errors
///
/// If the process has too many descriptors.
pub fn duplex() -> io::Result<(Connection, Connection)> {
    let (one, two) = ipc::message_pair()?;
    let end = |fd| Socket::new(fd, Kind::Messages).map(Connection);
    Ok((end(one)?, end(two)?))
}

/// Makes two ends between which messages go from the first to the second. Never waits.
///
/// # Errors
///
/// If the process has too many descriptors.
pub fn one_way() -> io::Result<(Connection, Connection)> {
    let (sender, receiver) = duplex()?;
    sender.0.view(|socket: &std::os::unix::net::UnixStream| socket.shutdown(Shutdown::Read))?;
    receiver.0.view(|socket: &std::os::unix::net::UnixStream| socket.shutdown(Shutdown::Write))?;
    Ok((sender, receiver))
}

impl Connection {
    /// Sends a message; waits while there is no room for it.
    ///
    /// # Errors
    ///
    /// [`BrokenPipe`](io::ErrorKind::BrokenPipe) when the other end is closed in all processes, or is not one to receive with;
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) for more than [`MAX_MESSAGE`] bytes.
    ///
    /// # Cancellation
    ///
    /// A kill or an enclosing [`timeout`](crate::time::timeout) ends the wait and unwinds: the message is not sent.
    pub fn send(&self, message: &[u8]) -> io::Result<()> {
        if message.len() > MAX_MESSAGE {
            let what = format!("a message of {} bytes is longer than {MAX_MESSAGE}", message.len());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
        }
        let parts = [io::IoSlice::new(&[0]), io::IoSlice::new(message)];
        self.0.io(Direction::Write, || Ok((socket::send_vectored(self.0.fd(), &parts)?, true))).map(drop)
    }

    /// Waits for a message; `None` when the other end is closed in all processes, this one among them.
    ///
    /// # Errors
    ///
    /// What the system says if it cannot watch a descriptor.
    ///
    /// # Cancellation
    ///
    /// A kill or an enclosing [`timeout`](crate::time::timeout) ends the wait and unwinds; no message is lost.
    pub fn recv(&self) -> io::Result<Option<Vec<u8>>> {
        self.recv_within(None)
    }

    /// [`Connection::recv`], for at most `timeout`.
    ///
    /// # Errors
    ///
    /// [`TimedOut`](io::ErrorKind::TimedOut) if the time is over first.
    ///
    /// # Cancellation
    ///
    /// As [`Connection::recv`].
    pub fn recv_timeout(&self, timeout: Duration) -> io::Result<Option<Vec<u8>>> {
        match self.recv_within(Some(timeout)) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                Err(io::Error::new(io::ErrorKind::TimedOut, format!("no message within {timeout:?}")))
            }
            result => result,
        }
    }

    /// A message, if there is one. Never waits.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if there is none.
    pub fn try_recv(&self) -> io::Result<Option<Vec<u8>>> {
        let mut buf = vec![0; 1 + MAX_MESSAGE];
        let count = socket::recv(self.0.fd(), &mut buf, 0)?;
        Ok(unpack(buf, count))
    }

    fn recv_within(&self, timeout: Option<Duration>) -> io::Result<Option<Vec<u8>>> {
        let mut buf = vec![0; 1 + MAX_MESSAGE];
        let count = self
            .0
            .try_io(Direction::Read, timeout, || Ok((socket::recv(self.0.fd(), &mut buf, 0)?, true)))
            .unwrap_or_else(|cancelled| cancelled.raise())?;
        Ok(unpack(buf, count))
    }

    /// A second handle of the same end.
    ///
    /// # Errors
    ///
    /// If the process has too many descriptors.
    pub fn try_clone(&self) -> io::Result<Connection> {
        self.0.try_clone().map(Connection)
    }
}

/// The message in the first `count` bytes of `buf`; `None` at the end.
fn unpack(mut buf: Vec<u8>, count: usize) -> Option<Vec<u8>> {
    (count > 0).then(|| {
        buf.truncate(count);
        buf.remove(0);
        buf.shrink_to_fit();
        buf
    })
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.lend()
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Connection").field(&self.0.fd()).finish()
    }
}

/// A queue of messages that many processes put into and get from, first in, first out.
///
/// It has room for some 200 kB; the kernel counts some hundred bytes besides for each message. Each process has both sides, so
/// there is no end to be seen: send one message for each that is to stop.
///
/// ```
/// use osier::multiprocess::Queue;
/// osier::run(|| {
///     let queue = Queue::new()?;
///     queue.put(b"first")?;
///     queue.put(b"second")?;
///     assert_eq!(queue.get()?, b"first");
///     assert_eq!(queue.try_get()?.unwrap(), b"second");
///     assert!(queue.try_get()?.is_none());
///     Ok::<(), std::io::Error>(())
/// })?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Queue {
    entrance: Connection,
    exit: Connection,
}

impl Queue {
    /// An empty queue. Never waits.
    ///
    /// # Errors
    ///
    /// If the process has too many descriptors.
    pub fn new() -> io::Result<Queue> {
        let (entrance, exit) = one_way()?;
        Ok(Queue { entrance, exit })
    }

    /// Puts a message behind all others; waits while there is no room for it.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) for more than [`MAX_MESSAGE`] bytes.
    ///
    /// # Cancellation
    ///
    /// A kill or an enclosing [`timeout`](crate::time::timeout) ends the wait and unwinds: the message is not put.
    pub fn put(&self, message: &[u8]) -> io::Result<()> {
        self.entrance.send(message)
    }

    /// Waits for a message, and takes it.
    ///
    /// # Errors
    ///
    /// What the system says if it cannot watch a descriptor.
    ///
    /// # Cancellation
    ///
    /// A kill or an enclosing [`timeout`](crate::time::timeout) ends the wait and unwinds; no message is lost.
    pub fn get(&self) -> io::Result<Vec<u8>> {
        self.exit.recv().and_then(there)
    }

    /// [`Queue::get`], for at most `timeout`.
    ///
    /// # Errors
    ///
    /// [`TimedOut`](io::ErrorKind::TimedOut) if the time is over first.
    ///
    /// # Cancellation
    ///
    /// As [`Queue::get`].
    pub fn get_timeout(&self, timeout: Duration) -> io::Result<Vec<u8>> {
        self.exit.recv_timeout(timeout).and_then(there)
    }

    /// A message, if there is one. Never waits.
    ///
    /// # Errors
    ///
    /// What the system says of the descriptor.
    pub fn try_get(&self) -> io::Result<Option<Vec<u8>>> {
        match self.exit.try_recv() {
            Ok(message) => there(message).map(Some),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// The queue itself has the other end, so that it does not close.
fn there(message: Option<Vec<u8>>) -> io::Result<Vec<u8>> {
    message.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}
