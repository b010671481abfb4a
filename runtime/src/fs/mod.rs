//! Files and directories; what [`std::fs`] has, for green threads.
//!
//! The kernel has no readiness for regular files. On a green thread a read is tried without waiting first, which the page
//! cache answers; what might wait for the disk runs on the offload pool, with buffers of its own, while the green thread is
//! parked. Named pipes, sockets and terminals that were opened as files have readiness, and are waited for as such. Elsewhere
//! every call is std's.
//!
//! # Differences from std
//!
//! - [`File::into_std`] is an addition. `Arc<File>` neither reads nor writes; `&File` does.
//! - What Unix has besides is in [`os::unix::fs`](crate::os::unix::fs).
//! - A read of a terminal or named pipe that somebody else reads too may block the OS thread, if the other is faster.
//!
//! # Cancellation
//!
//! A kill or an enclosing [`timeout`](crate::time::timeout) ends the wait for an offloaded call; the call itself is carried out all the
//! same, so how far a write came is not known, and a file's own position may have moved.

mod directory;
mod file;
mod lock;
mod options;

pub use self::directory::{DirEntry, ReadDir, read_dir};
pub use self::file::File;
pub use self::options::{DirBuilder, OpenOptions};

pub use std::fs::{FileTimes, FileType, Metadata, Permissions, TryLockError};

use crate::offload::try_offload;
use std::io;
use std::path::{Path, PathBuf};

/// Runs `call` on the offload pool with a path of its own.
pub(crate) fn offload_path<T, F>(path: &Path, call: F) -> io::Result<T>
where
    T: Send + 'static,
    F: FnOnce(&Path) -> io::Result<T> + Send + 'static,
{
    let path = path.to_path_buf();
    try_offload(move || call(&path))?
}

/// The bytes of a file. As [`std::fs::read`].
///
/// # Errors
///
/// As std's.
pub fn read<P: AsRef<Path>>(path: P) -> io::Result<Vec<u8>> {
    offload_path(path.as_ref(), |path| std::fs::read(path))
}

/// The text of a file. As [`std::fs::read_to_string`].
///
/// # Errors
///
/// As std's.
pub fn read_to_string<P: AsRef<Path>>(path: P) -> io::Result<String> {
    offload_path(path.as_ref(), |path| std::fs::read_to_string(path))
}

/// Writes a whole file. As [`std::fs::write`].
///
/// # Errors
///
/// As std's.
pub fn write<P: AsRef<Path>, C: AsRef<[u8]>>(path: P, contents: C) -> io::Result<()> {
    let contents = contents.as_ref().to_vec();
    offload_path(path.as_ref(), move |path| std::fs::write(path, contents))
}

/// What the file system says of a file, or of what a link leads to. As [`std::fs::metadata`].
///
/// # Errors
///
/// As std's.
pub fn metadata<P: AsRef<Path>>(path: P) -> io::Result<Metadata> {
    offload_path(path.as_ref(), |path| std::fs::metadata(path))
}

/// [`metadata`], but of a link itself. As [`std::fs::symlink_metadata`].
///
/// # Errors
///
/// As std's.
pub fn symlink_metadata<P: AsRef<Path>>(path: P) -> io::Result<Metadata> {
    offload_path(path.as_ref(), |path| std::fs::symlink_metadata(path))
}

/// The absolute path, with no links in it. As [`std::fs::canonicalize`].
///
/// # Errors
///
/// As std's.
pub fn canonicalize<P: AsRef<Path>>(path: P) -> io::Result<PathBuf> {
    offload_path(path.as_ref(), |path| std::fs::canonicalize(path))
}

/// Gives a file another name, in place of what has it. As [`std::fs::rename`].
///
/// # Errors
///
/// As std's.
pub fn rename<P: AsRef<Path>, Q: AsRef<Path>>(from: P, to: Q) -> io::Result<()> {
    let to = to.as_ref().to_path_buf();
    offload_path(from.as_ref(), move |from| std::fs::rename(from, to))
}

/// Gives a file one more name, which must not be in use. As [`std::fs::hard_link`].
///
/// # Errors
///
/// As std's.
pub fn hard_link<P: AsRef<Path>, Q: AsRef<Path>>(original: P, link: Q) -> io::Result<()> {
    let link = link.as_ref().to_path_buf();
    offload_path(original.as_ref(), move |original| std::fs::hard_link(original, link))
}

/// Removes a file. As [`std::fs::remove_file`].
///
/// # Errors
///
/// As std's.
pub fn remove_file<P: AsRef<Path>>(path: P) -> io::Result<()> {
    offload_path(path.as_ref(), |path| std::fs::remove_file(path))
}

/// Makes a directory. As [`std::fs::create_dir`].
///
/// # Errors
///
/// As std's.
pub fn create_dir<P: AsRef<Path>>(path: P) -> io::Result<()> {
    offload_path(path.as_ref(), |path| std::fs::create_dir(path))
}

/// Makes a directory and those above it. As [`std::fs::create_dir_all`].
///
/// # Errors
///
/// As std's.
pub fn create_dir_all<P: AsRef<Path>>(path: P) -> io::Result<()> {
    offload_path(path.as_ref(), |path| std::fs::create_dir_all(path))
}

/// Removes an empty directory. As [`std::fs::remove_dir`].
///
/// # Errors
///
/// As std's.
pub fn remove_dir<P: AsRef<Path>>(path: P) -> io::Result<()> {
    offload_path(path.as_ref(), |path| std::fs::remove_dir(path))
}

/// Whether there is something of this name. As [`std::fs::exists`].
///
/// # Errors
///
/// As std's.
pub fn exists<P: AsRef<Path>>(path: P) -> io::Result<bool> {
    offload_path(path.as_ref(), |path| std::fs::exists(path))
}

/// Copies a file with its permissions, and returns its length in bytes. As [`std::fs::copy`].
///
/// # Errors
///
/// As std's.
pub fn copy<P: AsRef<Path>, Q: AsRef<Path>>(from: P, to: Q) -> io::Result<u64> {
    let to = to.as_ref().to_path_buf();
    offload_path(from.as_ref(), move |from| std::fs::copy(from, to))
}

/// Removes a directory with all that is in it. As [`std::fs::remove_dir_all`].
///
/// # Errors
///
/// As std's.
pub fn remove_dir_all<P: AsRef<Path>>(path: P) -> io::Result<()> {
    offload_path(path.as_ref(), |path| std::fs::remove_dir_all(path))
}

/// Where a link leads. As [`std::fs::read_link`].
///
/// # Errors
///
/// As std's.
pub fn read_link<P: AsRef<Path>>(path: P) -> io::Result<PathBuf> {
    offload_path(path.as_ref(), |path| std::fs::read_link(path))
}

/// Sets who may do what with a file. As [`std::fs::set_permissions`].
///
/// # Errors
///
/// As std's.
pub fn set_permissions<P: AsRef<Path>>(path: P, perm: Permissions) -> io::Result<()> {
    offload_path(path.as_ref(), |path| std::fs::set_permissions(path, perm))
}

/// Makes a link. As [`std::fs::soft_link`].
///
/// # Errors
///
/// As std's.
#[deprecated(note = "as in std: use `osier::os::unix::fs::symlink`")]
pub fn soft_link<P: AsRef<Path>, Q: AsRef<Path>>(original: P, link: Q) -> io::Result<()> {
    crate::os::unix::fs::symlink(original, link)
}
