//! Reads and writes of descriptors that stay blocking in the kernel, since others may have the same file open through them:
//! the standard input, a terminal, a named pipe.
//!
//! The kernel is asked to read what is there and no more (`RWF_NOWAIT`). Where it cannot, readiness is asked for before each
//! try. Then, if somebody else takes the data in between, the try blocks the OS thread until there is more.

use crate::clock::Instant;
use crate::park::{Cancelled, Reason};
use crate::readiness::wait_ready;
use crate::scheduler;
use crate::sys::event::{Direction, wait_readable_or_writable};
use crate::sys::file;
use core::time::Duration;
use std::io;
use std::os::fd::RawFd;

/// What a pipe has room for when it says that it has some.
const ROOM: usize = 4096;

/// Reads what is there; waits until there is something. For descriptors that the kernel has readiness for.
pub(crate) fn read(fd: RawFd, buf: &mut [u8]) -> io::Result<usize> {
    retry(fd, Direction::Read, || match file::read_at_now(fd, buf, -1) {
        Err(error) if error.kind() == io::ErrorKind::Unsupported => {
            if_ready(fd, Direction::Read, || file::read(fd, buf))
        }
        result => result,
    })
}

/// Writes what a pipe has room for, at most [`ROOM`]; waits until there is some.
pub(crate) fn write_to_pipe(fd: RawFd, buf: &[u8]) -> io::Result<usize> {
    let part = &buf[..buf.len().min(ROOM)];
    retry(fd, Direction::Write, || if_ready(fd, Direction::Write, || file::write(fd, part)))
}

fn if_ready(fd: RawFd, direction: Direction, call: impl FnOnce() -> io::Result<usize>) -> io::Result<usize> {
    if wait_readable_or_writable(fd, direction, Some(Duration::ZERO))? {
        call()
    } else {
        Err(io::ErrorKind::WouldBlock.into())
    }
}

fn retry(fd: RawFd, direction: Direction, mut call: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    raise(scheduler::checkpoint());
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                raise(wait_ready(Reason::Io(fd, direction), fd, direction, None::<Instant>)?.map(drop));
            }
            result => return result,
        }
    }
}

fn raise(outcome: Result<(), Cancelled>) {
    if let Err(cancelled) = outcome {
        cancelled.raise();
    }
}
