//! Something to wait for that tells when a child has ended.
//!
//! It only tells: the child is left to be waited for, so a wait that is cancelled or late takes nothing away.

use crate::clock::Instant;
use crate::park::Reason;
use crate::readiness::wait_readable_for;
use crate::scheduler;
use crate::sys::event::EventFd;
use crate::sys::process::{Pidfd, pidfd, wait_ended};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::process::ExitStatus;
use std::sync::Arc;
use std::thread;

/// A descriptor that becomes readable when a child has ended.
pub(crate) enum Ended {
    Pidfd(OwnedFd),
    /// Signalled by an OS thread that waits for the child.
    Watched(Arc<EventFd>),
}

/// Bytes of the stack of an OS thread that waits for a child.
const STACK: usize = 64 * 1024;

impl Ended {
    /// Of the child `pid`, which must not have been waited for; `None` if there is no such child any more.
    ///
    /// Where the kernel gives no pidfd, an OS thread waits for the child as long as it lives. Not one of the offload pool,
    /// which is bounded: children that end only when one more has ended would keep all of its OS threads for ever.
    ///
    /// # Errors
    ///
    /// If no descriptors or OS threads are left.
    fn of(pid: u32) -> io::Result<Option<Ended>> {
        match pidfd(pid)? {
            Pidfd::Open(fd) => Ok(Some(Ended::Pidfd(fd))),
            Pidfd::Gone => Ok(None),
            Pidfd::Unsupported => {
                let event = Arc::new(EventFd::new()?);
                let theirs = event.clone();
                thread::Builder::new().name("osier-child".into()).stack_size(STACK).spawn(move || {
                    wait_ended(pid);
                    theirs.signal();
                })?;
                Ok(Some(Ended::Watched(event)))
            }
        }
    }

    fn fd(&self) -> RawFd {
        match self {
            Ended::Pidfd(fd) => fd.as_raw_fd(),
            Ended::Watched(event) => event.as_fd().as_raw_fd(),
        }
    }
}

/// Waits until the child `pid` has ended, or until `deadline`: then `None`. `try_wait` asks for its status; `ended` is kept from
/// one wait to the next.
pub(crate) fn wait_for(
    pid: u32,
    ended: &mut Option<Ended>,
    deadline: Option<Instant>,
    mut try_wait: impl FnMut() -> io::Result<Option<ExitStatus>>,
) -> io::Result<Option<ExitStatus>> {
    if let Err(cancelled) = scheduler::checkpoint() {
        cancelled.raise();
    }
    let mut in_time = true;
    loop {
        if let Some(status) = try_wait()? {
            *ended = None;
            return Ok(Some(status));
        }
        if !in_time {
            return Ok(None);
        }
        if ended.is_none() {
            *ended = Ended::of(pid)?;
        }
        let Some(ended) = ended else {
            // It has ended since it was asked for, and the answer is there; or somebody else has taken it.
            return match try_wait()? {
                Some(status) => Ok(Some(status)),
                None => Err(io::Error::new(io::ErrorKind::NotFound, format!("no child process {pid}"))),
            };
        };
        in_time = wait_readable_for(Reason::Child(pid), ended.fd(), deadline)?;
    }
}
