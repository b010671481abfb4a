//! From the arguments to a server that runs, and to its end.

use super::{Connections, Mode, Options, Site, green};
use crate::http::{AccessLog, Patience, StaticFiles, tls_settings};
use osier::net::{TcpListener, TcpStream};
use osier::sync::Semaphore;
use osier::thread;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::io;
use std::net::SocketAddr;

/// A server whose address is known and which is ready to run.
#[derive(Debug)]
pub struct Server {
    mode: Mode,
    /// OS threads that serve.
    workers: usize,
    listener: TcpListener,
    address: SocketAddr,
    site: Site,
    connections: Connections<TcpStream>,
    places: Semaphore,
}

impl Server {
    /// Opens the directory, certificate and address that `options` name, and raises the limit of open descriptors as far as the
    /// process may. Connections that come before [`Server::run`] wait.
    ///
    /// # Errors
    ///
    /// What cannot be opened and why, in one line.
    pub fn new(options: &Options) -> Result<Server, String> {
        let files = StaticFiles::new(&options.root)
            .map_err(|error| format!("cannot open the directory {}: {error}", options.root.display()))?;
        let tls = match (&options.cert, &options.key) {
            (Some(cert), Some(key)) => Some(tls_settings(cert, key).map_err(|error| error.to_string())?),
            _ => None,
        };
        let cannot_listen = |error| format!("cannot listen on {}: {error}", options.addr);
        let listener = TcpListener::bind(options.addr).map_err(cannot_listen)?;
        let address = listener.local_addr().map_err(cannot_listen)?;
        raise_descriptor_limit();
        Ok(Server {
            mode: options.mode,
            workers: options.workers.get(),
            listener,
            address,
            site: Site {
                files,
                patience: Patience::of(options.timeout),
                tls,
                log: if options.quiet { AccessLog::none() } else { AccessLog::new(io::stdout()) },
            },
            connections: Connections::default(),
            places: Semaphore::new(options.max_conns.get()),
        })
    }

    /// Where the server is found.
    #[must_use]
    pub fn url(&self) -> String {
        let scheme = if self.site.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}/", self.address)
    }

    /// Lets the running requests finish, ends the idle connections, and accepts no more. Returns at once; [`Server::run`] returns when all of
    /// that is done. Works from anywhere.
    pub fn stop(&self) {
        self.connections.stop();
        // Whoever waits in `accept` is told that there is nothing to accept any more.
        let _ = rustix::net::shutdown(&self.listener, rustix::net::Shutdown::Both);
    }

    /// Serves until [`Server::stop`]. `beside` runs on a green thread from the beginning, and is killed at the end; `tell` is told,
    /// in one line each, what whoever runs the server should know.
    ///
    /// # Errors
    ///
    /// If connections cannot be accepted for a reason that will not pass.
    pub fn run(&self, beside: impl FnOnce() + Send, tell: impl Fn(&str) + Sync) -> io::Result<()> {
        let serve = || match self.mode {
            Mode::Green => green::serve(&self.listener, &self.site, &self.connections, &self.places, &tell),
        };
        std::thread::scope(|workers| {
            // Each worker is an OS thread with a runtime of its own; all of them accept from the one listener.
            for _ in 1..self.workers {
                workers.spawn(|| osier::run(serve));
            }
            osier::run(|| {
                thread::scope(|scope| {
                    let beside = scope.spawn(beside);
                    let result = serve();
                    beside.kill();
                    result
                })
            })
        })
    }
}

/// A connection takes a descriptor, and a file that is being sent another; the usual limit of 1,024 is meant for programs
/// that use `select`. If it cannot be raised, accepting copes.
fn raise_descriptor_limit() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
}
