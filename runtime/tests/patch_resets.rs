//! A call that has moved some bytes when the connection breaks gives their number. What has happened is for the next call to find:
//! the error that the kernel tells once, and the signal.

mod patching;

use libc::{MSG_NOSIGNAL, MSG_WAITALL, c_int};
use patching::{answer, neighbour_goes_on, watchdog};
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicUsize, Ordering};

static SIGNALS: AtomicUsize = AtomicUsize::new(0);

extern "C" fn count_signal(_: c_int) {
    SIGNALS.fetch_add(1, Ordering::Relaxed);
}

fn tcp_pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let one = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (one, listener.accept().unwrap().0)
}

/// Closes it so that the peer is told that the connection was reset.
fn reset(socket: TcpStream) {
    let linger = libc::linger { l_onoff: 1, l_linger: 0 };
    let (at, len) = ((&raw const linger).cast(), size_of::<libc::linger>() as u32);
    // SAFETY: valid for its length.
    let set = unsafe { libc::setsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, libc::SO_LINGER, at, len) };
    assert_eq!(set, 0);
}

fn send(fd: RawFd, len: usize, flags: c_int) -> Result<usize, i32> {
    let bytes = vec![b'x'; len];
    // SAFETY: valid for its length.
    answer(unsafe { libc::send(fd, bytes.as_ptr().cast(), len, flags) })
}

fn recv(fd: RawFd, flags: c_int) -> Result<usize, i32> {
    let mut bytes = [0_u8; 100];
    // SAFETY: valid for its length.
    answer(unsafe { libc::recv(fd, bytes.as_mut_ptr().cast(), bytes.len(), flags) })
}

/// More than the buffers of a connection hold.
const MUCH: usize = 64 << 20;

fn sending() {
    let (one, other) = tcp_pair();
    let fd = one.as_raw_fd();
    let sent = neighbour_goes_on("send", move || send(fd, MUCH, 0), || reset(other)).unwrap();
    assert!((1..MUCH).contains(&sent));
    assert_eq!(SIGNALS.load(Ordering::Relaxed), 0);
    assert_eq!(send(fd, 1, 0), Err(libc::ECONNRESET));
    assert_eq!(send(fd, 1, MSG_NOSIGNAL), Err(libc::EPIPE));
    assert_eq!(SIGNALS.load(Ordering::Relaxed), 0);
    assert_eq!(send(fd, 1, 0), Err(libc::EPIPE));
    assert_eq!(SIGNALS.swap(0, Ordering::Relaxed), 1);

    let (one, other) = UnixStream::pair().unwrap();
    let fd = one.as_raw_fd();
    let sent = neighbour_goes_on("send", move || send(fd, MUCH, 0), || drop(other)).unwrap();
    assert!((1..MUCH).contains(&sent));
    assert_eq!(SIGNALS.load(Ordering::Relaxed), 0);
    assert_eq!(send(fd, 1, 0), Err(libc::EPIPE));
    assert_eq!(SIGNALS.swap(0, Ordering::Relaxed), 1);
}

fn receiving() {
    let (one, mut other) = tcp_pair();
    let fd = one.as_raw_fd();
    other.write_all(b"some").unwrap();
    let got = neighbour_goes_on("recv", move || recv(fd, MSG_WAITALL), || reset(other));
    assert_eq!(got, Ok(4));
    assert_eq!(recv(fd, 0), Err(libc::ECONNRESET));
    assert_eq!(recv(fd, 0), Ok(0));

    // Bytes that have come before the reset count.
    let (one, mut other) = tcp_pair();
    let fd = one.as_raw_fd();
    other.write_all(b"some").unwrap();
    let release = move || {
        other.write_all(b"more").unwrap();
        reset(other);
    };
    assert_eq!(neighbour_goes_on("recv", move || recv(fd, MSG_WAITALL), release), Ok(8));
    assert_eq!(recv(fd, 0), Err(libc::ECONNRESET));
}

#[test]
fn what_breaks_after_the_first_bytes_is_left_for_the_next_call() {
    watchdog();
    // SAFETY: the handler counts, and may run anywhere.
    unsafe { libc::signal(libc::SIGPIPE, count_signal as *const () as usize) };
    osier::patch::all();
    osier::run(|| {
        sending();
        receiving();
    });
}
