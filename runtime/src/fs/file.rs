//! Open files.

use super::lock::wait_for_lock;
use super::options::OpenOptions;
use super::{FileTimes, Metadata, Permissions, TryLockError};
use crate::io::shared;
use crate::offload::try_offload;
use crate::scheduler;
use crate::sys::file::{read_at_now, read_cached};
use core::fmt;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::os::unix::fs::{FileExt as StdFileExt, FileTypeExt};
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

/// The most bytes of one offloaded read or write.
const CHUNK: usize = 1 << 20;

/// Whether the kernel has readiness for a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// It has none: what waits for the disk is offloaded.
    Regular,
    /// For reading: a terminal or another device. What a write has room for it does not say.
    Device,
    /// For both: a named pipe, or a socket.
    Pipe,
}

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
    /// Found out by the first call that needs it.
    kind: OnceLock<Kind>,
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

    /// Sets who may do what with the file.
    ///
    /// # Errors
    ///
    /// As std's.
    pub fn set_permissions(&self, perm: Permissions) -> io::Result<()> {
        self.offload(move |file| file.set_permissions(perm))
    }

    /// Sets when the file was read and written last.
    ///
    /// # Errors
    ///
    /// As std's.
    pub fn set_times(&self, times: FileTimes) -> io::Result<()> {
        self.offload(move |file| file.set_times(times))
    }

    /// Sets when the file was written last.
    ///
    /// # Errors
    ///
    /// As std's.
    pub fn set_modified(&self, time: SystemTime) -> io::Result<()> {
        self.set_times(FileTimes::new().set_modified(time))
    }

    /// Waits for the file's exclusive lock, which is between processes and between files that were opened apart, and advisory.
    ///
    /// The kernel does not say when the lock is free, so on a green thread this tries again every few milliseconds. (An
    /// offloaded call would hold an OS thread of the pool for as long as it waits; enough of them would keep the holder of the
    /// lock from the pool.)
    ///
    /// # Errors
    ///
    /// As std's.
    ///
    /// # Cancellation
    ///
    /// A kill or an enclosing [`timeout`](crate::time::timeout) ends the wait and unwinds, without the lock.
    pub fn lock(&self) -> io::Result<()> {
        wait_for_lock(&self.file, std::fs::File::lock, std::fs::File::try_lock)
    }

    /// [`File::lock`], for a lock that others may share.
    ///
    /// # Errors
    ///
    /// As std's.
    ///
    /// # Cancellation
    ///
    /// As [`File::lock`].
    pub fn lock_shared(&self) -> io::Result<()> {
        wait_for_lock(&self.file, std::fs::File::lock_shared, std::fs::File::try_lock_shared)
    }

    /// Takes the file's exclusive lock if it is free. Never waits.
    ///
    /// # Errors
    ///
    /// [`TryLockError::WouldBlock`] if it is not.
    pub fn try_lock(&self) -> Result<(), TryLockError> {
        self.file.try_lock()
    }

    /// Takes the file's shared lock if nobody has the exclusive one. Never waits.
    ///
    /// # Errors
    ///
    /// [`TryLockError::WouldBlock`] if somebody has.
    pub fn try_lock_shared(&self) -> Result<(), TryLockError> {
        self.file.try_lock_shared()
    }

    /// Gives the file's lock back. Never waits.
    ///
    /// # Errors
    ///
    /// As std's.
    pub fn unlock(&self) -> io::Result<()> {
        self.file.unlock()
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

impl File {
    /// What the kernel has for this file. Asked once; that never waits for what is open.
    fn kind(&self) -> Kind {
        *self.kind.get_or_init(|| match self.file.metadata().map(|metadata| metadata.file_type()) {
            Ok(of) if of.is_fifo() || of.is_socket() => Kind::Pipe,
            Ok(of) if of.is_char_device() => Kind::Device,
            _ => Kind::Regular,
        })
    }
}

/// On a plain OS thread, where the call may block, or where an offloaded call would run in place.
fn may_block() -> bool {
    scheduler::offload_pool().is_none()
}

fn checkpoint() {
    if let Err(cancelled) = scheduler::checkpoint() {
        cancelled.raise();
    }
}

/// Whether a try that must not wait has said that it would have to, or that it cannot tell.
fn is_undecided(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Unsupported)
}

impl Read for &File {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if may_block() {
            return (&*self.file).read(buffer);
        }
        checkpoint();
        match read_cached(&self.file, buffer) {
            Err(error) if is_undecided(&error) => {}
            result => return result,
        }
        if self.kind() != Kind::Regular {
            return shared::read(self.file.as_raw_fd(), buffer);
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
        if may_block() {
            return (&*self.file).write(bytes);
        }
        if self.kind() == Kind::Pipe {
            return shared::write_to_pipe(self.file.as_raw_fd(), bytes);
        }
        let bytes = bytes[..bytes.len().min(CHUNK)].to_vec();
        self.offload(move |mut file| file.write(&bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl crate::os::unix::fs::FileExt for File {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        if may_block() {
            return self.file.read_at(buffer, offset);
        }
        checkpoint();
        // Greater ones than the kernel has are left to std to refuse; -1 would stand for the file's own position.
        if let Ok(offset) = i64::try_from(offset) {
            match read_at_now(self.file.as_raw_fd(), buffer, offset) {
                Err(error) if is_undecided(&error) => {}
                result => return result,
            }
        }
        let size = buffer.len().min(CHUNK);
        let read = self.offload(move |file| {
            let mut bytes = vec![0; size];
            let count = file.read_at(&mut bytes, offset)?;
            bytes.truncate(count);
            Ok(bytes)
        })?;
        buffer[..read.len()].copy_from_slice(&read);
        Ok(read.len())
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        if may_block() {
            return self.file.write_at(bytes, offset);
        }
        let bytes = bytes[..bytes.len().min(CHUNK)].to_vec();
        self.offload(move |file| file.write_at(&bytes, offset))
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
        File { file: Arc::new(file), kind: OnceLock::new() }
    }
}

impl From<OwnedFd> for File {
    fn from(fd: OwnedFd) -> File {
        File::from(std::fs::File::from(fd))
    }
}

impl FromRawFd for File {
    unsafe fn from_raw_fd(fd: RawFd) -> File {
        // SAFETY: the caller's promise.
        File::from(unsafe { OwnedFd::from_raw_fd(fd) })
    }
}

impl From<File> for OwnedFd {
    /// Takes the descriptor. If an offloaded call that was abandoned still uses the file, this is a duplicate; only if the
    /// process has too many descriptors for one the OS thread waits for that call's end.
    fn from(file: File) -> OwnedFd {
        let mut shared = file.file;
        loop {
            match Arc::try_unwrap(shared) {
                Ok(file) => return file.into(),
                Err(still_shared) => match still_shared.try_clone() {
                    Ok(file) => return file.into(),
                    Err(_) => shared = still_shared,
                },
            }
            std::thread::yield_now();
        }
    }
}

impl From<File> for Stdio {
    /// Gives the file to a child.
    fn from(file: File) -> Stdio {
        Stdio::from(OwnedFd::from(file))
    }
}

impl IntoRawFd for File {
    fn into_raw_fd(self) -> RawFd {
        OwnedFd::from(self).into_raw_fd()
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
