//! What a connection is to the code that serves it: bytes both ways, each bounded by a deadline.
//!
//! A deadline is an instant and bounds all reads and writes until it is changed, so a client that sends one byte just
//! before each of many timeouts gains nothing.

use osier::time::{Duration, Instant};
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::sync::Arc;

/// A connection with a client, encrypted or not.
pub trait Transport: Read + Write {
    /// From now on reads and writes fail with [`io::ErrorKind::TimedOut`] once `deadline` has passed; `None` is never.
    fn set_deadline(&mut self, deadline: Option<Instant>);

    /// Tells the client that nothing more will be written. It may still be read from.
    ///
    /// # Errors
    ///
    /// If the connection is broken.
    fn finish(&mut self) -> io::Result<()>;
}

/// A socket whose reads and writes have timeouts: std's TCP stream, or one that looks like it. A read or write that runs
/// into its timeout fails with [`io::ErrorKind::WouldBlock`] or [`io::ErrorKind::TimedOut`].
pub trait Socket {
    /// Reads as `Read` does.
    ///
    /// # Errors
    ///
    /// As `Read`.
    fn read(&self, bytes: &mut [u8]) -> io::Result<usize>;

    /// Writes as `Write` does.
    ///
    /// # Errors
    ///
    /// As `Write`.
    fn write(&self, bytes: &[u8]) -> io::Result<usize>;

    /// Bounds each later read; never called with zero.
    ///
    /// # Errors
    ///
    /// If the socket refuses.
    fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()>;

    /// Bounds each later write; never called with zero.
    ///
    /// # Errors
    ///
    /// If the socket refuses.
    fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()>;

    /// True: what is written is sent at once, and not held back to be sent with what follows.
    ///
    /// # Errors
    ///
    /// If the connection is broken.
    fn set_nodelay(&self, nodelay: bool) -> io::Result<()>;

    /// Ends one direction or both.
    ///
    /// # Errors
    ///
    /// If the connection is broken.
    fn shutdown(&self, how: Shutdown) -> io::Result<()>;
}

/// A shared socket is a socket: the server keeps one too, to end idle connections.
impl<S: Socket> Socket for Arc<S> {
    fn read(&self, bytes: &mut [u8]) -> io::Result<usize> {
        (**self).read(bytes)
    }

    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        (**self).write(bytes)
    }

    fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        (**self).set_read_timeout(timeout)
    }

    fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        (**self).set_write_timeout(timeout)
    }

    fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        (**self).set_nodelay(nodelay)
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        (**self).shutdown(how)
    }
}

macro_rules! socket {
    ($($type:ty)*) => {$(
        impl Socket for $type {
            fn read(&self, bytes: &mut [u8]) -> io::Result<usize> {
                let mut stream: &$type = self;
                Read::read(&mut stream, bytes)
            }

            fn write(&self, bytes: &[u8]) -> io::Result<usize> {
                let mut stream: &$type = self;
                Write::write(&mut stream, bytes)
            }

            fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
                <$type>::set_read_timeout(self, timeout)
            }

            fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
                <$type>::set_write_timeout(self, timeout)
            }

            fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
                <$type>::set_nodelay(self, nodelay)
            }

            fn shutdown(&self, how: Shutdown) -> io::Result<()> {
                <$type>::shutdown(self, how)
            }
        }
    )*};
}

socket!(osier::net::TcpStream std::net::TcpStream);

/// A socket with a deadline. A read or write that waits may end late by a fiftieth of the time that was left, since setting a
/// socket's timeout is a system call, and requests that come quickly one after another can do with the same one.
#[derive(Debug)]
pub struct Timed<S> {
    socket: S,
    /// When reads and writes fail; `None` is never.
    deadline: Option<Instant>,
    /// The timeout of reads that the socket has; `None` if it has none.
    reading: Option<Duration>,
    /// The timeout of writes that the socket has; `None` if it has none.
    writing: Option<Duration>,
}

impl<S: Socket> Timed<S> {
    /// `socket`, which has no timeouts, so far without a deadline.
    #[must_use]
    pub fn new(socket: S) -> Timed<S> {
        Timed { socket, deadline: None, reading: None, writing: None }
    }

    /// The time that is left: `None` for ever, never zero.
    fn left(&self) -> io::Result<Option<Duration>> {
        let Some(deadline) = self.deadline else { return Ok(None) };
        match deadline.saturating_duration_since(Instant::now()) {
            Duration::ZERO => Err(late()),
            left => Ok(Some(left)),
        }
    }
}

/// The timeout to set on a socket that has `timeout` while `left` is left; `None` if that will do.
fn change(timeout: Option<Duration>, left: Option<Duration>) -> Option<Option<Duration>> {
    match (timeout, left) {
        (None, None) => None,
        (Some(_), None) => Some(None),
        (Some(timeout), Some(left)) if (left..=left + left / 50).contains(&timeout) => None,
        // A little more than is left, so that it does the next time as well, when slightly more may be.
        (_, Some(left)) => Some(Some(left + left / 100)),
    }
}

fn late() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "the client is too slow")
}

/// std's sockets say `WouldBlock` when a timeout expires.
fn name_timeout(error: io::Error) -> io::Error {
    if error.kind() == io::ErrorKind::WouldBlock { late() } else { error }
}

impl<S: Socket> Read for Timed<S> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        if let Some(timeout) = change(self.reading, self.left()?) {
            self.socket.set_read_timeout(timeout)?;
            self.reading = timeout;
        }
        self.socket.read(bytes).map_err(name_timeout)
    }
}

impl<S: Socket> Write for Timed<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(timeout) = change(self.writing, self.left()?) {
            self.socket.set_write_timeout(timeout)?;
            self.writing = timeout;
        }
        self.socket.write(bytes).map_err(name_timeout)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<S: Socket> Transport for Timed<S> {
    fn set_deadline(&mut self, deadline: Option<Instant>) {
        self.deadline = deadline;
    }

    fn finish(&mut self) -> io::Result<()> {
        self.socket.shutdown(Shutdown::Write)
    }
}

impl<S: Socket> Transport for rustls::StreamOwned<rustls::ServerConnection, Timed<S>> {
    fn set_deadline(&mut self, deadline: Option<Instant>) {
        self.sock.set_deadline(deadline);
    }

    fn finish(&mut self) -> io::Result<()> {
        self.conn.send_close_notify();
        self.flush()?;
        self.sock.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};

    fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let client = TcpStream::connect(address).expect("a connection");
        (client, listener.accept().expect("a connection").0)
    }

    #[test]
    fn a_deadline_bounds_all_reads_together() {
        let (client, server) = pair();
        let mut timed = Timed::new(server);
        let mut byte = [0];
        (&client).write_all(b"ab").expect("room in the buffer");
        timed.set_deadline(Some(Instant::now() + Duration::from_millis(20)));
        let error = loop {
            if let Err(error) = timed.read(&mut byte) {
                break error;
            }
            // A client that never pauses.
            (&client).write_all(b"c").expect("room in the buffer");
        };
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(timed.read(&mut byte).expect_err("still late").kind(), io::ErrorKind::TimedOut);
        timed.set_deadline(None);
        assert_eq!(timed.read(&mut byte).expect("a byte"), 1);
    }

    #[test]
    fn a_silent_client_runs_into_the_deadline() {
        let (_client, server) = pair();
        let mut timed = Timed::new(server);
        timed.set_deadline(Some(Instant::now() + Duration::from_millis(5)));
        assert_eq!(timed.read(&mut [0]).expect_err("nothing to read").kind(), io::ErrorKind::TimedOut);
    }

    #[test]
    fn a_timeout_is_set_anew_only_if_it_would_be_early_or_much_too_late() {
        let second = Duration::from_secs(1);
        let set = change(None, Some(second)).flatten().expect("there was none");
        assert!(set >= second && set <= second + second / 50);
        for left in [second, second + second / 200, second - second / 200] {
            assert_eq!(change(Some(set), Some(left)), None, "{left:?}");
        }
        for left in [second * 2, second + second / 50, second - second / 50, Duration::from_nanos(1)] {
            let changed = change(Some(set), Some(left)).flatten().expect("another");
            assert!(changed >= left && changed <= left + left / 50, "{left:?}: {changed:?}");
        }
        assert_eq!(change(Some(set), None), Some(None));
        assert_eq!(change(None, None), None);
    }

    #[test]
    fn finishing_leaves_the_other_direction_open() {
        let (mut client, server) = pair();
        let mut timed = Timed::new(server);
        timed.finish().expect("half a close");
        assert_eq!(client.read(&mut [0]).expect("an end"), 0);
        client.write_all(b"x").expect("still open");
        assert_eq!(timed.read(&mut [0]).expect("a byte"), 1);
    }
}
