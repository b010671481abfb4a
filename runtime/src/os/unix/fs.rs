//! What Unix has of files besides; [`std::os::unix::fs`] for green threads.
//!
//! The traits for types that are std's own ([`MetadataExt`], [`PermissionsExt`], [`FileTypeExt`]) are std's, and so is what never
//! waits for the disk, or is for the whole process: [`fchown`], [`chroot`].

use crate::fs::{DirBuilder, OpenOptions, offload_path};
use std::io;
use std::path::Path;

pub use std::os::unix::fs::{DirEntryExt, FileTypeExt, MetadataExt, PermissionsExt, chroot, fchown};

/// Reads and writes of a [`File`](crate::fs::File) at a given place, apart from its own position; [`std::os::unix::fs::FileExt`] for
/// green threads.
///
/// ```
/// use osier::fs::{self, File};
/// use osier::os::unix::fs::FileExt;
/// osier::run(|| {
///     let path = std::env::temp_dir().join(format!("osier-doc-at-{}", std::process::id()));
///     let file = File::create_new(&path)?;
///     file.write_all_at(b"twigs", 2)?;
///     let mut text = [0; 4];
///     file.read_exact_at(&mut text, 3)?;
///     assert_eq!(&text, b"wigs");
///     fs::remove_file(&path)
/// })?;
/// # Ok::<(), std::io::Error>(())
/// ```
pub trait FileExt {
    /// Reads into `buf` what is at `offset`, in bytes from the start of the file, and returns how many bytes that was.
    ///
    /// # Errors
    ///
    /// As std's.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize>;

    /// [`FileExt::read_at`] until `buf` is full.
    ///
    /// # Errors
    ///
    /// [`UnexpectedEof`](io::ErrorKind::UnexpectedEof) if the file ends before.
    fn read_exact_at(&self, mut buf: &mut [u8], mut offset: u64) -> io::Result<()> {
        while !buf.is_empty() {
            match self.read_at(buf, offset) {
                Ok(0) => {
                    return Err(io::Error::new(
                        io::ErrorKind::UnexpectedEof,
                        format!("the file ends {} bytes too early", buf.len()),
                    ));
                }
                Ok(count) => {
                    buf = &mut buf[count..];
                    offset += count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Writes `buf` at `offset`, in bytes from the start of the file, and returns how many bytes were written.
    ///
    /// # Errors
    ///
    /// As std's.
    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize>;

    /// [`FileExt::write_at`] until all is written.
    ///
    /// # Errors
    ///
    /// As std's.
    fn write_all_at(&self, mut buf: &[u8], mut offset: u64) -> io::Result<()> {
        while !buf.is_empty() {
            match self.write_at(buf, offset) {
                Ok(0) => {
                    return Err(io::Error::new(
                        io::ErrorKind::WriteZero,
                        format!("the file took all but {} bytes", buf.len()),
                    ));
                }
                Ok(count) => {
                    buf = &buf[count..];
                    offset += count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Settings of [`OpenOptions`] that only Unix has; [`std::os::unix::fs::OpenOptionsExt`] for green threads.
pub trait OpenOptionsExt {
    /// What the users of a new file may do; the system takes away what the process's mask says.
    fn mode(&mut self, mode: u32) -> &mut OpenOptions;

    /// Flags for `open` besides those that the options make.
    fn custom_flags(&mut self, flags: i32) -> &mut OpenOptions;
}

/// Settings of a [`DirBuilder`] that only Unix has; [`std::os::unix::fs::DirBuilderExt`] for green threads.
pub trait DirBuilderExt {
    /// What the users of the directory may do; the system takes away what the process's mask says.
    fn mode(&mut self, mode: u32) -> &mut DirBuilder;
}

/// Makes a link at `link` that leads to `original`. As [`std::os::unix::fs::symlink`].
///
/// # Errors
///
/// As std's.
pub fn symlink<P: AsRef<Path>, Q: AsRef<Path>>(original: P, link: Q) -> io::Result<()> {
    let link = link.as_ref().to_path_buf();
    offload_path(original.as_ref(), move |original| std::os::unix::fs::symlink(original, link))
}

/// Gives a file to another user and group; `None` leaves that as it is. As [`std::os::unix::fs::chown`].
///
/// # Errors
///
/// As std's.
pub fn chown<P: AsRef<Path>>(dir: P, uid: Option<u32>, gid: Option<u32>) -> io::Result<()> {
    offload_path(dir.as_ref(), move |dir| std::os::unix::fs::chown(dir, uid, gid))
}

/// [`chown`], but of a link itself. As [`std::os::unix::fs::lchown`].
///
/// # Errors
///
/// As std's.
pub fn lchown<P: AsRef<Path>>(dir: P, uid: Option<u32>, gid: Option<u32>) -> io::Result<()> {
    offload_path(dir.as_ref(), move |dir| std::os::unix::fs::lchown(dir, uid, gid))
}
