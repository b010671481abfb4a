//! Sends and receives single bytes on a socket that is ready, on a green thread with everything patched; `.ci/shim-cost` counts the
//! instructions and system calls of that.
//!
//! `shim_cost raw|send|recv COUNT`: by system calls alone; with `send` through its shim; with `recv` through its shim.
#![expect(unsafe_code, reason = "calls libc")]

use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::ptr::null_mut;

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
        (0..count).filter(|_| sends(from, send) == 1 && receives(to, recv) == 1).count()
    });
    if moved == count { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn sends(fd: i32, shim: bool) -> isize {
    let byte = 7_u8;
    let from = (&raw const byte).cast();
    if shim {
        // SAFETY: valid for a byte.
        return unsafe { libc::send(fd, from, 1, 0) };
    }
    let no_address = null_mut::<libc::sockaddr>();
    // SAFETY: valid for a byte.
    unsafe { libc::syscall(libc::SYS_sendto, fd, from, 1_usize, 0, no_address, 0) as isize }
}

fn receives(fd: i32, shim: bool) -> isize {
    let mut byte = 0_u8;
    let to = (&raw mut byte).cast();
    if shim {
        // SAFETY: valid for a byte.
        return unsafe { libc::recv(fd, to, 1, 0) };
    }
    let (no_address, no_len) = (null_mut::<libc::sockaddr>(), null_mut::<libc::socklen_t>());
    // SAFETY: valid for a byte.
    unsafe { libc::syscall(libc::SYS_recvfrom, fd, to, 1_usize, 0, no_address, no_len) as isize }
}
