//! Waiting for the lock of a file, of which the kernel does not say when it is free.

use crate::clock::Instant;
use crate::park::{Reason, park};
use crate::scheduler::{self, Place};
use core::time::Duration;
use std::fs::{File, TryLockError};
use std::io;
use std::os::fd::AsRawFd;

/// The longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_millis(5);

/// Locks `file`: with `wait` on a plain OS thread, elsewhere by trying again and again, with ever longer pauses.
pub(super) fn wait_for_lock(
    file: &File,
    wait: fn(&File) -> io::Result<()>,
    try_it: fn(&File) -> Result<(), TryLockError>,
) -> io::Result<()> {
    if scheduler::with_place(|place| matches!(place, Place::OsThread)) {
        return wait(file);
    }
    if let Err(cancelled) = scheduler::checkpoint() {
        cancelled.raise();
    }
    let mut pause = Duration::from_micros(50);
    loop {
        match try_it(file) {
            Ok(()) => return Ok(()),
            Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(TryLockError::Error(error)) => return Err(error),
            Err(TryLockError::WouldBlock) => {}
        }
        let until = Instant::now().checked_add(pause);
        if let Err(cancelled) = park(Reason::FileLock(file.as_raw_fd()), until) {
            cancelled.raise();
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}
