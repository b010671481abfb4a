//! Sends and receives single bytes on a socket that is ready, on a green thread with everything patched; `.ci/shim-cost` counts the
//! instructions and system calls of that.
//!
//! `shim_cost raw|send|recv COUNT`: by system calls alone; with `send` through its shim; with `recv` through its shim.
#![expect(unsafe_code, reason = "calls libc")]

use libc::iovec;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let (Some(mode), Some(Ok(count))) =
        (arguments.next(), arguments.next().map(|count| count.parse::<usize>()))
    else {
        return ExitCode::FAILURE;
    };
    osier::patch::all();
    let moved = osier::run(|| {
        let Ok((one, other)) = UnixStream::pair() else { return 0 };
        let (from, to) = (one.as_raw_fd(), other.as_raw_fd());
        let (send, recv) = (mode == "send", mode == "recv");
        let mut byte = 7_u8;
        let byte = iovec { iov_base: (&raw mut byte).cast(), iov_len: 1 };
        (0..count).filter(|_| sends(from, send, &byte) == 1 && receives(to, recv, &byte) == 1).count()
    });
    if moved == count { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Without the shim: by a system call that `osier` does not count, unlike those of the same name.
fn sends(fd: i32, shim: bool, byte: &iovec) -> isize {
    if shim {
        // SAFETY: valid for a byte.
        return unsafe { libc::send(fd, byte.iov_base, 1, 0) };
    }
    // SAFETY: one part, valid for a byte.
    unsafe { libc::syscall(libc::SYS_pwritev2, fd, byte, 1, -1_i64, 0, 0) as isize }
}

fn receives(fd: i32, shim: bool, byte: &iovec) -> isize {
    if shim {
        // SAFETY: valid for a byte.
        return unsafe { libc::recv(fd, byte.iov_base, 1, 0) };
    }
    // SAFETY: one part, valid for a byte.
    unsafe { libc::syscall(libc::SYS_preadv2, fd, byte, 1, -1_i64, 0, 0) as isize }
}
