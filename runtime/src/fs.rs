//! Regular files, as [`std::fs`] has them.
//!
//! The kernel has no readiness for regular files. On a green thread a read is tried without waiting first, which the page
//! cache answers; what might wait for the disk runs on the offload pool, with buffers of its own, while the green thread is
//! parked. Elsewhere every call is std's.
//!
//! # Differences from std
//!
//! - The directory functions are those below; the rest of std's come with the other modules of this mirror.
//! - [`File::from`] and [`File::into_std`] convert; locks, permissions and times are reached through those.
//!
//! # Cancellation
//!
//! A kill or an enclosing [`timeout`](crate::time::timeout) ends the wait for an offloaded call; the call itself is carried out all the
//! same, so how far a write came is not known.

use crate::offload::try_offload;
use crate::sys;
use core::fmt;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use std::fs::{FileType, Metadata, Permissions};

/// The most bytes of one offloaded read or write.
const CHUNK: usize = 1 << 20;

/// An open file. As [`std::fs::File`].
///
/// ```
/// use osier::fs::{self, File};
/// use std::io::{Read, Write};
/// osier::run(|| {
///     let path = std::env::temp_dir().join(format!("osier-doc-{}", std::process::id()));
///     File::create(&path)?.write_all(b"twigs")?;
///     let mut text = String::new();
///     File::open(&path)?.read_to_string(&mut text)?;
///     assert_eq!(text, "twigs");
///     fs::remove_file(&path)
/// })?;
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct File {
    /// Shared with the offloaded calls that are under way.
    file: Arc<std::fs::File>,
}

impl File {
    /// Opens a file for reading.
    ///
    /// # Errors
    ///
    /// As std's.
    pub fn open<P: AsRef<Path>>(path: P) -> io::Result<File> {
        OpenOptions::new().read(true).open(path)
    }

    /// Opens a file for writing, empty: made if it is not there, cut to nothing if it is.
    ///
    /// # Errors
    ///
    /// As std's.
    pub fn create<P: AsRef<Path>>(path: P) -> io::Result<File> {
        OpenOptions::new().write(true).create(true).truncate(true).open(path)
    }

    /// Makes a file that was not there, for reading and writing.
    ///
    /// # Errors
    ///
    /// As std's; `AlreadyExists` if there is one.
    pub fn create_new<P: AsRef<Path>>(path: P) -> io::Result<File> {
        OpenOptions::new().read(true).write(true).create_new(true).open(path)
    }

    /// Settings for opening a file.
    #[must_use]
    pub fn options() -> OpenOptions {
        OpenOptions::new()
    }

    /// Has what was written reach the disk.
    ///
    /// # Errors
    ///
    /// As std's.
    pub fn sync_all(&self) -> io::Result<()> {
        self.offload(|file| file.sync_all())
    }

    /// [`File::sync_all`], but for metadata that is not needed to read the data.
    ///
    /// # Errors
    ///
    /// As std's.
    pub fn sync_data(&self) -> io::Result<()> {
        self.offload(|file| file.sync_data())
    }

    /// Cuts the file to `size` bytes, or fills it up with zeros.
    ///
    /// # Errors
    ///
    /// As std's.
    pub fn set_len(&self, size: u64) -> io::Result<()> {
        self.offload(move |file| file.set_len(size))
    }

    /// What the file system says of the file.
    ///
    /// # Errors
    ///
    /// As std's.
    pub fn metadata(&self) -> io::Result<Metadata> {
        self.offload(|file| file.metadata())
    }

    /// Another handle to the same open file, with the same position.
    ///
    /// # Errors
    ///
    /// As std's.
    pub fn try_clone(&self) -> io::Result<File> {
        self.file.try_clone().map(File::from)
    }

    /// The same file as std's. Waits for nothing.
    ///
    /// # Errors
    ///
    /// If an offloaded call that was abandoned still uses the file, it is duplicated, which can fail.
    pub fn into_std(self) -> io::Result<std::fs::File> {
        Arc::try_unwrap(self.file).or_else(|shared| shared.try_clone())
    }

    fn offload<T: Send + 'static>(
        &self,
        call: impl FnOnce(&std::fs::File) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let file = self.file.clone();
        try_offload(move || call(&file))?
    }
}

impl Read for &File {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if crate::scheduler::offload_pool().is_none() {
            return (&*self.file).read(buffer);
        }
        match sys::file::read_cached(&self.file, buffer) {
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Unsupported) => {}
            result => return result,
        }
        let size = buffer.len().min(CHUNK);
        let read = self.offload(move |mut file| {
            let mut bytes = vec![0; size];
            let count = file.read(&mut bytes)?;
            bytes.truncate(count);
            Ok(bytes)
        })?;
        buffer[..read.len()].copy_from_slice(&read);
        Ok(read.len())
    }
}

impl Write for &File {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if crate::scheduler::offload_pool().is_none() {
            return (&*self.file).write(bytes);
        }
        let bytes = bytes[..bytes.len().min(CHUNK)].to_vec();
        self.offload(move |mut file| file.write(&bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for &File {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        // Only arithmetic, but for files of strange file systems.
        (&*self.file).seek(to)
    }
}

impl Read for File {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        (&*self).read(buffer)
    }
}

impl Write for File {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (&*self).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for File {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        (&*self).seek(to)
    }
}

impl From<std::fs::File> for File {
    fn from(file: std::fs::File) -> File {
        File { file: Arc::new(file) }
    }
}

impl From<OwnedFd> for File {
    fn from(fd: OwnedFd) -> File {
        File::from(std::fs::File::from(fd))
    }
}

impl AsFd for File {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl AsRawFd for File {
    fn as_raw_fd(&self) -> RawFd {
        self.file.as_raw_fd()
    }
}

impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.file.fmt(f)
    }
}

/// How a file is opened. As [`std::fs::OpenOptions`].
#[derive(Clone, Debug)]
pub struct OpenOptions(std::fs::OpenOptions);

impl OpenOptions {
    /// Options that allow nothing yet.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "std's has none either")]
    pub fn new() -> OpenOptions {
        OpenOptions(std::fs::OpenOptions::new())
    }

    /// For reading.
    pub fn read(&mut self, read: bool) -> &mut OpenOptions {
        self.0.read(read);
        self
    }

    /// For writing.
    pub fn write(&mut self, write: bool) -> &mut OpenOptions {
        self.0.write(write);
        self
    }

    /// For writing at the end.
    pub fn append(&mut self, append: bool) -> &mut OpenOptions {
        self.0.append(append);
        self
    }

    /// Cut to nothing.
    pub fn truncate(&mut self, truncate: bool) -> &mut OpenOptions {
        self.0.truncate(truncate);
        self
    }

    /// Made if it is not there.
    pub fn create(&mut self, create: bool) -> &mut OpenOptions {
        self.0.create(create);
        self
    }

    /// Made, and an error if it is there.
    pub fn create_new(&mut self, create_new: bool) -> &mut OpenOptions {
        self.0.create_new(create_new);
        self
    }

    /// Opens the file.
    ///
    /// # Errors
    ///
    /// As std's.
    pub fn open<P: AsRef<Path>>(&self, path: P) -> io::Result<File> {
        let options = self.0.clone();
        offload_path(path.as_ref(), move |path| options.open(path)).map(File::from)
    }
}

/// Runs `call` on the offload pool with a path of its own.
fn offload_path<T, F>(path: &Path, call: F) -> io::Result<T>
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
