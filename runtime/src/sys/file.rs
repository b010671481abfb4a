//! Reads and writes of what is not a socket: files, pipes, terminals.

use super::raw;
use super::socket::MAX_PARTS;
use core::mem::ManuallyDrop;
use libc::{c_int, iovec};
use std::fs::{File, FileType};
use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, RawFd};

/// Reads what is there. Waits unless the descriptor is nonblocking.
pub(crate) fn read(fd: RawFd, buf: &mut [u8]) -> io::Result<usize> {
    // SAFETY: `buf` is valid for its length.
    unsafe { raw::read(fd, buf.as_mut_ptr().cast(), buf.len()) }
}

/// Writes what finds room. Waits unless the descriptor is nonblocking.
pub(crate) fn write(fd: RawFd, buf: &[u8]) -> io::Result<usize> {
    // SAFETY: `buf` is valid for its length.
    unsafe { raw::write(fd, buf.as_ptr().cast(), buf.len()) }
}

/// [`read`] into several buffers, [`MAX_PARTS`] at most.
pub(crate) fn read_vectored(fd: RawFd, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
    let count = bufs.len().min(MAX_PARTS) as c_int;
    // `IoSliceMut` is documented to be an `iovec` on Unix.
    // SAFETY: the buffers are valid for their lengths.
    unsafe { raw::readv(fd, bufs.as_mut_ptr().cast::<iovec>(), count) }
}

/// [`write`] from several buffers, [`MAX_PARTS`] at most.
pub(crate) fn write_vectored(fd: RawFd, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
    let count = bufs.len().min(MAX_PARTS) as c_int;
    // `IoSlice` is documented to be an `iovec` on Unix.
    // SAFETY: the buffers are valid for their lengths.
    unsafe { raw::writev(fd, bufs.as_ptr().cast::<iovec>(), count) }
}

/// Reads at the file's own position, and moves it, if that needs no wait for the disk: the data is in the page cache.
///
/// # Errors
///
/// `WouldBlock` if it would have to wait; `Unsupported` if this kind of file or kernel cannot tell.
pub(crate) fn read_cached(file: &File, buffer: &mut [u8]) -> io::Result<usize> {
    // The offset -1 stands for the file's own position.
    read_at_now(file.as_raw_fd(), buffer, -1)
}

/// Reads at `offset`, or at the descriptor's own position for -1, if that needs no wait.
///
/// # Errors
///
/// As [`read_cached`].
pub(crate) fn read_at_now(fd: RawFd, buffer: &mut [u8], offset: i64) -> io::Result<usize> {
    let entry = iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    // SAFETY: one entry, which describes `buffer`.
    let result = unsafe { raw::preadv2(fd, &entry, 1, offset, libc::RWF_NOWAIT) };
    result.map_err(|error| match error.raw_os_error() {
        Some(libc::ENOSYS | libc::EOPNOTSUPP | libc::EINVAL | libc::ESPIPE) => {
            io::ErrorKind::Unsupported.into()
        }
        _ => error,
    })
}

/// Reads at `offset`, and may wait for the disk.
pub(crate) fn read_at(fd: RawFd, buf: &mut [u8], offset: i64) -> io::Result<usize> {
    raw::pread(fd, buf, offset)
}

/// Where the descriptor's next read begins.
pub(crate) fn position(fd: RawFd) -> io::Result<i64> {
    raw::seek(fd, 0, libc::SEEK_CUR)
}

pub(crate) fn set_position(fd: RawFd, offset: i64) -> io::Result<()> {
    raw::seek(fd, offset, libc::SEEK_SET).map(drop)
}

/// What kind of thing an open descriptor is.
pub(crate) fn file_type(fd: BorrowedFd<'_>) -> io::Result<FileType> {
    // SAFETY: the descriptor is open while it is borrowed, and this second owner never closes it.
    let file = ManuallyDrop::new(unsafe { File::from_raw_fd(fd.as_raw_fd()) });
    Ok(file.metadata()?.file_type())
}

/// Descriptor 0.
pub(crate) fn standard_input() -> BorrowedFd<'static> {
    // SAFETY: std itself takes it as open for as long as the process lives, and opens something there when it starts if nothing is.
    unsafe { BorrowedFd::borrow_raw(0) }
}
