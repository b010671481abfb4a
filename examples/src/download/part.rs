//! The `.part` file: begun, gone on with, renamed when whole.
//!
//! Owns `NAME.part`, which holds what has arrived, and `.NAME.part` beside it, a few lines of text that say of what it is
//! the beginning: the URL, and the validator by which the server can tell whether the file is still the same. The note is
//! written when it is worth it: once the file is not small any more, and else when the download ends early. A `.part` without a
//! note is begun again. While a [`Part`] lives, it holds a lock on the file, which other processes respect.
//!
//! A file gets its final name by one call that fails if the name is taken: at no time does anything half-written
//! stand under that name, and nothing that stood there is lost.
//!
//! A write waits for memory, seldom for the disk: the kernel holds up those who write much. So the first bytes of a file
//! are written in place, which takes microseconds, and only what follows goes through the offload pool.

use super::failure::Failure;
use super::naming::{Names, PART};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use std::fs::{self, File, TryLockError};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Bytes of a file that are written in place, and that are not worth a note while the download goes on.
const IN_PLACE: u64 = 256 * 1024;

/// An unfinished file.
#[derive(Debug)]
pub struct Part {
    path: PathBuf,
    note: PathBuf,
    file: File,
    /// The same open file, for writes that may wait.
    offloaded: osier::fs::File,
    url: String,
    /// Bytes in the file; the next are written behind them.
    length: u64,
    /// By what the server can tell that the file has not changed; `None` when the file can only be begun again.
    validator: Option<String>,
    /// Whether the file may hold bytes that do not count, or the note may be there: false only after a restart.
    stale: bool,
    /// Whether the note describes the file as it is.
    noted: bool,
    /// Set once the file has its final name.
    finished: bool,
}

impl Part {
    /// Opens or makes the `.part` file for `name`; what it holds is kept only to `resume` the same `url`.
    ///
    /// # Errors
    ///
    /// [`Failure::Busy`] when another process works on it, [`Failure::File`] for all else, also when it is no regular file.
    pub fn open(names: &Names, name: &str, url: &str, resume: bool) -> Result<Part, Failure> {
        let path = names.path(&format!("{name}{PART}"));
        let note = names.path(&format!(".{name}{PART}"));
        let (file, length) = open_locked(&path)?;
        let offloaded = file.try_clone().map_err(Failure::file(&path))?.into();
        let url = url.to_owned();
        let mut part = Part {
            path,
            note,
            file,
            offloaded,
            url,
            length,
            validator: None,
            stale: true,
            noted: false,
            finished: false,
        };
        part.validator = if resume && length > 0 { read_note(&part.note, &part.url) } else { None };
        part.noted = part.validator.is_some();
        if part.noted {
            part.file.seek(SeekFrom::End(0)).map_err(Failure::file(&part.path))?;
        } else {
            part.restart(None)?;
        }
        Ok(part)
    }

    /// Bytes that have arrived.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// What to go on with: bytes that are there, and the validator to send along; `None` to begin at the beginning.
    pub fn resumable(&self) -> Option<(u64, &str)> {
        match &self.validator {
            Some(validator) if self.length > 0 => Some((self.length, validator)),
            _ => None,
        }
    }

    /// Empties the file for a new beginning, of a file that `validator` describes.
    ///
    /// # Errors
    ///
    /// When the file or its note cannot be written.
    pub fn restart(&mut self, validator: Option<&str>) -> Result<(), Failure> {
        if self.stale {
            // The note goes first: it must never describe bytes that it does not belong to.
            match fs::remove_file(&self.note) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(Failure::File(self.note.clone(), error));
                }
                _ => {}
            }
            self.file.set_len(0).map_err(Failure::file(&self.path))?;
            self.file.seek(SeekFrom::Start(0)).map_err(Failure::file(&self.path))?;
            self.length = 0;
            self.stale = false;
            self.noted = false;
        }
        self.validator = validator.map(str::to_owned);
        Ok(())
    }

    /// Writes the note, if there is a validator and no note yet.
    fn write_note(&mut self) -> io::Result<()> {
        if let (Some(validator), false) = (&self.validator, self.noted) {
            self.stale = true;
            fs::write(&self.note, format!("{}\n{validator}\n", self.url))?;
            self.noted = true;
        }
        Ok(())
    }

    /// Writes the next bytes. May wait for the disk; on a green thread, others run meanwhile.
    ///
    /// # Errors
    ///
    /// When they cannot all be written.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.stale = true;
        let outcome = if self.length < IN_PLACE {
            self.file.write_all(bytes)
        } else {
            self.write_note().map_err(Failure::file(&self.note))?;
            self.offloaded.write_all(bytes)
        };
        outcome.map_err(Failure::file(&self.path))?;
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// Gives the file its final name, unless that is taken: then gives back false, and the file stays.
    ///
    /// # Errors
    ///
    /// When the file cannot be renamed for another reason.
    pub fn finish(&mut self, path: &Path) -> Result<bool, Failure> {
        match rename_to_free_name(&self.path, path) {
            Ok(()) => {
                self.finished = true;
                if self.noted {
                    // A note that stays behind describes nothing and does no harm.
                    let _ = fs::remove_file(&self.note);
                }
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(Failure::File(path.to_owned(), error)),
        }
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if self.finished {
            return;
        }
        if self.length == 0 {
            // An empty `.part` file is of no use to anybody.
            let _ = fs::remove_file(&self.note);
            let _ = fs::remove_file(&self.path);
        } else {
            // Without its note the file is begun again, and nothing else is lost.
            let _ = self.write_note();
        }
    }
}

/// The file, made if need be, and how many bytes it has.
fn open_locked(path: &Path) -> Result<(File, u64), Failure> {
    loop {
        if let Ok(metadata) = path.symlink_metadata()
            && !metadata.is_file()
        {
            let error = io::Error::new(io::ErrorKind::AlreadyExists, "it is no regular file");
            return Err(Failure::File(path.to_owned(), error));
        }
        let file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(Failure::file(path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(Failure::Busy(path.to_owned())),
            // Some network file systems have no locks: two processes on one folder are then not told apart.
            Err(TryLockError::Error(_)) => {}
        }
        // Between open and lock, another process may have renamed this very file: then it is somebody's whole file.
        let opened = file.metadata().map_err(Failure::file(path))?;
        match path.symlink_metadata() {
            Ok(named) if (named.dev(), named.ino()) == (opened.dev(), opened.ino()) => {
                return Ok((file, opened.len()));
            }
            _ => {}
        }
    }
}

/// The validator that the note holds, if it is about this URL.
fn read_note(path: &Path, url: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let mut lines = text.lines();
    let (of, validator) = (lines.next()?, lines.next()?);
    // The last line end shows that the note was written to its end.
    (of == url && !validator.is_empty() && text.ends_with('\n')).then(|| validator.to_owned())
}

fn rename_to_free_name(from: &Path, to: &Path) -> io::Result<()> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Ok(()) => Ok(()),
        // File systems without that flag: a hard link does not replace anything either.
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => {
            fs::hard_link(from, to)?;
            fs::remove_file(from)
        }
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "http://h/x";

    #[test]
    fn goes_on_only_with_the_same_url_and_a_validator() {
        let folder = tempfile::tempdir().unwrap();
        let names = Names::new(folder.path());
        let mut part = Part::open(&names, "x", URL, true).unwrap();
        assert_eq!(part.resumable(), None);
        part.restart(Some("\"v1\"")).unwrap();
        part.write(b"abc").unwrap();
        drop(part);
        let part = Part::open(&names, "x", URL, true).unwrap();
        assert_eq!(part.resumable(), Some((3, "\"v1\"")));
        drop(part);
        let part = Part::open(&names, "x", "http://h/other", true).unwrap();
        assert_eq!(part.resumable(), None);
        assert_eq!(part.length(), 0);
        drop(part);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "an empty part is not left behind");
    }

    #[test]
    fn part_without_note_or_without_resume_is_begun_again() {
        let folder = tempfile::tempdir().unwrap();
        let names = Names::new(folder.path());
        fs::write(names.path("x.part"), "abc").unwrap();
        assert_eq!(Part::open(&names, "x", URL, true).unwrap().length(), 0);
        fs::write(names.path("x.part"), "abc").unwrap();
        fs::write(names.path(".x.part"), format!("{URL}\n\"v\"\n")).unwrap();
        assert_eq!(Part::open(&names, "x", URL, false).unwrap().length(), 0);
        fs::write(names.path("x.part"), "abc").unwrap();
        fs::write(names.path(".x.part"), format!("{URL}\n\"v")).unwrap();
        assert_eq!(Part::open(&names, "x", URL, true).unwrap().length(), 0, "half a note");
    }

    #[test]
    fn restart_forgets_what_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let names = Names::new(folder.path());
        let mut part = Part::open(&names, "x", URL, false).unwrap();
        for validator in [None, Some("\"v1\""), Some("\"v2\"")] {
            part.restart(validator).unwrap();
            assert_eq!(part.length(), 0);
            part.write(&[1; 300_000]).unwrap();
            part.write(b"end").unwrap();
            assert_eq!(names.exists(".x.part"), validator.is_some(), "a large file has its note at once");
        }
        part.restart(None).unwrap();
        assert!(!names.exists(".x.part"));
        part.write(b"short").unwrap();
        assert!(part.finish(&names.path("x")).unwrap());
        assert_eq!(fs::read(names.path("x")).unwrap(), b"short");
    }

    #[test]
    fn finished_file_replaces_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let names = Names::new(folder.path());
        fs::write(names.path("x"), "old").unwrap();
        let mut part = Part::open(&names, "x", URL, false).unwrap();
        part.write(b"new").unwrap();
        assert!(!part.finish(&names.path("x")).unwrap());
        assert_eq!(fs::read(names.path("x")).unwrap(), b"old");
        assert!(part.finish(&names.path("y")).unwrap());
        drop(part);
        assert_eq!(fs::read(names.path("y")).unwrap(), b"new");
        assert!(!names.exists("x.part"));
    }

    #[test]
    fn second_writer_is_turned_away_and_so_is_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let names = Names::new(folder.path());
        let first = Part::open(&names, "x", URL, false).unwrap();
        assert!(matches!(Part::open(&names, "x", URL, false), Err(Failure::Busy(_))));
        drop(first);
        std::os::unix::fs::symlink("/nonexistent/target", names.path("y.part")).unwrap();
        assert!(matches!(Part::open(&names, "y", URL, false), Err(Failure::File(..))));
    }
}
