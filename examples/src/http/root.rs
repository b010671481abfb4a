//! The directory that is served, and the one way to open what is in it.
//!
//! Invariant: nothing outside the directory is ever opened, whatever the path says and whoever moves files or links about
//! meanwhile. The kernel keeps it (`openat2` with `RESOLVE_BENEATH`): a symbolic link that stays inside is followed, one that leads out,
//! or is absolute, is refused. Where `openat2` is missing (before Linux 5.6, and in some sandboxes) the path is walked one component
//! at a time and no link is followed at all. Canonicalising and then checking would leave a gap between check and open.

use super::disk;
use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use std::borrow::Cow;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;

/// The directory that is served. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct Root {
    directory: Arc<OwnedFd>,
    way: Way,
}

/// How paths are resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// By `openat2`.
    Beneath,
    /// Component by component.
    Walk,
}

/// What was found under a path.
#[derive(Debug)]
pub enum Found {
    /// A regular file, open for reading.
    File {
        /// The file.
        file: File,
        /// Its length in bytes.
        length: u64,
        /// When it was last changed, in seconds since the epoch.
        modified: i64,
    },
    /// A directory, open for reading.
    Directory(OwnedFd),
}

/// One line of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The file name: any bytes but `/` and NUL.
    pub name: Vec<u8>,
    /// True for a directory, or a link to one.
    pub is_directory: bool,
    /// The length in bytes; of no meaning for a directory.
    pub length: u64,
    /// When it was last changed, in seconds since the epoch.
    pub modified: i64,
}

/// Not blocking, so that opening a FIFO does not wait for its writer.
const READ: OFlags = OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::NOCTTY).union(OFlags::CLOEXEC);
const BENEATH: ResolveFlags = ResolveFlags::BENEATH.union(ResolveFlags::NO_MAGICLINKS);
const LOOK: OFlags = OFlags::PATH.union(OFlags::CLOEXEC);

impl Root {
    /// Opens the directory `path`.
    ///
    /// # Errors
    ///
    /// If it cannot be opened, or is not a directory.
    pub fn open(path: &Path) -> io::Result<Root> {
        let directory = rustix::fs::openat(CWD, path, LOOK | OFlags::DIRECTORY, Mode::empty())?;
        let mut root = Root { directory: Arc::new(directory), way: Way::Beneath };
        // Sandboxes answer with all sorts of errors; opening the directory itself can fail for no other reason.
        if root.resolve(b"/", LOOK).is_err() {
            root.way = Way::Walk;
        }
        Ok(root)
    }

    /// Opens what is under `path`, a path in normal form (see [`super::Target::path`]). May wait for a disk; a green thread that
    /// does lets others run.
    ///
    /// # Errors
    ///
    /// As the kernel says: `NotFound`, `NotADirectory` (also if `path` ends with `/` and is a file's), `PermissionDenied`, `CrossesDevices` if the
    /// path leads out of the root. What is neither a file nor a directory is `NotFound`.
    pub fn find(&self, path: &[u8]) -> io::Result<Found> {
        let wanted = if path.ends_with(b"/") { READ | OFlags::DIRECTORY } else { READ };
        let (root, owned) = (self.clone(), path.to_vec());
        let opened =
            disk::answer(|| self.resolve_in_memory(path, wanted), move || root.resolve(&owned, wanted))?;
        let stat = rustix::fs::fstat(&opened)?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => Ok(Found::Directory(opened)),
            FileType::RegularFile => Ok(Found::File {
                file: File::from(opened),
                length: u64::try_from(stat.st_size).unwrap_or(0),
                modified: stat.st_mtime,
            }),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// What the directory `opened`, found under `path`, has to offer, in no order: files and directories, also through
    /// links that stay inside the root, but no hidden ones, whose name begins with a dot. May wait for a disk; a green thread lets
    /// others run.
    ///
    /// # Errors
    ///
    /// If the directory cannot be read.
    pub fn entries(&self, opened: OwnedFd, path: &[u8]) -> io::Result<Vec<Entry>> {
        let (root, path) = (self.clone(), path.to_vec());
        osier::offload(move || root.read_entries(&opened, &path))
    }

    fn read_entries(&self, opened: &OwnedFd, path: &[u8]) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for entry in Dir::read_from(opened)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if name.starts_with(b".") {
                continue;
            }
            // One that cannot be looked at, or has gone meanwhile, is not offered.
            let Ok(mut stat) = rustix::fs::statat(opened, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW)
            else {
                continue;
            };
            if FileType::from_raw_mode(stat.st_mode) == FileType::Symlink {
                let target = self.resolve(&[path, b"/", name].concat(), LOOK);
                let Ok(target) = target.and_then(rustix::fs::fstat) else { continue };
                stat = target;
            }
            let kind = FileType::from_raw_mode(stat.st_mode);
            if matches!(kind, FileType::RegularFile | FileType::Directory) {
                entries.push(Entry {
                    name: name.to_vec(),
                    is_directory: kind == FileType::Directory,
                    length: u64::try_from(stat.st_size).unwrap_or(0),
                    modified: stat.st_mtime,
                });
            }
        }
        Ok(entries)
    }

    /// [`Root::resolve`] if the kernel has all that it takes in memory, else `EAGAIN`.
    fn resolve_in_memory(&self, path: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
        if self.way == Way::Walk {
            return Err(Errno::AGAIN);
        }
        match rustix::fs::openat2(
            &self.directory,
            &*relative(path),
            flags,
            Mode::empty(),
            BENEATH | ResolveFlags::CACHED,
        ) {
            // Linux before 5.12 does not know `RESOLVE_CACHED`.
            Err(Errno::INVAL | Errno::INTR) => Err(Errno::AGAIN),
            result => result,
        }
    }

    fn resolve(&self, path: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
        let directory = self.directory.as_fd();
        match self.way {
            Way::Beneath => beneath(directory, &relative(path), flags),
            Way::Walk => {
                let mut components =
                    path.split(|byte| *byte == b'/').filter(|component| !component.is_empty());
                let last = components.next_back().unwrap_or(b".");
                let mut here: Option<OwnedFd> = None;
                for component in components {
                    here = Some(step(
                        here.as_ref().map_or(directory, AsFd::as_fd),
                        component,
                        LOOK | OFlags::DIRECTORY,
                    )?);
                }
                let here = here.as_ref().map_or(directory, AsFd::as_fd);
                // A link itself can be looked at, but then it is neither a file nor a directory.
                step(here, last, flags)
            }
        }
    }
}

/// `path` as seen from the root: without slashes at either end, and `.` for the root itself.
fn relative(path: &[u8]) -> Cow<'_, [u8]> {
    let components = path.split(|byte| *byte == b'/').filter(|component| !component.is_empty());
    let relative = components.collect::<Vec<_>>().join(&b'/');
    if relative.is_empty() { Cow::Borrowed(b".") } else { Cow::Owned(relative) }
}

fn step(directory: BorrowedFd<'_>, component: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
    // Paths in normal form have none; walking must not depend on that.
    if component == b".." {
        return Err(Errno::XDEV);
    }
    rustix::fs::openat(directory, component, flags | OFlags::NOFOLLOW, Mode::empty())
}

fn beneath(directory: BorrowedFd<'_>, path: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
    // EAGAIN: something was renamed while a `..` in a link was being followed, and the kernel is not sure.
    let mut tries = 0;
    loop {
        match rustix::fs::openat2(directory, path, flags, Mode::empty(), BENEATH) {
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) if tries < 100 => tries += 1,
            result => return result,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::unix::fs::symlink;
    use std::sync::atomic::{AtomicBool, Ordering};

    /// A directory `root` with a secret beside it, and links of every kind.
    fn tree() -> tempfile::TempDir {
        let base = tempfile::tempdir().expect("a temporary directory");
        let root = base.path().join("root");
        std::fs::create_dir_all(root.join("dir/inner")).expect("directories");
        std::fs::write(base.path().join("secret"), "secret").expect("a file");
        std::fs::write(root.join("file"), "inside").expect("a file");
        std::fs::write(root.join(".hidden"), "hidden").expect("a file");
        for (target, link) in [
            ("../secret", "out"),
            ("..", "up"),
            ("/etc/passwd", "absolute"),
            ("/proc/self/root/etc/passwd", "magic"),
            ("loop", "loop"),
            ("nowhere", "dangling"),
            ("file", "in"),
            ("dir", "in_dir"),
            ("../../secret", "dir/out"),
            ("../file", "dir/in"),
        ] {
            symlink(target, root.join(link)).expect("a link");
        }
        rustix::fs::mknodat(CWD, root.join("fifo"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)
            .expect("a FIFO");
        base
    }

    fn both(base: &tempfile::TempDir) -> [Root; 2] {
        let root = Root::open(&base.path().join("root")).expect("a root");
        assert_eq!(root.way, Way::Beneath, "this kernel has openat2");
        [root.clone(), Root { way: Way::Walk, ..root }]
    }

    fn content(root: &Root, path: &str) -> io::Result<String> {
        match root.find(path.as_bytes())? {
            Found::Directory(_) => Ok("a directory".into()),
            Found::File { mut file, length, .. } => {
                let mut content = String::new();
                file.read_to_string(&mut content)?;
                assert_eq!(length, content.len() as u64);
                Ok(content)
            }
        }
    }

    #[test]
    fn what_is_inside_is_found() {
        let base = tree();
        for root in both(&base) {
            assert_eq!(content(&root, "/file").expect("a file"), "inside");
            for directory in ["/", "/dir", "/dir/", "/dir/inner/"] {
                assert_eq!(content(&root, directory).expect(directory), "a directory");
            }
        }
        let [root, _] = both(&base);
        assert_eq!(content(&root, "/in").expect("a link inside"), "inside");
        assert_eq!(content(&root, "/dir/in").expect("a link inside"), "inside");
        assert_eq!(content(&root, "/in_dir/in").expect("links inside"), "inside");
    }

    #[test]
    fn nothing_outside_is_found() {
        let base = tree();
        for root in both(&base) {
            for path in [
                "/out",
                "/up/secret",
                "/up/",
                "/absolute",
                "/magic",
                "/dir/out",
                "/in_dir/out",
                "/loop",
                "/dangling",
                "/../secret",
                "/dir/../../secret",
                "//etc/passwd",
                "/fifo",
                "/file/",
                "/file/x",
                "/nothing",
            ] {
                let error = content(&root, path).expect_err(path);
                assert_ne!(error.kind(), io::ErrorKind::Other, "{path}: {error}");
            }
        }
    }

    #[test]
    fn walking_follows_no_link() {
        let base = tree();
        let [_, root] = both(&base);
        for path in ["/in", "/in_dir/", "/dir/in"] {
            assert!(content(&root, path).is_err(), "{path}");
        }
    }

    #[test]
    fn a_directory_that_becomes_a_link_meanwhile_does_not_lead_out() {
        let base = tree();
        let inside = base.path().join("root");
        std::fs::write(inside.join("dir/secret"), "inside").expect("a file");
        let (real, link) = (inside.join("dir"), inside.join("up"));
        for root in both(&base) {
            let done = AtomicBool::new(false);
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    while !done.load(Ordering::Relaxed) {
                        let swap = rustix::fs::RenameFlags::EXCHANGE;
                        rustix::fs::renameat_with(CWD, &real, CWD, &link, swap).expect("both exist");
                    }
                });
                let (mut found, mut refused) = (0, 0);
                while found < 500 || refused < 500 {
                    match content(&root, "/dir/secret") {
                        Ok(content) if content == "inside" => found += 1,
                        Ok(content) => {
                            done.store(true, Ordering::Relaxed);
                            panic!("{content:?} is outside");
                        }
                        Err(_) => refused += 1,
                    }
                }
                done.store(true, Ordering::Relaxed);
            });
        }
    }

    #[test]
    fn a_listing_offers_what_can_be_opened() {
        let base = tree();
        let [beneath, walk] = both(&base);
        let names = |root: &Root, path: &str| {
            let Ok(Found::Directory(opened)) = root.find(path.as_bytes()) else {
                panic!("{path} is no directory")
            };
            let mut entries = root.entries(opened, path.as_bytes()).expect("entries");
            entries.sort_by(|one, other| one.name.cmp(&other.name));
            let name = |entry: Entry| String::from_utf8(entry.name).expect("UTF-8");
            entries.into_iter().map(name).collect::<Vec<_>>()
        };
        assert_eq!(names(&beneath, "/"), ["dir", "file", "in", "in_dir"]);
        assert_eq!(names(&beneath, "/dir/"), ["in", "inner"]);
        assert_eq!(names(&walk, "/"), ["dir", "file"]);
        assert_eq!(names(&walk, "/dir/"), ["inner"]);
    }
}
