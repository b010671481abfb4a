//! The only room that names libc. Each function is one system call or one libc call, with its errors turned into
//! `io::Error`; those that may be interrupted (`EINTR`) say what they do then.

pub(crate) mod clock;
#[cfg(feature = "patch")]
pub(crate) mod cpu_timer;
#[cfg(feature = "patch")]
pub(crate) mod errno;
pub(crate) mod event;
pub(crate) mod fault;
pub(crate) mod file;
pub(crate) mod futex;
pub(crate) mod ipc;
pub(crate) mod lock;
pub(crate) mod memory;
pub(crate) mod process;
#[cfg(feature = "patch")]
pub(crate) mod program;
#[cfg_attr(not(feature = "patch"), allow(dead_code, reason = "some are called only by shims"))]
pub(crate) mod raw;
#[cfg(feature = "patch")]
pub(crate) mod shimmed;
pub(crate) mod signal;
pub(crate) mod socket;
pub(crate) mod system_call;
#[cfg(feature = "patch")]
pub(crate) mod thread_locals;

use std::io;

/// The result of a call that says -1 for "see errno".
fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// What the system says of a descriptor that is not open.
pub(crate) fn bad_descriptor() -> io::Error {
    io::Error::from_raw_os_error(libc::EBADF)
}
