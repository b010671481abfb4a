//! Signals as something that a green thread waits for.
//!
//! ```no_run
//! use osier::signal::{Signal, Signals};
//! osier::run(|| {
//!     let signals = Signals::new(&[Signal::INTERRUPT, Signal::TERMINATE])?;
//!     println!("stopping because of {:?}", signals.wait()?);
//!     Ok::<(), std::io::Error>(())
//! })?;
//! # Ok::<(), std::io::Error>(())
//! ```

use crate::clock::Instant;
use crate::readiness::wait_readable;
use crate::sys::signal::{self as sys, Listener};
use core::fmt;
use core::time::Duration;
use std::io;
use std::os::fd::{AsFd, AsRawFd};

/// A signal's number.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Signal(i32);

impl Signal {
    /// SIGHUP: the terminal was closed; for servers: read your settings again.
    pub const HANGUP: Signal = Signal(sys::SIGHUP);
    /// SIGINT: Ctrl-C.
    pub const INTERRUPT: Signal = Signal(sys::SIGINT);
    /// SIGQUIT: Ctrl-\.
    pub const QUIT: Signal = Signal(sys::SIGQUIT);
    /// SIGTERM: end.
    pub const TERMINATE: Signal = Signal(sys::SIGTERM);
    /// SIGUSR1.
    pub const USER1: Signal = Signal(sys::SIGUSR1);
    /// SIGUSR2.
    pub const USER2: Signal = Signal(sys::SIGUSR2);
    /// SIGCHLD: a child process has ended.
    pub const CHILD: Signal = Signal(sys::SIGCHLD);
    /// SIGWINCH: the terminal has another size.
    pub const WINDOW: Signal = Signal(sys::SIGWINCH);

    /// The signal with this number; [`Signals::new`] says if there is none.
    #[must_use]
    pub const fn from_raw(number: i32) -> Signal {
        Signal(number)
    }

    /// Its number.
    #[must_use]
    pub const fn as_raw(self) -> i32 {
        self.0
    }
}

impl fmt::Debug for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match *self {
            Signal::HANGUP => "SIGHUP",
            Signal::INTERRUPT => "SIGINT",
            Signal::QUIT => "SIGQUIT",
            Signal::TERMINATE => "SIGTERM",
            Signal::USER1 => "SIGUSR1",
            Signal::USER2 => "SIGUSR2",
            Signal::CHILD => "SIGCHLD",
            Signal::WINDOW => "SIGWINCH",
            Signal(number) => return write!(f, "Signal({number})"),
        };
        f.write_str(name)
    }
}

/// Receives some of the process's signals, from its making to its drop, instead of what they did before.
///
/// Every `Signals` that wants a signal receives it. Signals that come while nobody waits are kept, each once. Several green threads,
/// also of different workers, and OS threads may wait for one `Signals`: each signal goes to one of them.
pub struct Signals {
    listener: Listener,
}

impl Signals {
    /// Receives `signals` from now on.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a number that is no signal, one that cannot be caught (SIGKILL), or one that reports a fault
    /// (SIGSEGV); and when no descriptors are left.
    pub fn new(signals: &[Signal]) -> io::Result<Signals> {
        let numbers: Vec<_> = signals.iter().map(|signal| signal.0).collect();
        Ok(Signals { listener: Listener::new(&numbers)? })
    }

    /// Waits for the next signal. On a plain OS thread it blocks that.
    ///
    /// # Errors
    ///
    /// What the system says if it cannot watch a descriptor.
    ///
    /// # Cancellation
    ///
    /// A kill or an enclosing [`timeout`](crate::time::timeout) ends the wait and unwinds; no signal is lost.
    pub fn wait(&self) -> io::Result<Signal> {
        match self.wait_until(None)? {
            Some(signal) => Ok(signal),
            None => unreachable!("a wait without a deadline does not reach it"),
        }
    }

    /// [`Signals::wait`], for at most `timeout`; `None` if the time is over first.
    ///
    /// # Errors
    ///
    /// As [`Signals::wait`].
    ///
    /// # Cancellation
    ///
    /// As [`Signals::wait`].
    pub fn wait_timeout(&self, timeout: Duration) -> io::Result<Option<Signal>> {
        self.wait_until(Instant::now().checked_add(timeout))
    }

    fn wait_until(&self, deadline: Option<Instant>) -> io::Result<Option<Signal>> {
        let event = self.listener.event();
        loop {
            // In this order: what comes after the look makes it readable again.
            event.clear();
            if let Some(signal) = self.listener.take() {
                // There may be more, and others that wait.
                event.signal();
                return Ok(Some(Signal(signal)));
            }
            if !wait_readable(event.as_fd().as_raw_fd(), deadline)? {
                return Ok(None);
            }
        }
    }
}

impl fmt::Debug for Signals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signals").finish_non_exhaustive()
    }
}

/// Waits for Ctrl-C (SIGINT), which from the call to its return does not end the process.
///
/// ```no_run
/// osier::run(|| {
///     let work = osier::spawn(|| osier::sleep(osier::time::Duration::from_secs(3600)));
///     osier::signal::ctrl_c()?;
///     work.kill();
///     Ok::<(), std::io::Error>(())
/// })?;
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
///
/// As [`Signals::new`].
///
/// # Cancellation
///
/// As [`Signals::wait`].
pub fn ctrl_c() -> io::Result<()> {
    Signals::new(&[Signal::INTERRUPT])?.wait().map(drop)
}
