//! A function of the program in a child process.

use super::fork::{check_alone, check_private, fork as fork_process, prepare};
use crate::clock::Instant;
use crate::process::ended::{Ended, wait_for};
use crate::process::{ExitStatus, orphans};
use crate::scheduler;
use crate::sys;
use core::fmt;
use core::time::Duration;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

/// Settings of a [`Process`].
///
/// ```standalone_crate
/// use osier::multiprocess::Builder;
/// let mut process = Builder::new().name("counter").daemon(true).spawn(|| ())?;
/// assert_eq!(process.name(), "counter");
/// assert!(process.join()?.success());
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug, Default)]
#[must_use = "call `spawn`"]
pub struct Builder<'a> {
    name: Option<String>,
    daemon: bool,
    /// What the child shall not have.
    without: Vec<BorrowedFd<'a>>,
}

impl<'a> Builder<'a> {
    /// The default settings.
    pub fn new() -> Builder<'a> {
        Builder::default()
    }

    /// The name that [`Process::name`] gives; `process-` and its number unless set.
    pub fn name(mut self, name: impl Into<String>) -> Builder<'a> {
        self.name = Some(name.into());
        self
    }

    /// Whether the child ends, by SIGTERM, when its handle is dropped and when this process ends; false unless set.
    pub fn daemon(mut self, daemon: bool) -> Builder<'a> {
        self.daemon = daemon;
        self
    }

    /// Keeps a descriptor from the child, where `/dev/null` takes its place: so that, for one, this process's copy of one end of a
    /// [`Connection`](super::Connection) is the last, and the child hears of its close.
    pub fn without(mut self, of: &'a impl AsFd) -> Builder<'a> {
        self.without.push(of.as_fd());
        self
    }

    /// As [`Process::spawn`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn spawn<F: FnOnce()>(self, f: F) -> io::Result<Process> {
        prepare();
        check_private()?;
        // The last of all: with shims for files in place, reading one may start an OS thread.
        check_alone()?;
        let parent = crate::process::id();
        let body = || {
            if self.daemon {
                sys::process::end_with_parent(parent);
            }
            keep_out(&self.without);
            scheduler::run(f);
        };
        // SAFETY: both were checked just now, and the only OS thread is here.
        let pid = unsafe { fork_process(true, body) }?;
        Ok(Process::new(pid, self.name, self.daemon))
    }
}

/// For the child, where a panic is an exit code.
fn keep_out(fds: &[BorrowedFd<'_>]) {
    if let Err(error) = sys::process::replace_with_nothing(fds) {
        panic!("descriptors cannot be kept from a child process: {error}");
    }
}

/// A child process that runs a function of this program.
///
/// Dropping it lets the child run on, unless it is a [`daemon`](Builder::daemon), which is told to end.
pub struct Process {
    pid: u32,
    name: String,
    daemon: bool,
    /// The process whose child it is: a copy of this handle in another child is no parent.
    parent: u32,
    /// How it has ended, once that was asked.
    status: Option<ExitStatus>,
    /// Made by the first wait, and dropped at the child's end.
    ended: Option<Ended>,
}

impl Process {
    /// Runs `f` in a child process: a copy of this one, with a copy of all that `f` captures or borrows. Here what `f` has
    /// captured is dropped.
    ///
    /// In the child `f` is the main green thread of a new runtime with default settings. The child ends when `f` returns,
    /// with code 0, or panics, with 101 as of std's programs; or in [`exit`](crate::process::exit). No destructor of what it
    /// has besides runs, and no function that was registered for the end.
    ///
    /// ```standalone_crate
    /// use osier::multiprocess::Process;
    /// osier::run(|| {
    ///     let mut count = 1;
    ///     let mut process = Process::spawn(|| {
    ///         count += 1;
    ///         osier::process::exit(count);
    ///     })?;
    ///     assert_eq!(process.join()?.code(), Some(2));
    ///     assert_eq!(count, 1, "the child has counted its own");
    ///     Ok::<(), std::io::Error>(())
    /// })?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// The child has a copy of each descriptor, also of those that `f` does not name. What green threads of this process hold
    /// (locks, permits) is held in the child for ever.
    ///
    /// # Errors
    ///
    /// [`Unsupported`](io::ErrorKind::Unsupported) if the process has another OS thread, an offloaded call is under way, or there is
    /// writable memory that would be shared with the child (see [the module](super)); and what the system says if there are no
    /// processes left.
    pub fn spawn<F: FnOnce()>(f: F) -> io::Result<Process> {
        Builder::new().spawn(f)
    }

    fn new(pid: u32, name: Option<String>, daemon: bool) -> Process {
        let name = name.unwrap_or_else(|| format!("process-{pid}"));
        Process { pid, name, daemon, parent: crate::process::id(), status: None, ended: None }
    }

    /// Its number, which may become another process's when this one was joined.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// The name that it was given.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it has not ended. Never waits.
    ///
    /// # Errors
    ///
    /// If something else of this process has waited for it.
    pub fn is_alive(&mut self) -> io::Result<bool> {
        Ok(self.try_join()?.is_none())
    }

    /// How it has ended; `None` if it has not. Never waits.
    ///
    /// # Errors
    ///
    /// As [`Process::is_alive`].
    pub fn try_join(&mut self) -> io::Result<Option<ExitStatus>> {
        if self.status.is_none() {
            self.status = sys::process::try_wait(self.pid)?;
        }
        Ok(self.status)
    }

    /// Waits until it has ended, and returns how; again, too. On a plain OS thread it blocks that.
    ///
    /// # Errors
    ///
    /// If no descriptors are left, or something else of this process has waited for it.
    ///
    /// # Cancellation
    ///
    /// A kill or an enclosing [`timeout`](crate::time::timeout) ends the wait and unwinds; the child runs on.
    pub fn join(&mut self) -> io::Result<ExitStatus> {
        match self.join_until(None)? {
            Some(status) => Ok(status),
            None => unreachable!("a wait without a deadline does not reach it"),
        }
    }

    /// [`Process::join`], for at most `timeout`; `None` if the time is over first.
    ///
    /// # Errors
    ///
    /// As [`Process::join`].
    ///
    /// # Cancellation
    ///
    /// As [`Process::join`].
    pub fn join_timeout(&mut self, timeout: Duration) -> io::Result<Option<ExitStatus>> {
        self.join_until(Instant::now().checked_add(timeout))
    }

    fn join_until(&mut self, deadline: Option<Instant>) -> io::Result<Option<ExitStatus>> {
        let Process { pid, status, ended, .. } = self;
        wait_for(*pid, ended, deadline, || {
            if status.is_none() {
                *status = sys::process::try_wait(*pid)?;
            }
            Ok(*status)
        })
    }

    /// Asks it to end, with SIGTERM: what it holds and shares with others may stay locked. Never waits; nothing if it has been joined.
    ///
    /// # Errors
    ///
    /// If this process may not; [`InvalidInput`](io::ErrorKind::InvalidInput) if it is not the one that has made the child, but a copy.
    pub fn terminate(&mut self) -> io::Result<()> {
        self.signal(crate::signal::Signal::TERMINATE.as_raw())
    }

    /// Ends it, with SIGKILL. Never waits; nothing if it has been joined.
    ///
    /// # Errors
    ///
    /// As [`Process::terminate`].
    pub fn kill(&mut self) -> io::Result<()> {
        self.signal(sys::signal::SIGKILL)
    }

    fn signal(&self, signal: i32) -> io::Result<()> {
        match self.status {
            // The number may be another process's by now.
            Some(_) => Ok(()),
            None if self.parent != crate::process::id() => {
                let what = format!("process {} is not a child of this process", self.pid);
                Err(io::Error::new(io::ErrorKind::InvalidInput, what))
            }
            None => sys::process::signal(self.pid, signal),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.status.is_some() || self.parent != crate::process::id() {
            return;
        }
        let pid = self.pid;
        if self.daemon {
            // Fails only if it is not ours any more.
            let _ = sys::process::signal(pid, crate::signal::Signal::TERMINATE.as_raw());
        }
        if matches!(sys::process::try_wait(pid), Ok(None)) {
            orphans::leave(move || !matches!(sys::process::try_wait(pid), Ok(None)));
        }
    }
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Process")
            .field("pid", &self.pid)
            .field("name", &self.name)
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}

/// Copies this process, whatever OS threads and shared memory it has; the child runs `f`, as on a plain OS thread with no runtime,
/// and ends as [`Process::spawn`] says.
///
/// If there is no other OS thread, `f` may do all that it could here, and start a runtime with [`run`](crate::run()): then
/// [`Process::spawn`] is the same and safe.
///
/// # Safety
///
/// If the process has other OS threads (workers, the offload pool's, std's), `f` may call only what is async-signal-safe: it
/// must neither allocate nor lock, and has to execute a program or to end, with `libc::_exit`. If the process has memory that is
/// shared with the child, whoever uses that must expect it.
///
/// # Errors
///
/// If the system has no processes left.
pub unsafe fn fork<F: FnOnce()>(f: F) -> io::Result<Process> {
    prepare();
    let alone = sys::process::threads() == Some(1);
    // SAFETY: asked just now, and nobody else could start an OS thread; the rest is the caller's promise.
    let pid = unsafe { fork_process(alone, f) }?;
    Ok(Process::new(pid, None, false))
}
