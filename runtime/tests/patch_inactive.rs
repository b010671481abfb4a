//! The feature `patch` alone changes nothing: before anything is activated each call does what libc's does.

mod patching;

use osier::patch::Group;
use patching::answer;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream, ToSocketAddrs};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// Each of these waits for a moment, or would for ever if it were not for the OS threads and processes beside us.
fn the_rest_blocks(quiet: &UnixStream) {
    let fd = quiet.as_raw_fd();
    // SAFETY: all zero is an empty set.
    let mut set: libc::fd_set = unsafe { std::mem::zeroed() };
    let mut limit = libc::timeval { tv_sec: 0, tv_usec: 5000 };
    // SAFETY: a valid set and time; the descriptors are few.
    let selected = unsafe {
        libc::FD_SET(fd, &mut set);
        libc::select(fd + 1, &mut set, std::ptr::null_mut(), std::ptr::null_mut(), &mut limit)
    };
    assert_eq!((selected, limit.tv_usec), (0, 0));
    // SAFETY: no pointers.
    let epoll = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
    let mut event = libc::epoll_event { events: 0, u64: 0 };
    // SAFETY: room for one event.
    assert_eq!(unsafe { libc::epoll_wait(epoll, &mut event, 1, 5) }, 0);
    // SAFETY: ours.
    assert_eq!(unsafe { libc::close(epoll) }, 0);

    let (mut reader, mut writer) = std::io::pipe().unwrap();
    let late = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(5));
        writer.write_all(b"hello").unwrap();
    });
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    assert_eq!(text, "hello");
    late.join().unwrap();
    let mut child = std::process::Command::new("sh").args(["-c", "exit 3"]).spawn().unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(3));
    let file = std::fs::File::open("/proc/self/status").unwrap();
    // SAFETY: no pointers.
    assert_eq!(unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX) }, 0);
}

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
        the_rest_blocks(&one);
        assert!(!neighbour.is_finished(), "and so does the rest");

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
