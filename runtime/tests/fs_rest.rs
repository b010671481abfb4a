//! Directories, locks, metadata and special files: std's results, neighbours that go on, and nothing left or lost by a kill.

mod common;

use common::{Log, MILLI, OnDrop, in_child, leaves_nothing, text};
use osier::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use osier::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt, PermissionsExt, symlink};
use osier::process::{Command, Stdio};
use osier::time::{Duration, Elapsed, SystemTime, timeout};
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::PathBuf;

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("osier-fs-rest-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Makes a named pipe.
fn fifo(path: &std::path::Path) {
    let name = std::ffi::CString::new(path.to_str().unwrap()).unwrap();
    #[expect(unsafe_code, reason = "std makes no named pipes")]
    // SAFETY: a valid C string.
    let made = unsafe { libc::mkfifo(name.as_ptr(), 0o600) };
    assert_eq!(made, 0);
}

fn is_nonblocking(fd: impl AsFd) -> bool {
    let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", fd.as_fd().as_raw_fd())).unwrap();
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).unwrap().trim();
    i32::from_str_radix(flags, 8).unwrap() & libc::O_NONBLOCK != 0
}

#[test]
fn directories() {
    leaves_nothing(|| {
        let folder = Folder::new("directories");
        osier::run(|| {
            let top = folder.at("top");
            DirBuilder::new().mode(0o700).create(&top).unwrap();
            assert_eq!(fs::metadata(&top).unwrap().mode() & 0o777, 0o700);
            assert_eq!(DirBuilder::new().create(&top).unwrap_err().kind(), ErrorKind::AlreadyExists);
            DirBuilder::new().recursive(true).create(top.join("a/b")).unwrap();
            fs::write(top.join("file"), "text").unwrap();
            symlink("file", top.join("link")).unwrap();
            assert_eq!(fs::read_link(top.join("link")).unwrap(), PathBuf::from("file"));
            assert_eq!(fs::copy(top.join("link"), top.join("copy")).unwrap(), 4);
            assert_eq!(fs::read_to_string(top.join("copy")).unwrap(), "text");

            let mut seen: Vec<_> = fs::read_dir(&top)
                .unwrap()
                .map(|entry| {
                    let entry = entry.unwrap();
                    assert_eq!(entry.path(), top.join(entry.file_name()));
                    let of = entry.file_type().unwrap();
                    assert_eq!(entry.metadata().unwrap().file_type(), of);
                    (entry.file_name().into_string().unwrap(), of.is_dir(), of.is_symlink())
                })
                .collect();
            seen.sort();
            let name = str::to_string;
            assert_eq!(
                seen,
                [
                    (name("a"), true, false),
                    (name("copy"), false, false),
                    (name("file"), false, false),
                    (name("link"), false, true)
                ]
            );
            assert_eq!(fs::read_dir(top.join("none")).unwrap_err().kind(), ErrorKind::NotFound);
            assert_eq!(
                format!("{:?}", fs::read_dir(&top).unwrap()),
                format!("{:?}", std::fs::read_dir(&top).unwrap())
            );
            fs::remove_dir_all(&top).unwrap();
            assert!(!fs::exists(&top).unwrap());
        });
    });
}

/// More entries than one offloaded call takes; after a wait that was ended all others are still there.
#[test]
fn each_entry_of_a_large_directory_comes_once() {
    leaves_nothing(|| {
        let folder = Folder::new("large");
        for n in 0..1000 {
            std::fs::write(folder.at(&n.to_string()), "").unwrap();
        }
        osier::run(|| {
            let mut entries = fs::read_dir(&folder.0).unwrap();
            let mut names = Vec::new();
            loop {
                // A deadline that has passed ends each wait.
                match timeout(Duration::ZERO, || entries.next()) {
                    Ok(Some(entry)) => names.push(entry.unwrap().file_name().into_string().unwrap()),
                    Ok(None) => break,
                    Err(Elapsed) => match entries.next() {
                        Some(entry) => names.push(entry.unwrap().file_name().into_string().unwrap()),
                        None => break,
                    },
                }
            }
            let mut numbers: Vec<u32> = names.iter().map(|name| name.parse().unwrap()).collect();
            numbers.sort_unstable();
            assert_eq!(numbers, (0..1000).collect::<Vec<_>>());
        });
        // And off green threads.
        assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 1000);
    });
}

#[test]
fn what_a_file_says_of_itself() {
    leaves_nothing(|| {
        let folder = Folder::new("metadata");
        let path = folder.at("file");
        osier::run(|| {
            let file = OpenOptions::new().write(true).create_new(true).mode(0o640).open(&path).unwrap();
            assert_eq!(file.metadata().unwrap().mode() & 0o777, 0o640);
            file.set_permissions(PermissionsExt::from_mode(0o600)).unwrap();
            assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
            fs::set_permissions(&path, PermissionsExt::from_mode(0o400)).unwrap();
            assert_eq!(file.metadata().unwrap().mode() & 0o777, 0o400);
            let then = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
            file.set_modified(then).unwrap();
            assert_eq!(fs::metadata(&path).unwrap().modified().unwrap(), then);
            let error =
                OpenOptions::new().read(true).custom_flags(libc::O_DIRECTORY).open(&path).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::NotADirectory);
        });
    });
}

#[test]
fn reads_and_writes_at_a_place() {
    leaves_nothing(|| {
        let folder = Folder::new("places");
        let path = folder.at("file");
        let body = || {
            let file =
                OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&path).unwrap();
            file.write_all_at(&[7; 3_000_000], 10).unwrap();
            let mut whole = vec![0; 3_000_010];
            file.read_exact_at(&mut whole, 0).unwrap();
            assert!(whole[..10] == [0; 10] && whole[10..].iter().all(|byte| *byte == 7));
            let error = file.read_exact_at(&mut [0; 20], 3_000_000).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
            assert_eq!(file.read_at(&mut [0; 20], 4_000_000).unwrap(), 0);
            assert_eq!(file.read_at(&mut [0; 20], u64::MAX).unwrap_err().kind(), ErrorKind::InvalidInput);
            // The file's own position has not moved.
            let mut start = [1; 10];
            (&file).read_exact(&mut start).unwrap();
            assert_eq!(start, [0; 10]);
        };
        osier::run(body);
        body();
    });
}

#[test]
fn a_neighbour_goes_on_while_a_lock_is_waited_for() {
    leaves_nothing(|| {
        let folder = Folder::new("locks");
        let path = folder.at("file");
        File::create(&path).unwrap();
        let open = || File::options().write(true).open(&path).unwrap();
        osier::run(|| {
            let (first, second) = (open(), open());
            first.lock().unwrap();
            assert!(matches!(second.try_lock(), Err(TryLockError::WouldBlock)));
            assert_eq!(timeout(MILLI, || second.lock()).unwrap_err(), Elapsed);
            let log = Log::new();
            let theirs = log.clone();
            let waiter = osier::spawn_local(move || {
                second.lock().unwrap();
                theirs.add("locked");
                second.unlock().unwrap();
                second
            });
            osier::yield_now();
            osier::sleep(MILLI);
            log.add("neighbour");
            first.unlock().unwrap();
            let second = waiter.join().unwrap();
            assert_eq!(log.take(), ["neighbour", "locked"]);

            first.lock_shared().unwrap();
            second.lock_shared().unwrap();
            assert!(matches!(open().try_lock(), Err(TryLockError::WouldBlock)));
            open().try_lock_shared().unwrap();
            drop(first);
            second.unlock().unwrap();

            // One that is killed while it waits has no lock afterwards.
            second.lock().unwrap();
            let third = open();
            let killed = osier::spawn_local({
                let (third, log) = (third.try_clone().unwrap(), log.clone());
                move || {
                    let _dropped = OnDrop::new(move || log.add("dropped"));
                    third.lock().unwrap();
                }
            });
            osier::yield_now();
            killed.kill();
            assert!(killed.join().is_err());
            assert_eq!(log.take(), ["dropped"]);
            second.unlock().unwrap();
            open().try_lock().unwrap();
            drop(third);
        });
    });
}

#[test]
fn a_lock_blocks_a_plain_os_thread() {
    leaves_nothing(|| {
        let folder = Folder::new("plain-lock");
        let path = folder.at("file");
        let first = File::create(&path).unwrap();
        first.lock().unwrap();
        let second = File::options().write(true).open(&path).unwrap();
        let waiter = std::thread::spawn(move || second.lock().unwrap());
        first.unlock().unwrap();
        waiter.join().unwrap();
    });
}

/// A named pipe has readiness: its readers hold no OS thread of the pool, and a kill loses no byte.
#[test]
fn a_named_pipe_is_waited_for_as_a_pipe() {
    // In a process of its own: the harness starts an OS thread for the next test when it likes.
    let output = in_child("a_named_pipe_is_waited_for_as_a_pipe", || leaves_nothing(named_pipes));
    assert!(output.status.success(), "{}", text(&output.stderr));
}

fn os_threads() -> usize {
    std::fs::read_dir("/proc/self/task").unwrap().count()
}

fn named_pipes() {
    let folder = Folder::new("fifo");
    let path = folder.at("fifo");
    fifo(&path);
    osier::run(|| {
        // Opened for both, so that no open waits.
        let both = File::options().read(true).write(true).open(&path).unwrap();
        let threads = os_threads();
        let readers: Vec<_> = (0..10)
            .map(|_| {
                let mut file = both.try_clone().unwrap();
                osier::spawn(move || {
                    let mut byte = [0];
                    file.read_exact(&mut byte).unwrap();
                    byte[0]
                })
            })
            .collect();
        osier::yield_now();
        osier::sleep(MILLI);
        assert!(readers.iter().all(|reader| !reader.is_finished()));
        assert!(os_threads() <= threads, "somebody was offloaded");
        readers[0].kill();
        (&both).write_all(&[3; 9]).unwrap();
        let read: Vec<_> = readers.into_iter().filter_map(|reader| reader.join().ok()).collect();
        assert_eq!(read, [3; 9]);
        assert!(!is_nonblocking(&both), "others may have it open");

        // A write of more than it holds waits for room.
        let mut writer = both.try_clone().unwrap();
        let write = osier::spawn(move || writer.write_all(&[5; 200_000]).unwrap());
        osier::yield_now();
        osier::sleep(MILLI);
        assert!(!write.is_finished());
        let mut all = vec![0; 200_000];
        (&both).read_exact(&mut all).unwrap();
        write.join().unwrap();
        assert!(all.iter().all(|byte| *byte == 5));
    });
}

#[test]
fn devices() {
    leaves_nothing(|| {
        osier::run(|| {
            assert_eq!(File::open("/dev/null").unwrap().read(&mut [0; 8]).unwrap(), 0);
            let mut zeros = [1; 8];
            File::open("/dev/zero").unwrap().read_exact(&mut zeros).unwrap();
            assert_eq!(zeros, [0; 8]);
            File::options().write(true).open("/dev/null").unwrap().write_all(&[0; 3_000_000]).unwrap();
            let error = File::options().write(true).open("/dev/full").unwrap().write(b"x").unwrap_err();
            assert_eq!(error.kind(), ErrorKind::StorageFull);
            assert!(fs::read_to_string("/proc/self/stat").unwrap().contains("fs_rest"));
        });
    });
}

#[test]
fn files_convert() {
    leaves_nothing(|| {
        let folder = Folder::new("convert");
        let path = folder.at("file");
        osier::run(|| {
            let file = File::create(&path).unwrap();
            assert!(Command::new("echo").arg("out").stdout(file).status().unwrap().success());
            let output = Command::new("cat")
                .stdin(File::open(&path).unwrap())
                .stdout(Stdio::piped())
                .output()
                .unwrap();
            assert_eq!(output.stdout, b"out\n");
            let fd = OwnedFd::from(File::open(&path).unwrap());
            let mut text = String::new();
            File::from(fd).read_to_string(&mut text).unwrap();
            assert_eq!(text, "out\n");
        });
    });
}
