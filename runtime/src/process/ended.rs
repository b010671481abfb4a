//! Something to wait for that tells when a child has ended.
//!
//! It only tells: the child is left to be waited for, so a wait that is cancelled or late takes nothing away.

use crate::sys::event::EventFd;
use crate::sys::process::{Pidfd, pidfd, wait_ended};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::thread;

/// A descriptor that becomes readable when a child has ended.
pub(super) enum Ended {
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
    pub(super) fn of(pid: u32) -> io::Result<Option<Ended>> {
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

    pub(super) fn fd(&self) -> RawFd {
        match self {
            Ended::Pidfd(fd) => fd.as_raw_fd(),
            Ended::Watched(event) => event.as_fd().as_raw_fd(),
        }
    }
}
