//! From the arguments to a server that runs, and to its end.

use super::{Connections, Mode, Options, Site, epoll, green, polling, processes, threads};
use osier::sync::Semaphore;
use osier::thread;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::io;
use std::net::{SocketAddr, TcpListener};

/// A server whose address is known and which is ready to run.
#[derive(Debug)]
pub struct Server {
    pub(super) options: Options,
    pub(super) listener: TcpListener,
    address: SocketAddr,
    pub(super) site: Site,
    pub(super) connections: Connections,
    /// One for each connection that may be open.
    pub(super) places: Semaphore,
}

impl Server {
    /// Opens the directory, certificate and address that `options` name, and raises the limit of open descriptors as far as the
    /// process may. Connections that come before [`Server::run`] wait.
    ///
    /// # Errors
    ///
    /// What cannot be opened and why, in one line.
    pub fn new(options: &Options) -> Result<Server, String> {
        let mode = options.mode;
        if options.cert.is_some() && !mode.blocks() {
            return Err(format!("--mode {} serves no TLS; green, thread and process do", mode.name()));
        }
        let site = Site::new(options)?;
        let cannot_listen = |error| format!("cannot listen on {}: {error}", options.addr);
        let listener = osier::net::TcpListener::bind(options.addr).map_err(cannot_listen)?;
        let address = listener.local_addr().map_err(cannot_listen)?;
        raise_descriptor_limit();
        Ok(Server {
            options: options.clone(),
            // Osier's has the longer queue; each mode then makes of it what it accepts from.
            listener: TcpListener::from(listener),
            address,
            site,
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
        // Announced, so that whoever waits in `accept`, or for it to be possible, knows what the end of the listener means; and the
        // connections last, so that a client which sees its connection end cannot make another one.
        self.connections.announce_stop();
        let _ = rustix::net::shutdown(&self.listener, rustix::net::Shutdown::Both);
        self.connections.stop();
    }

    /// Serves until [`Server::stop`]. `beside` runs on a green thread from the beginning, and is killed at the end; `tell` is told,
    /// in one line each, what whoever runs the server should know.
    ///
    /// # Errors
    ///
    /// If connections cannot be accepted for a reason that will not pass.
    pub fn run(&self, beside: impl FnOnce() + Send, tell: impl Fn(&str) + Sync) -> io::Result<()> {
        match self.options.mode {
            Mode::Green => self.run_green(beside, |listener| green::serve(self, listener, &tell)),
            Mode::Process => self.run_green(beside, |listener| processes::serve(self, listener, &tell)),
            Mode::Thread => self.run_on_os_threads(beside, || threads::serve(self, &tell)),
            Mode::Nonblocking => self.run_on_os_threads(beside, || polling::serve(self, &tell)),
            Mode::Epoll => self.run_on_os_threads(beside, || epoll::serve(self, &tell)),
        }
    }

    /// What `serve` returns. If it cannot go on, the other workers stop too.
    fn or_stop(&self, serve: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        serve().inspect_err(|_| self.stop())
    }

    /// Runs `serve` on green threads: one on each worker, and all accept from the one listener.
    fn run_green(
        &self,
        beside: impl FnOnce() + Send,
        serve: impl Fn(&osier::net::TcpListener) -> io::Result<()> + Sync,
    ) -> io::Result<()> {
        let listener = osier::net::TcpListener::from(self.listener.try_clone()?);
        let serve = || self.or_stop(|| serve(&listener));
        let workers = self.options.workers.get();
        osier::Builder::new().workers(workers).build()?.run(|| {
            thread::scope(|scope| {
                let beside = scope.spawn(beside);
                let door = |worker| thread::Builder::new().worker(worker).spawn_scoped(scope, serve);
                let doors: Vec<_> =
                    (0..workers).map(|worker| door(worker).expect("there are so many workers")).collect();
                let results = doors.into_iter().map(|door| match door.join() {
                    Ok(result) => result,
                    Err(panic) => std::panic::resume_unwind(panic),
                });
                let outcome = results.fold(Ok(()), Result::and);
                beside.kill();
                outcome
            })
        })
    }

    /// Runs `serve` on OS threads, which know of no runtime; the only green thread is the one of `beside`.
    fn run_on_os_threads(
        &self,
        beside: impl FnOnce() + Send,
        serve: impl Fn() -> io::Result<()> + Sync,
    ) -> io::Result<()> {
        let workers = self.options.workers.get();
        let busy = Semaphore::new(workers);
        std::thread::scope(|scope| {
            let serve = || self.or_stop(&serve);
            let running: Vec<_> = (0..workers)
                .map(|_| {
                    // Given back also by one that panics.
                    let permit = busy.acquire();
                    scope.spawn(move || {
                        let _busy = permit;
                        serve()
                    })
                })
                .collect();
            osier::run(|| {
                thread::scope(|scope| {
                    let beside = scope.spawn(beside);
                    drop(busy.acquire_many(workers));
                    beside.kill();
                });
            });
            let results = running.into_iter().map(|worker| match worker.join() {
                Ok(result) => result,
                Err(panic) => std::panic::resume_unwind(panic),
            });
            results.fold(Ok(()), Result::and)
        })
    }
}

/// A connection takes a descriptor, and a file that is being sent another; the usual limit of 1,024 is meant for programs
/// that use `select`. If it cannot be raised, accepting copes.
fn raise_descriptor_limit() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
}
