//! What the kernel says of this process and of its children.

use super::check;
use std::io;
use std::os::fd::{FromRawFd, OwnedFd};

/// The OS threads of the process; `None` if `/proc` cannot be read.
pub(crate) fn threads() -> Option<usize> {
    Some(std::fs::read_dir("/proc/self/task").ok()?.count())
}

/// What becomes of a request for a descriptor that stands for a child.
#[derive(Debug)]
pub(crate) enum Pidfd {
    /// Readable once the child has ended. Closed in programs that are executed.
    Open(OwnedFd),
    /// There is no such child any more.
    Gone,
    /// The kernel has none (before Linux 5.3), or a sandbox does not allow it.
    Unsupported,
}

/// A descriptor that stands for the child `pid`, which must not have been waited for.
///
/// # Errors
///
/// If no descriptors are left.
pub(crate) fn pidfd(pid: u32) -> io::Result<Pidfd> {
    // SAFETY: no pointers.
    let result = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0_u32) };
    match check(result as libc::c_int) {
        // SAFETY: just created, and nobody else's.
        Ok(fd) => Ok(Pidfd::Open(unsafe { OwnedFd::from_raw_fd(fd) })),
        Err(error) => match error.raw_os_error() {
            Some(libc::ESRCH) => Ok(Pidfd::Gone),
            Some(libc::ENOSYS | libc::EPERM | libc::EINVAL | libc::EACCES) => Ok(Pidfd::Unsupported),
            _ => Err(error),
        },
    }
}

/// Blocks the OS thread until the child `pid` has ended, and leaves it to be waited for. Returns early if there is no such
/// child.
pub(crate) fn wait_ended(pid: u32) {
    loop {
        // SAFETY: all zeroes are a valid `siginfo_t`.
        let mut info: libc::siginfo_t = unsafe { core::mem::zeroed() };
        // SAFETY: `info` is valid for a write.
        let result = unsafe { libc::waitid(libc::P_PID, pid, &raw mut info, libc::WEXITED | libc::WNOWAIT) };
        match check(result) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            _ => return,
        }
    }
}

/// Ends the process. Nothing that was registered for its end is called, and nothing that is buffered is written.
pub(crate) fn exit_at_once(code: i32) -> ! {
    // SAFETY: ends the process, and returns to nobody.
    unsafe { libc::_exit(code) }
}
