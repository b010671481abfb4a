//! Descriptors that one worker closes while green threads of another one wait for them.
#![expect(unsafe_code, reason = "calls libc, as unmodified code does")]

mod patching;

use patching::{answer, watchdog};
use std::io::Write;
use std::os::fd::{AsRawFd, IntoRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

fn recv(fd: RawFd) -> Result<usize, i32> {
    let mut byte = 0_u8;
    // SAFETY: the buffer is valid for a byte.
    answer(unsafe { libc::recv(fd, (&raw mut byte).cast(), 1, 0) })
}

fn close(fd: RawFd) {
    // SAFETY: the test gives away a descriptor of its own.
    assert_eq!(unsafe { libc::close(fd) }, 0);
}

/// Green threads of both workers that receive from `fd`, and are parked in that.
fn readers(fd: RawFd) -> Vec<osier::thread::JoinHandle<Result<usize, i32>>> {
    let begun = Arc::new(AtomicUsize::new(0));
    let readers: Vec<_> = (0..4)
        .map(|n| {
            let begun = begun.clone();
            let reader = osier::thread::Builder::new().worker(n % 2).spawn(move || {
                begun.fetch_add(1, Ordering::Relaxed);
                recv(fd)
            });
            reader.unwrap()
        })
        .collect();
    while begun.load(Ordering::Relaxed) < readers.len() {
        osier::yield_now();
    }
    // Each has been followed by another one of its worker, so it has parked.
    for worker in 0..2 {
        osier::thread::Builder::new().worker(worker).spawn(|| ()).unwrap().join().unwrap();
    }
    readers
}

#[test]
fn close_wakes_the_waiters_of_all_workers() {
    watchdog();
    osier::patch::all();
    osier::Builder::new().workers(2).build().unwrap().run(|| {
        for round in 0..50 {
            let (one, _other) = UnixStream::pair().unwrap();
            // A duplicate keeps the socket in epoll when the descriptor is gone.
            let _twin = (round % 2 == 0).then(|| one.try_clone().unwrap());
            let fd = one.into_raw_fd();
            let waiting = readers(fd);
            osier::thread::Builder::new().worker(round % 2).spawn(move || close(fd)).unwrap().join().unwrap();
            for reader in waiting {
                assert_eq!(reader.join().unwrap(), Err(libc::EBADF));
            }
            // The number stands for another socket now, and those who wait for that one hear nothing of the close.
            let (next, mut sender) = UnixStream::pair().unwrap();
            // SAFETY: a descriptor of ours, and a number that is free or that of `next`.
            assert_eq!(unsafe { libc::dup2(next.as_raw_fd(), fd) }, fd);
            let waiting = readers(fd);
            sender.write_all(b"four").unwrap();
            for reader in waiting {
                assert_eq!(reader.join().unwrap(), Ok(1));
            }
            if next.as_raw_fd() != fd {
                close(fd);
            }
        }
    });
}
