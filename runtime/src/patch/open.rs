//! The group `pipe`: opening a named pipe, which waits until somebody has it open at the other end.
//!
//! So it is opened by an OS thread of its own: those of the offload pool could all be waiting for the first end when the call comes
//! that opens the other. Whether a name is a named pipe's has to be asked before, as there is no way back from an
//! `open` that waits; with flags that let none wait it is not asked.

use super::report::count;
use super::wait::{answer, on_green, refuse, with_errno};
use super::{Group, is_active};
use crate::offload::run_apart;
use crate::park::Reason;
use crate::scheduler::Worker;
use crate::sys::{errno, shimmed};
use libc::{c_char, c_int, mode_t};
use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{FromRawFd, IntoRawFd, OwnedFd, RawFd};

// libc's take a variable number of arguments, which travel as those of a fixed number do on the platforms that this crate runs
// on; what was not given is not looked at.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn open(path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
    count!(open);
    // SAFETY: the caller's promise.
    unsafe { open_at(libc::AT_FDCWD, path, flags, mode) }
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn open64(path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
    count!(open64);
    // SAFETY: the caller's promise.
    unsafe { open_at(libc::AT_FDCWD, path, flags, mode) }
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn openat(
    directory: c_int,
    path: *const c_char,
    flags: c_int,
    mode: mode_t,
) -> c_int {
    count!(openat);
    // SAFETY: the caller's promise.
    unsafe { open_at(directory, path, flags, mode) }
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn openat64(
    directory: c_int,
    path: *const c_char,
    flags: c_int,
    mode: mode_t,
) -> c_int {
    count!(openat64);
    // SAFETY: the caller's promise.
    unsafe { open_at(directory, path, flags, mode) }
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn creat(path: *const c_char, mode: mode_t) -> c_int {
    count!(creat);
    // SAFETY: the caller's promise.
    unsafe { open_at(libc::AT_FDCWD, path, libc::O_CREAT | libc::O_WRONLY | libc::O_TRUNC, mode) }
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn creat64(path: *const c_char, mode: mode_t) -> c_int {
    count!(creat64);
    // SAFETY: the caller's promise.
    unsafe { creat(path, mode) }
}

/// # Safety
///
/// As for `openat`.
unsafe fn open_at(directory: RawFd, path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
    let makes = flags & libc::O_CREAT != 0 || flags & libc::O_TMPFILE == libc::O_TMPFILE;
    let mode = if makes { mode } else { 0 };
    let waited = if is_active(Group::Pipe) && may_wait(flags) {
        on_green(Group::Pipe, |worker| {
            let before = errno::last();
            // SAFETY: the caller's promise.
            let kind = unsafe { shimmed::kind_at(directory, path) };
            // What is not there may be made.
            errno::set(before);
            kind.is_ok_and(|kind| kind == libc::S_IFIFO).then(|| {
                // SAFETY: a named pipe's, so it is a string.
                let path = unsafe { CStr::from_ptr(path) }.to_owned();
                with_errno(|| open_apart(worker, directory, path, flags, mode))
            })
        })
    } else {
        None
    };
    match waited.flatten() {
        Some(opened) => opened as c_int,
        // SAFETY: the caller's promise.
        None => answer(unsafe { shimmed::openat(directory, path, flags, mode) }) as c_int,
    }
}

/// Whether to open a named pipe with these flags waits for somebody else.
fn may_wait(flags: c_int) -> bool {
    const NEVER: c_int = libc::O_NONBLOCK | libc::O_PATH | libc::O_DIRECTORY;
    const NEW: c_int = libc::O_CREAT | libc::O_EXCL;
    flags & NEVER == 0 && flags & NEW != NEW && flags & libc::O_ACCMODE != libc::O_RDWR
}

/// Works on copies: the green thread may be told to end meanwhile.
fn open_apart(
    worker: &Worker,
    directory: RawFd,
    path: CString,
    flags: c_int,
    mode: mode_t,
) -> io::Result<usize> {
    let opened = run_apart("osier-open", Reason::Offload, move || {
        // SAFETY: the path is a string.
        let opened = unsafe { shimmed::openat(directory, path.as_ptr(), flags, mode) };
        // SAFETY: just opened, and nobody else's.
        opened.map(|fd| unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
    });
    match opened.map_err(|cancelled| refuse(worker, cancelled))?? {
        Ok(opened) => Ok(opened?.into_raw_fd() as usize),
        // It does not panic.
        Err(_) => Err(super::wait::error(libc::EIO)),
    }
}
