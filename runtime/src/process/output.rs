//! Reading two pipes at the same time, so that a child which fills one while we read the other is not kept waiting.

use crate::net::socket::Socket;
use crate::readiness::wait_readable;
use crate::scheduler;
use crate::sys::event::{Epoll, Interest};
use crate::sys::file;
use core::time::Duration;
use std::io;
use std::os::fd::{AsFd, AsRawFd};

/// Bytes of one read.
const CHUNK: usize = 64 * 1024;

/// Reads both pipes to their ends.
///
/// Waits for an epoll instance that has both, since that is one descriptor to wait for in any place.
pub(super) fn read_both(
    one: &Socket,
    into_one: &mut Vec<u8>,
    two: &Socket,
    into_two: &mut Vec<u8>,
) -> io::Result<()> {
    let either = Epoll::new()?;
    either.add(one.fd(), Interest::EdgeRead, 1)?;
    either.add(two.fd(), Interest::EdgeRead, 2)?;
    let (mut one_ended, mut two_ended) = (false, false);
    loop {
        one_ended = one_ended || drain(one, into_one)?;
        two_ended = two_ended || drain(two, into_two)?;
        if one_ended && two_ended {
            return Ok(());
        }
        wait_readable(either.as_fd().as_raw_fd(), None)?;
        // Only takes the events away: what they mean is found out by reading.
        either.wait(Some(Duration::ZERO), |_, _| {})?;
    }
}

/// Reads what is there; true at the end of the stream.
fn drain(pipe: &Socket, into: &mut Vec<u8>) -> io::Result<bool> {
    loop {
        if let Err(cancelled) = scheduler::checkpoint() {
            cancelled.raise();
        }
        let len = into.len();
        into.resize(len + CHUNK, 0);
        let read = file::read(pipe.fd(), &mut into[len..]);
        into.truncate(len + *read.as_ref().unwrap_or(&0));
        match read {
            Ok(0) => return Ok(true),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
