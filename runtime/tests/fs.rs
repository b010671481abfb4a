//! Files on green threads: std's results, and neighbours that go on.

use osier::fs::{self, File, OpenOptions};
use std::cell::Cell;
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::fd::{FromRawFd, OwnedFd};
use std::path::PathBuf;
use std::rc::Rc;

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("osier-fs-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn what_is_written_is_read_at_the_position_where_it_is() {
    let folder = Folder::new("positions");
    let path = folder.0.join("file");
    osier::run(|| {
        let mut file = OpenOptions::new().read(true).write(true).create_new(true).open(&path).unwrap();
        file.write_all(b"0123456789").unwrap();
        assert_eq!(file.seek(SeekFrom::Start(4)).unwrap(), 4);
        let mut two = [0; 2];
        file.read_exact(&mut two).unwrap();
        assert_eq!(&two, b"45");
        let mut rest = String::new();
        file.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "6789");
        file.set_len(3).unwrap();
        file.sync_all().unwrap();
        assert_eq!(file.metadata().unwrap().len(), 3);
        assert_eq!(fs::read(&path).unwrap(), b"012");
        assert_eq!(
            OpenOptions::new().write(true).create_new(true).open(&path).unwrap_err().kind(),
            ErrorKind::AlreadyExists
        );
        fs::rename(&path, folder.0.join("other")).unwrap();
        assert_eq!(File::open(&path).unwrap_err().kind(), ErrorKind::NotFound);
        fs::remove_file(folder.0.join("other")).unwrap();
    });
    assert_eq!(std::fs::read_dir(&folder.0).unwrap().count(), 0);
}

/// Far more than one offloaded call takes, in both directions, and byte for byte.
#[test]
fn large_transfers_are_whole() {
    let folder = Folder::new("large");
    let path = folder.0.join("file");
    let bytes: Vec<u8> = (0..5_000_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    osier::run(|| File::create(&path).unwrap().write_all(&bytes).unwrap());
    let mut back = Vec::new();
    osier::run(|| File::open(&path).unwrap().read_to_end(&mut back).unwrap());
    assert!(back == bytes);
}

/// An open that waits for the other end of a named pipe waits alone.
#[test]
fn a_neighbour_goes_on_while_an_open_waits() {
    let folder = Folder::new("neighbour");
    let path = folder.0.join("fifo");
    let name = std::ffi::CString::new(path.to_str().unwrap()).unwrap();
    #[expect(unsafe_code, reason = "std makes no named pipes")]
    // SAFETY: a valid C string.
    let made = unsafe { libc::mkfifo(name.as_ptr(), 0o600) };
    assert_eq!(made, 0);
    osier::run(|| {
        let went_on = Rc::new(Cell::new(0));
        let reader = osier::spawn_local({
            let path = path.clone();
            move || {
                let mut text = String::new();
                File::open(path).unwrap().read_to_string(&mut text).unwrap();
                text
            }
        });
        let neighbour = osier::spawn_local({
            let went_on = went_on.clone();
            move || {
                for _ in 0..10 {
                    went_on.set(went_on.get() + 1);
                    osier::yield_now();
                }
            }
        });
        neighbour.join().unwrap();
        assert!(!reader.is_finished());
        assert_eq!(went_on.get(), 10);
        OpenOptions::new().write(true).open(&path).unwrap().write_all(b"now").unwrap();
        assert_eq!(reader.join().unwrap(), "now");
    });
}

#[test]
fn works_off_green_threads_and_converts() {
    let folder = Folder::new("plain");
    let path = folder.0.join("file");
    let mut file = File::create(&path).unwrap();
    file.write_all(b"plain").unwrap();
    let mut file = file.into_std().unwrap();
    file.write_all(b" std").unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "plain std");
    let fd = std::os::fd::IntoRawFd::into_raw_fd(file);
    #[expect(unsafe_code, reason = "takes the descriptor back")]
    // SAFETY: just given up by its owner.
    let file = File::from(unsafe { OwnedFd::from_raw_fd(fd) });
    assert_eq!(file.metadata().unwrap().len(), 9);
}
