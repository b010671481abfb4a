//! Reads of regular files that do not wait for the disk.

use super::check_size;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

/// Reads at the file's own position, and moves it, if that needs no wait for the disk: the data is in the page cache.
///
/// # Errors
///
/// `WouldBlock` if it would have to wait; `Unsupported` if this kind of file or kernel cannot tell.
pub(crate) fn read_cached(file: &File, buffer: &mut [u8]) -> io::Result<usize> {
    let entry = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    // The offset -1 stands for the file's own position.
    // SAFETY: one entry, which describes `buffer`.
    let result = unsafe { libc::preadv2(file.as_raw_fd(), &entry, 1, -1, libc::RWF_NOWAIT) };
    check_size(result).map_err(|error| match error.raw_os_error() {
        Some(libc::ENOSYS | libc::EOPNOTSUPP | libc::EINVAL) => io::ErrorKind::Unsupported.into(),
        _ => error,
    })
}
