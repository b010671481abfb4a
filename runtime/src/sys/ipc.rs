//! What processes share, besides pipes: counts and messages.

use super::check;
use std::io;
use std::os::fd::{FromRawFd, OwnedFd};

/// A count that a read of 8 bytes takes 1 from, when there is 1, and a write of 8 bytes adds to. Nonblocking.
pub(crate) fn count(start: u32) -> io::Result<OwnedFd> {
    let flags = libc::EFD_SEMAPHORE | libc::EFD_NONBLOCK | libc::EFD_CLOEXEC;
    // SAFETY: no pointers.
    let fd = check(unsafe { libc::eventfd(start, flags) })?;
    // SAFETY: just created, and nobody else's.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Two ends between which messages go both ways, each whole, and each to one reader.
pub(crate) fn message_pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut ends = [0; 2];
    let kind = libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC;
    // SAFETY: `ends` has room for two descriptors.
    check(unsafe { libc::socketpair(libc::AF_UNIX, kind, 0, ends.as_mut_ptr()) })?;
    // SAFETY: just created, and nobody else's.
    let one = unsafe { OwnedFd::from_raw_fd(ends[0]) };
    // SAFETY: as above.
    let other = unsafe { OwnedFd::from_raw_fd(ends[1]) };
    Ok((one, other))
}
