//! Sends and receives single bytes on a socket that is ready, and locks and unlocks what nobody else has, on a green thread with
//! everything patched; `.ci/shim-cost` counts the instructions and system calls of that.
//!
//! `shim_cost raw|send|recv COUNT`: by system calls alone; with `send` through its shim; with `recv` through its shim.
//! `shim_cost mutex|recursive|rwlock COUNT`: a mutex of pthreads; one that knows its owner; a reader-writer lock of pthreads, to read.
#![expect(unsafe_code, reason = "calls libc")]

use libc::iovec;
use std::cell::UnsafeCell;
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
    let done = osier::run(|| match mode.as_str() {
        "mutex" => {
            let mutex = UnsafeCell::new(libc::PTHREAD_MUTEX_INITIALIZER);
            (0..count).filter(|_| locks(&mutex)).count()
        }
        "recursive" => {
            let mutex = UnsafeCell::new(libc::PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP);
            (0..count).filter(|_| locks(&mutex)).count()
        }
        "rwlock" => {
            let lock = UnsafeCell::new(libc::PTHREAD_RWLOCK_INITIALIZER);
            (0..count).filter(|_| locks_to_read(&lock)).count()
        }
        _ => {
            let Ok((one, other)) = UnixStream::pair() else { return 0 };
            let (from, to) = (one.as_raw_fd(), other.as_raw_fd());
            let (send, recv) = (mode == "send", mode == "recv");
            let mut byte = 7_u8;
            let byte = iovec { iov_base: (&raw mut byte).cast(), iov_len: 1 };
            (0..count).filter(|_| sends(from, send, &byte) == 1 && receives(to, recv, &byte) == 1).count()
        }
    });
    if done == count { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn locks(mutex: &UnsafeCell<libc::pthread_mutex_t>) -> bool {
    // SAFETY: valid, and locked by nobody.
    let locked = unsafe { libc::pthread_mutex_lock(mutex.get()) };
    // SAFETY: locked just now.
    locked == 0 && unsafe { libc::pthread_mutex_unlock(mutex.get()) } == 0
}

fn locks_to_read(lock: &UnsafeCell<libc::pthread_rwlock_t>) -> bool {
    // SAFETY: valid, and locked by nobody.
    let locked = unsafe { libc::pthread_rwlock_rdlock(lock.get()) };
    // SAFETY: locked just now.
    locked == 0 && unsafe { libc::pthread_rwlock_unlock(lock.get()) } == 0
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
