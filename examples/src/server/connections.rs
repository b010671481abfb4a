//! Which connections are open, and which of them are idle.
//!
//! Invariant: once [`Connections::stop`] has returned, no connection begins to wait for a request. It holds because a
//! connection announces each wait under the same lock under which `stop` ends the announced ones.

use super::Site;
use crate::http::{Exchange, Observer, Socket, Timed, serve_connection};
use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::{IpAddr, Shutdown};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The open connections of a server. Works from any OS thread and from green threads; never waits but for its own lock,
/// which is never held across a wait.
#[derive(Default)]
pub struct Connections {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// True once no further request is wanted.
    stopping: bool,
    /// The number of the next connection.
    next: u64,
    /// Open connections by number.
    open: HashMap<u64, Open>,
}

struct Open {
    /// Ends the wait for a request. Called under the lock, so it waits for nothing.
    dismiss: Box<dyn Fn() + Send>,
    /// True while it waits for a request to begin.
    idle: bool,
}

impl fmt::Debug for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.lock();
        f.debug_struct("Connections")
            .field("stopping", &state.stopping)
            .field("open", &state.open.len())
            .finish_non_exhaustive()
    }
}

impl Connections {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many connections are open.
    #[must_use]
    pub fn count(&self) -> usize {
        self.lock().open.len()
    }

    /// True once [`Connections::stop`] or [`Connections::announce_stop`] was called.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.lock().stopping
    }

    /// From now on no connection begins to wait for a request. Those that do already go on waiting until [`Connections::stop`].
    pub fn announce_stop(&self) {
        self.lock().stopping = true;
    }

    /// Ends the idle connections, and each other one when its request is answered. Waits for none of them.
    pub fn stop(&self) {
        let mut state = self.lock();
        state.stopping = true;
        for open in state.open.values().filter(|open| open.idle) {
            (open.dismiss)();
        }
    }

    /// Serves the connection `socket` with the client at `peer` until it ends, in blocking code. Waits for the client.
    ///
    /// # Errors
    ///
    /// As [`serve_connection`].
    pub fn serve<S>(&self, site: &Site, socket: S, peer: IpAddr) -> io::Result<()>
    where
        S: Socket + Send + Sync + 'static,
    {
        // Replies go out in as few pieces as there are, and each at once.
        socket.set_nodelay(true)?;
        let socket = Arc::new(socket);
        let seat = self.enter(site, peer, end_reading(&socket));
        let mut timed = Timed::new(socket);
        match &site.tls {
            None => serve_connection(&mut timed, &site.files, &site.patience, &seat),
            Some(settings) => {
                let session =
                    rustls::ServerConnection::new(Arc::clone(settings)).map_err(io::Error::other)?;
                let mut stream = rustls::StreamOwned::new(session, timed);
                serve_connection(&mut stream, &site.files, &site.patience, &seat)
            }
        }
    }

    /// One more connection. `dismiss` is called while it is idle if it must end; it may not wait.
    pub(super) fn enter<'a>(
        &'a self,
        site: &'a Site,
        peer: IpAddr,
        dismiss: impl Fn() + Send + 'static,
    ) -> Seat<'a> {
        let mut state = self.lock();
        let number = state.next;
        state.next += 1;
        state.open.insert(number, Open { dismiss: Box::new(dismiss), idle: false });
        Seat { connections: self, number, site, peer }
    }
}

/// Ends the wait of whoever reads from `socket`, or looks whether it can be read. Reading only: a request that has just come is still
/// read, and its reply still sent.
pub(super) fn end_reading<S>(socket: &Arc<S>) -> impl Fn() + Send + 'static
where
    S: Socket + Send + Sync + 'static,
{
    let socket = Arc::clone(socket);
    move || {
        // One that is broken already ends anyway.
        let _ = socket.shutdown(Shutdown::Read);
    }
}

/// One connection's place among the open ones, given up when it is dropped.
#[derive(Debug)]
pub(super) struct Seat<'a> {
    connections: &'a Connections,
    number: u64,
    site: &'a Site,
    peer: IpAddr,
}

impl Seat<'_> {
    /// Notes whether the connection is idle. False if the server is stopping.
    fn note(&self, idle: bool) -> bool {
        let mut state = self.connections.lock();
        let stopping = state.stopping;
        if let Some(open) = state.open.get_mut(&self.number) {
            open.idle = idle && !stopping;
        }
        !stopping
    }
}

impl Observer for Seat<'_> {
    fn idle(&self) -> bool {
        self.note(true)
    }

    fn busy(&self) {
        self.note(false);
    }

    fn is_stopping(&self) -> bool {
        self.connections.is_stopping()
    }

    fn answered(&self, exchange: &Exchange) {
        self.site.log.write(self.peer, exchange);
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        self.connections.lock().open.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{AccessLog, Patience, StaticFiles};
    use std::io::{Read, Write};
    use std::net::{Ipv4Addr, TcpListener, TcpStream};
    use std::time::Duration;

    #[test]
    fn stopping_ends_a_connection_on_an_os_thread_whenever_it_comes() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        std::fs::write(directory.path().join("index.html"), "hello").expect("a file");
        let site = Site {
            files: StaticFiles::new(directory.path()).expect("a directory"),
            patience: Patience::of(Duration::from_secs(60)),
            tls: None,
            log: AccessLog::none(),
        };
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        for _ in 0..200 {
            let connections = Connections::default();
            std::thread::scope(|scope| {
                let mut client = TcpStream::connect(address).expect("a connection");
                let (stream, _) = listener.accept().expect("a connection");
                let served = scope.spawn(|| connections.serve(&site, stream, Ipv4Addr::LOCALHOST.into()));
                client.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").expect("a request");
                let mut reply = vec![0; 15];
                client.read_exact(&mut reply).expect("a reply");
                assert_eq!(connections.count(), 1);
                // Whether the connection waits already or is about to, it ends long before its time.
                connections.stop();
                client.read_to_end(&mut reply).expect("an end");
                assert!(reply.starts_with(b"HTTP/1.1 200 OK") && reply.ends_with(b"\r\n\r\nhello"));
                served.join().expect("no panic").expect("no error");
                assert_eq!(connections.count(), 0);
            });
        }
    }

    #[test]
    fn a_connection_that_comes_after_the_stop_is_not_served() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let site = Site {
            files: StaticFiles::new(directory.path()).expect("a directory"),
            patience: Patience::of(Duration::from_secs(60)),
            tls: None,
            log: AccessLog::none(),
        };
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let client = TcpStream::connect(listener.local_addr().expect("an address")).expect("a connection");
        let (stream, peer) = listener.accept().expect("a connection");
        let connections = Connections::default();
        connections.stop();
        connections.serve(&site, stream, peer.ip()).expect("no error");
        assert_eq!(client.read(&mut [0]).expect("an end"), 0);
    }
}
