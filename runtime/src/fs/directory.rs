//! What is in a directory.

use super::offload_path;
use super::{FileType, Metadata};
use crate::offload::try_offload;
use core::fmt;
use std::collections::VecDeque;
use std::ffi::OsString;
use std::io;
use std::os::unix::fs::DirEntryExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, TryLockError};

/// How many entries one offloaded call takes out of a directory.
const BATCH: usize = 256;

/// What is in a directory, without `.` and `..`, in no order. As [`std::fs::read_dir`].
///
/// ```
/// use osier::fs;
/// osier::run(|| {
///     let path = std::env::temp_dir().join(format!("osier-doc-list-{}", std::process::id()));
///     fs::create_dir(&path)?;
///     fs::write(path.join("leaf"), "green")?;
///     let names: Vec<_> = fs::read_dir(&path)?.map(|entry| entry.unwrap().file_name()).collect();
///     assert_eq!(names, ["leaf"]);
///     fs::remove_dir_all(&path)
/// })?;
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
///
/// As std's.
pub fn read_dir<P: AsRef<Path>>(path: P) -> io::Result<ReadDir> {
    let list = offload_path(path.as_ref(), |path| {
        let mut list = List { unread: Some(std::fs::read_dir(path)?), read: VecDeque::new() };
        list.read_on();
        Ok(list)
    })?;
    Ok(ReadDir { path: path.as_ref().into(), list: Arc::new(Mutex::new(list)) })
}

/// The entries of a directory; made by [`read_dir`]. As [`std::fs::ReadDir`].
///
/// Waits for the disk now and then, with many entries at once. A kill or an enclosing
/// [`timeout`](crate::time::timeout) ends that wait, and no entry is lost.
pub struct ReadDir {
    path: Arc<Path>,
    /// Shared with an offloaded call that was abandoned; locked only by who reads, never across a wait.
    list: Arc<Mutex<List>>,
}

struct List {
    /// `None` at the end.
    unread: Option<std::fs::ReadDir>,
    read: VecDeque<io::Result<DirEntry>>,
}

impl List {
    /// Takes some more entries out of the directory.
    fn read_on(&mut self) {
        while self.read.len() < BATCH
            && let Some(unread) = &mut self.unread
        {
            match unread.next() {
                Some(entry) => self.read.push_back(entry.map(DirEntry::new)),
                None => self.unread = None,
            }
        }
    }
}

impl Iterator for ReadDir {
    type Item = io::Result<DirEntry>;

    fn next(&mut self) -> Option<io::Result<DirEntry>> {
        loop {
            // Locked by an abandoned call for as long as that waits for the disk; then the one below waits behind it.
            let list = match self.list.try_lock() {
                Ok(list) => Some(list),
                Err(TryLockError::Poisoned(list)) => Some(list.into_inner()),
                Err(TryLockError::WouldBlock) => None,
            };
            if let Some(mut list) = list
                && (!list.read.is_empty() || list.unread.is_none())
            {
                return list.read.pop_front();
            }
            let list = self.list.clone();
            let read_on = move || list.lock().unwrap_or_else(PoisonError::into_inner).read_on();
            if let Err(error) = try_offload(read_on) {
                return Some(Err(error));
            }
        }
    }
}

impl fmt::Debug for ReadDir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ReadDir").field(&self.path).finish()
    }
}

/// One entry of a directory. As [`std::fs::DirEntry`].
pub struct DirEntry {
    entry: Arc<std::fs::DirEntry>,
    /// Asked for when the entry was read, since some file systems have to look it up on the disk.
    file_type: Result<FileType, (io::ErrorKind, String)>,
}

impl DirEntry {
    fn new(entry: std::fs::DirEntry) -> DirEntry {
        let file_type = entry.file_type().map_err(|error| (error.kind(), error.to_string()));
        DirEntry { entry: Arc::new(entry), file_type }
    }

    /// The directory's path, as given, and the entry's name.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.entry.path()
    }

    /// The entry's name.
    #[must_use]
    pub fn file_name(&self) -> OsString {
        self.entry.file_name()
    }

    /// What kind of thing it is; of a link that it is one. Never waits.
    ///
    /// # Errors
    ///
    /// As std's.
    pub fn file_type(&self) -> io::Result<FileType> {
        self.file_type.as_ref().copied().map_err(|(kind, text)| io::Error::new(*kind, text.clone()))
    }

    /// What the file system says of it, or of the link if it is one.
    ///
    /// # Errors
    ///
    /// As std's.
    pub fn metadata(&self) -> io::Result<Metadata> {
        let entry = self.entry.clone();
        try_offload(move || entry.metadata())?
    }
}

impl DirEntryExt for DirEntry {
    fn ino(&self) -> u64 {
        self.entry.ino()
    }
}

impl fmt::Debug for DirEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.entry.fmt(f)
    }
}
