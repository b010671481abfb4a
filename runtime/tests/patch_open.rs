//! Opening named pipes on green threads: whoever waits for the other end lets others run. All else is opened in place.

mod patching;

use libc::{
    AT_FDCWD, O_CREAT, O_EXCL, O_NONBLOCK, O_PATH, O_RDONLY, O_RDWR, O_TRUNC, O_WRONLY, c_char, c_int,
};
use patching::{answer, killed_in, others_go_on, timed_out_in, watchdog};
use std::ffi::CString;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::time::Duration;

unsafe extern "C" {
    fn __open_2(path: *const c_char, flags: c_int) -> c_int;
    fn __open64_2(path: *const c_char, flags: c_int) -> c_int;
    fn __openat_2(directory: c_int, path: *const c_char, flags: c_int) -> c_int;
    fn __openat64_2(directory: c_int, path: *const c_char, flags: c_int) -> c_int;
}

/// A named pipe, for the length of a test.
struct Fifo(CString);

impl Fifo {
    fn new() -> Fifo {
        let name = format!("osier-patch-open-{}", std::process::id());
        let path = std::env::temp_dir().join(name).into_os_string().into_string().unwrap();
        let path = CString::new(path).unwrap();
        // SAFETY: a string.
        assert_eq!(unsafe { libc::mkfifo(path.as_ptr(), 0o600) }, 0);
        Fifo(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for Fifo {
    fn drop(&mut self) {
        std::fs::remove_file(self.path()).unwrap();
    }
}

fn close(fd: c_int) {
    // SAFETY: opened by the caller, and nobody else's.
    assert_eq!(unsafe { libc::close(fd) }, 0);
}

/// A name, and a call with a path.
type Open = (&'static str, fn(*const c_char) -> c_int);

const TO_READ: [Open; 8] = [
    // SAFETY: called with a string.
    ("open", |path| unsafe { libc::open(path, O_RDONLY) }),
    // SAFETY: called with a string.
    ("open64", |path| unsafe { libc::open64(path, O_RDONLY) }),
    // SAFETY: called with a string.
    ("openat", |path| unsafe { libc::openat(AT_FDCWD, path, O_RDONLY) }),
    // SAFETY: called with a string.
    ("openat64", |path| unsafe { libc::openat64(AT_FDCWD, path, O_RDONLY) }),
    // SAFETY: called with a string.
    ("__open_2", |path| unsafe { __open_2(path, O_RDONLY) }),
    // SAFETY: called with a string.
    ("__open64_2", |path| unsafe { __open64_2(path, O_RDONLY) }),
    // SAFETY: called with a string.
    ("__openat_2", |path| unsafe { __openat_2(AT_FDCWD, path, O_RDONLY) }),
    // SAFETY: called with a string.
    ("__openat64_2", |path| unsafe { __openat64_2(AT_FDCWD, path, O_RDONLY) }),
];

const TO_WRITE: [Open; 3] = [
    // SAFETY: called with a string.
    ("open to write", |path| unsafe { libc::open(path, O_WRONLY | O_CREAT | O_TRUNC, 0o600) }),
    // SAFETY: called with a string.
    ("creat", |path| unsafe { libc::creat(path, 0o600) }),
    // SAFETY: called with a string.
    ("creat64", |path| unsafe { libc::creat64(path, 0o600) }),
];

fn waits_for_the_other_end(fifo: &Fifo) {
    for (name, open) in TO_READ {
        let path = fifo.0.clone();
        let mut writer = None;
        let other_end = || writer = Some(OpenOptions::new().write(true).open(fifo.path()).unwrap());
        let fd = others_go_on(name, move || open(path.as_ptr()), other_end);
        assert!(fd > libc::STDERR_FILENO, "{name}");
        writer.unwrap().write_all(b"x").unwrap();
        let mut byte = 0_u8;
        // SAFETY: valid for a write.
        assert_eq!(unsafe { libc::read(fd, (&raw mut byte).cast(), 1) }, 1, "{name}");
        assert_eq!(byte, b'x');
        close(fd);
    }
    for (name, open) in TO_WRITE {
        let path = fifo.0.clone();
        let mut reader = None;
        let fd = others_go_on(name, move || open(path.as_ptr()), || reader = File::open(fifo.path()).ok());
        // SAFETY: valid for a read.
        assert_eq!(unsafe { libc::write(fd, b"x".as_ptr().cast(), 1) }, 1, "{name}");
        close(fd);
        let mut text = String::new();
        reader.unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "x", "{name}");
    }
    // Both ends by green threads of this OS thread, in std.
    let path = fifo.path().to_owned();
    let writer = osier::spawn(move || OpenOptions::new().write(true).open(path)?.write_all(b"hello"));
    let mut text = String::new();
    File::open(fifo.path()).unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(text, "hello");
    writer.join().unwrap().unwrap();
}

fn ends_of_a_wait(fifo: &Fifo) {
    let open = |path: CString| {
        // SAFETY: a string.
        move || answer(unsafe { libc::open(path.as_ptr(), O_RDONLY) } as isize)
    };
    // One that was given up waits still, and what it opens is closed again.
    let is_closed = || {
        let mut writer = OpenOptions::new().write(true).open(fifo.path()).unwrap();
        while writer.write(b"x").is_ok() {
            osier::sleep(Duration::from_millis(1));
        }
    };
    assert_eq!(killed_in("open", open(fifo.0.clone())), Err(libc::ECANCELED));
    is_closed();
    assert_eq!(timed_out_in("open", open(fifo.0.clone())), Err(libc::ETIMEDOUT));
    is_closed();
}

/// However many wait for the other end, those that open it find a way, and so does all else that is offloaded.
fn many(fifo: &Fifo) {
    let path = fifo.path().to_owned();
    let readers: Vec<_> = (0..3)
        .map(|_| {
            let path = path.clone();
            osier::spawn(move || File::open(path).map(drop))
        })
        .collect();
    osier::yield_now();
    assert_eq!(osier::offload(|| 7), 7);
    // Open until the last one has come.
    let _writer = osier::spawn(move || OpenOptions::new().write(true).open(path)).join().unwrap().unwrap();
    readers.into_iter().for_each(|reader| reader.join().unwrap().unwrap());
}

/// Whether a neighbour ran during the call.
fn switches<T>(call: impl FnOnce() -> T) -> (bool, T) {
    let neighbour = osier::spawn(|| ());
    let value = call();
    let ran = neighbour.is_finished();
    neighbour.join().unwrap();
    (ran, value)
}

fn what_does_not_wait(fifo: &Fifo) {
    let open = |path: &CString, flags: c_int| {
        // SAFETY: a string.
        switches(|| answer(unsafe { libc::open(path.as_ptr(), flags, 0o600) } as isize))
    };
    assert_eq!(open(&fifo.0, O_WRONLY | O_NONBLOCK), (false, Err(libc::ENXIO)));
    assert_eq!(open(&fifo.0, O_WRONLY | O_CREAT | O_EXCL), (false, Err(libc::EEXIST)));
    for flags in [O_RDONLY | O_NONBLOCK, O_RDWR, O_PATH] {
        let (ran, opened) = open(&fifo.0, flags);
        assert!(!ran);
        close(opened.unwrap() as c_int);
    }
    let missing = CString::new(format!("{}-missing", fifo.path())).unwrap();
    assert_eq!(open(&missing, O_RDONLY), (false, Err(libc::ENOENT)));
    // With the mode that was given, of which the mask of the process takes away.
    let (ran, made) = open(&missing, O_WRONLY | O_CREAT | O_EXCL);
    assert!(!ran);
    close(made.unwrap() as c_int);
    let path = missing.to_str().unwrap();
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(path).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    std::fs::remove_file(path).unwrap();
    // SAFETY: the null pointer is refused.
    assert_eq!(answer(unsafe { libc::open(std::ptr::null(), O_RDONLY) } as isize), Err(libc::EFAULT));
}

#[test]
fn a_named_pipe_is_opened_while_others_run() {
    watchdog();
    osier::patch::all();
    let fifo = Fifo::new();
    osier::run(|| {
        waits_for_the_other_end(&fifo);
        ends_of_a_wait(&fifo);
        what_does_not_wait(&fifo);
    });
    osier::Builder::new().offload_threads(1).build().unwrap().run(|| many(&fifo));
}
