//! The names by which C that was compiled with `_FORTIFY_SOURCE` calls: shims, too, and they check what libc's check.

mod common;
mod patching;

use libc::{POLLIN, c_int, c_void, pollfd, size_t, sockaddr, socklen_t, ssize_t, timespec};
use osier::patch::Group;
use patching::{neighbour_goes_on, watchdog};
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::ptr::{null, null_mut};

unsafe extern "C" {
    fn __read_chk(fd: c_int, buf: *mut c_void, len: size_t, size: size_t) -> ssize_t;
    fn __recv_chk(fd: c_int, buf: *mut c_void, len: size_t, size: size_t, flags: c_int) -> ssize_t;
    fn __recvfrom_chk(
        fd: c_int,
        buf: *mut c_void,
        len: size_t,
        size: size_t,
        flags: c_int,
        addr: *mut sockaddr,
        addr_len: *mut socklen_t,
    ) -> ssize_t;
    fn __pread_chk(fd: c_int, buf: *mut c_void, len: size_t, at: i64, size: size_t) -> ssize_t;
    fn __pread64_chk(fd: c_int, buf: *mut c_void, len: size_t, at: i64, size: size_t) -> ssize_t;
    fn __poll_chk(entries: *mut pollfd, count: libc::nfds_t, timeout: c_int, size: size_t) -> c_int;
    fn __ppoll_chk(
        entries: *mut pollfd,
        count: libc::nfds_t,
        limit: *const timespec,
        mask: *const libc::sigset_t,
        size: size_t,
    ) -> c_int;
    fn __open_2(path: *const libc::c_char, flags: c_int) -> c_int;
}

/// A name, and a call that waits until the descriptor can be read, with room for a byte.
type Call = (&'static str, fn(c_int, *mut c_void) -> ssize_t);

/// In a process of its own: the harness starts an OS thread for the next test when it likes.
#[test]
fn they_park_the_green_thread() {
    let output = common::in_child("they_park_the_green_thread", each_parks);
    assert!(output.status.success(), "{}", common::text(&output.stderr));
}

fn each_parks() {
    watchdog();
    osier::patch::all();
    osier::patch::group(Group::File);
    osier::run(|| {
        let (mut one, other) = UnixStream::pair().unwrap();
        let fd = other.as_raw_fd();
        let calls: [Call; 5] = [
            // SAFETY: valid for a write.
            ("__read_chk", |fd, byte| unsafe { __read_chk(fd, byte, 1, 1) }),
            // SAFETY: valid for a write.
            ("__recv_chk", |fd, byte| unsafe { __recv_chk(fd, byte, 1, 1, 0) }),
            // SAFETY: valid for a write; no address is asked for.
            ("__recvfrom_chk", |fd, byte| unsafe {
                __recvfrom_chk(fd, byte, 1, 1, 0, null_mut(), null_mut())
            }),
            ("__poll_chk", |fd, _| {
                let mut entry = pollfd { fd, events: POLLIN, revents: 0 };
                // SAFETY: one entry.
                unsafe { __poll_chk(&mut entry, 1, -1, 8) as ssize_t }
            }),
            ("__ppoll_chk", |fd, _| {
                let mut entry = pollfd { fd, events: POLLIN, revents: 0 };
                // SAFETY: one entry; neither time nor mask.
                unsafe { __ppoll_chk(&mut entry, 1, null(), null(), 8) as ssize_t }
            }),
        ];
        let byte = std::ptr::from_mut(Box::leak(Box::new(0_u8))).cast();
        for (name, call) in calls {
            let sent = || one.write_all(b"x").unwrap();
            assert_eq!(neighbour_goes_on(name, move || call(fd, byte), sent), 1, "{name}");
            if name.contains("poll") {
                (&other).read_exact(&mut [0]).unwrap();
            }
        }
    });
}

#[test]
fn files_are_read() {
    osier::run(|| {
        let file = std::fs::File::open("/proc/self/exe").unwrap();
        for (name, call) in [
            ("__pread_chk", __pread_chk as unsafe extern "C" fn(_, _, _, _, _) -> _),
            ("__pread64_chk", __pread64_chk),
        ] {
            let mut bytes = [0_u8; 3];
            // SAFETY: valid for a write.
            assert_eq!(unsafe { call(file.as_raw_fd(), bytes.as_mut_ptr().cast(), 3, 1, 3) }, 3, "{name}");
            assert_eq!(&bytes, b"ELF");
        }
    });
}

#[test]
fn what_does_not_fit_ends_the_process() {
    let output = common::in_child("what_does_not_fit_ends_the_process", || {
        let mut byte = 0_u8;
        // SAFETY: it reads nothing, as libc's would not.
        unsafe { __read_chk(0, (&raw mut byte).cast(), 2, 1) };
    });
    assert_eq!(output.status.signal(), Some(libc::SIGABRT));
    assert!(common::text(&output.stderr).contains("buffer overflow detected"));
}

#[test]
fn flags_that_need_a_mode_end_the_process() {
    let output = common::in_child("flags_that_need_a_mode_end_the_process", || {
        // SAFETY: a string.
        unsafe { __open_2(c"/".as_ptr(), libc::O_CREAT) };
    });
    assert_eq!(output.status.signal(), Some(libc::SIGABRT));
}
