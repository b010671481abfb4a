//! Permits that several processes share.

use crate::net::socket::{Kind, Socket};
use crate::sys::event::Direction;
use crate::sys::{file, ipc};
use core::fmt;
use core::time::Duration;
use std::io;

/// Permits that this process shares with its children; one permit makes it a lock.
///
/// A green thread that waits for one is parked; others of its process go on. Not fair between processes. The permits of a process
/// that is ended by a signal are lost.
///
/// ```
/// use osier::multiprocess::Semaphore;
/// osier::run(|| {
///     let lock = Semaphore::new(1)?;
///     let permit = lock.acquire()?;
///     assert!(lock.try_acquire()?.is_none());
///     drop(permit);
///     assert!(lock.try_acquire()?.is_some());
///     Ok::<(), std::io::Error>(())
/// })?;
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Semaphore(Socket);

impl Semaphore {
    /// A semaphore with so many permits. Never waits.
    ///
    /// # Errors
    ///
    /// If the process has too many descriptors.
    pub fn new(permits: u32) -> io::Result<Semaphore> {
        // Always nonblocking, and not to be given away.
        Socket::new(ipc::count(permits)?, Kind::PipeLike).map(Semaphore)
    }

    /// Waits for a permit, and holds it until the guard is dropped.
    ///
    /// # Errors
    ///
    /// What the system says if it cannot watch a descriptor.
    ///
    /// # Cancellation
    ///
    /// A kill or an enclosing [`timeout`](crate::time::timeout) ends the wait and unwinds; no permit is lost.
    pub fn acquire(&self) -> io::Result<Permit<'_>> {
        self.0.io(Direction::Read, || self.take()).map(|()| Permit(self))
    }

    /// [`Semaphore::acquire`], for at most `timeout`; `None` if the time is over first.
    ///
    /// # Errors
    ///
    /// As [`Semaphore::acquire`].
    ///
    /// # Cancellation
    ///
    /// As [`Semaphore::acquire`].
    pub fn acquire_timeout(&self, timeout: Duration) -> io::Result<Option<Permit<'_>>> {
        match self.0.try_io(Direction::Read, Some(timeout), || self.take()) {
            Ok(taken) => self.unless_none(taken),
            Err(cancelled) => cancelled.raise(),
        }
    }

    /// A permit, if there is one. Never waits.
    ///
    /// # Errors
    ///
    /// As [`Semaphore::acquire`].
    pub fn try_acquire(&self) -> io::Result<Option<Permit<'_>>> {
        self.unless_none(self.take().map(|((), _)| ()))
    }

    /// Adds permits. Never waits.
    ///
    /// # Errors
    ///
    /// If there would be more than 2⁶⁴ − 2.
    pub fn add_permits(&self, permits: u32) -> io::Result<()> {
        file::write(self.0.fd(), &u64::from(permits).to_ne_bytes()).map(drop)
    }

    fn take(&self) -> io::Result<((), bool)> {
        file::read(self.0.fd(), &mut [0; 8]).map(|_| ((), true))
    }

    fn unless_none(&self, taken: io::Result<()>) -> io::Result<Option<Permit<'_>>> {
        match taken {
            Ok(()) => Ok(Some(Permit(self))),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl fmt::Debug for Semaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Semaphore").finish_non_exhaustive()
    }
}

/// A permit of a [`Semaphore`] that is held; dropping it gives it back.
#[must_use = "the permit is given back when this is dropped"]
#[derive(Debug)]
pub struct Permit<'a>(&'a Semaphore);

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        // Fails only if there are too many.
        let _ = self.0.add_permits(1);
    }
}
