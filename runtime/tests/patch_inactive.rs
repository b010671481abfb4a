//! The feature `patch` alone changes nothing: before anything is activated each call does what libc's does.

mod patching;

use osier::patch::Group;
use patching::answer;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream, ToSocketAddrs};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

#[test]
fn nothing_is_different_before_activation() {
    for group in Group::ALL {
        assert!(!osier::patch::is_active(group));
    }
    osier::run(|| {
        // A sleep blocks the OS thread: the neighbour does not run meanwhile.
        let neighbour = osier::spawn(|| ());
        let start = Instant::now();
        std::thread::sleep(Duration::from_millis(5));
        assert!(start.elapsed() >= Duration::from_millis(5));
        assert!(!neighbour.is_finished());

        let (mut one, mut other) = UnixStream::pair().unwrap();
        one.set_read_timeout(Some(Duration::from_millis(5))).unwrap();
        assert_eq!(one.read(&mut [0; 8]).unwrap_err().kind(), ErrorKind::WouldBlock);
        assert!(!neighbour.is_finished(), "a receive blocks too");
        other.write_all(b"hello").unwrap();
        let mut text = [0; 5];
        one.read_exact(&mut text).unwrap();
        assert_eq!(&text, b"hello");
        let mut entry = libc::pollfd { fd: one.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one entry.
        assert_eq!(unsafe { libc::poll(&mut entry, 1, 5) }, 0);
        assert!(!neighbour.is_finished(), "a poll blocks too");

        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let client = TcpStream::connect(address).unwrap();
        let (server, peer) = listener.accept().unwrap();
        assert_eq!(peer, client.local_addr().unwrap());
        // SAFETY: no pointers.
        let flags = unsafe { libc::fcntl(server.as_raw_fd(), libc::F_GETFL) };
        assert_eq!(flags & libc::O_NONBLOCK, 0);
        assert!("localhost:80".to_socket_addrs().unwrap().next().is_some());
        assert!(!neighbour.is_finished(), "a lookup blocks too");
        // SAFETY: nothing is received.
        let bad = unsafe { libc::recv(-1, std::ptr::null_mut(), 0, 0) };
        assert_eq!(answer(bad), Err(libc::EBADF));
        neighbour.join().unwrap();
    });
}
