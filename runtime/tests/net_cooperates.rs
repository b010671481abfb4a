//! While a call waits, the neighbours on the same worker go on, and no OS thread was started for it. One test, since OS
//! threads and descriptors are the process's.
#![expect(unsafe_code, reason = "makes the backlog of a listener small")]

mod common;

use common::descriptors;
use osier::net::{TcpListener, TcpStream, ToSocketAddrs, UdpSocket};
use osier::os::unix::net::{SocketAddr as UnixAddr, UnixDatagram, UnixListener, UnixStream};
use osier::time::Duration;
use std::cell::Cell;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::linux::net::SocketAddrExt;
use std::rc::Rc;

/// The process's OS threads. The kernel takes its time to forget one that was joined.
fn os_threads() -> BTreeSet<OsString> {
    std::fs::read_dir("/proc/self/task").unwrap().map(|task| task.unwrap().file_name()).collect()
}

/// Runs `call`, which waits until `end` was called by a neighbour, and returns what it came to.
fn waits<T: 'static>(
    what: &str,
    call: impl FnOnce() -> io::Result<T> + 'static,
    end: impl FnOnce() + 'static,
) -> T {
    let before = os_threads();
    let (begun, done) = (Rc::new(Cell::new(false)), Rc::new(Cell::new(false)));
    let waiter = osier::spawn_local({
        let (begun, done) = (begun.clone(), done.clone());
        move || {
            begun.set(true);
            let value = call();
            done.set(true);
            value
        }
    });
    for _ in 0..50 {
        osier::yield_now();
    }
    assert!(begun.get() && !done.get(), "{what} did not wait");
    osier::sleep(Duration::from_millis(1));
    assert!(!done.get(), "{what} did not wait");
    assert!(os_threads().is_subset(&before), "{what} made an OS thread");
    end();
    let value = waiter.join().unwrap().unwrap_or_else(|error| panic!("{what}: {error}"));
    assert!(os_threads().is_subset(&before), "{what} made an OS thread");
    value
}

fn tcp_pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let one = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (one, listener.accept().unwrap().0)
}

fn shrink_backlog(listener: impl AsFd) {
    // SAFETY: no pointers.
    assert_eq!(unsafe { libc::listen(listener.as_fd().as_raw_fd(), 0) }, 0);
}

/// Writes until there is no more room; how much. The kernel says that there is room when a third of it is free, of buffers that it
/// has enlarged meanwhile: certainly when all this was read.
fn fill(mut write: impl FnMut() -> io::Result<usize>) -> usize {
    let mut filled = 0;
    loop {
        match write() {
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return filled,
            Err(error) => panic!("{error}"),
        }
    }
}

fn abstract_addr(name: &str) -> UnixAddr {
    UnixAddr::from_abstract_name(format!("osier-test-{}-{name}", std::process::id())).unwrap()
}

fn tcp() {
    let listener = Rc::new(TcpListener::bind("127.0.0.1:0").unwrap());
    let addr = listener.local_addr().unwrap();
    let client = Rc::new(Cell::new(None));
    waits(
        "accept",
        {
            let listener = listener.clone();
            move || listener.accept()
        },
        {
            let client = client.clone();
            move || client.set(Some(TcpStream::connect(addr).unwrap()))
        },
    );
    waits(
        "incoming",
        {
            let listener = listener.clone();
            move || listener.incoming().next().unwrap()
        },
        {
            let client = client.clone();
            move || client.set(Some(TcpStream::connect(addr).unwrap()))
        },
    );

    // The second connection finds no room in the backlog, and the kernel tries again after a second.
    shrink_backlog(&*listener);
    let first = TcpStream::connect(addr).unwrap();
    let error = TcpStream::connect_timeout(&addr, Duration::from_millis(20)).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    let accept = listener.clone();
    waits("connect", move || TcpStream::connect(addr), move || drop(accept.accept().unwrap()));
    let accept = listener.clone();
    waits(
        "connect_timeout",
        move || TcpStream::connect_timeout(&addr, Duration::from_secs(60)),
        move || drop(accept.accept().unwrap()),
    );
    drop(first);

    let (here, there) = tcp_pair();
    let here = Rc::new(here);
    let reader = here.clone();
    let write = there.try_clone().unwrap();
    let count = waits("peek", move || reader.peek(&mut [0; 8]), move || (&write).write_all(b"abc").unwrap());
    assert_eq!(count, 3);
    assert_eq!((&*here).read(&mut [0; 8]).unwrap(), 3);
    let (reader, write) = (here.clone(), there.try_clone().unwrap());
    let count =
        waits("read", move || (&*reader).read(&mut [0; 8]), move || (&write).write_all(b"abc").unwrap());
    assert_eq!(count, 3);
    let (reader, write) = (here.clone(), there.try_clone().unwrap());
    let count = waits(
        "read_vectored",
        move || (&*reader).read_vectored(&mut [IoSliceMut::new(&mut [0; 2]), IoSliceMut::new(&mut [0; 2])]),
        move || (&write).write_all(b"abc").unwrap(),
    );
    assert_eq!(count, 3);

    here.set_nonblocking(true).unwrap();
    let filled = fill(|| (&*here).write(&[1; 65536]));
    here.set_nonblocking(false).unwrap();
    let writer = here.clone();
    let drain = there.try_clone().unwrap();
    waits(
        "write",
        move || (&*writer).write(&[1; 1000]),
        move || (&drain).read_exact(&mut vec![0; filled]).unwrap(),
    );
    here.set_nonblocking(true).unwrap();
    let filled = fill(|| (&*here).write(&[1; 65536]));
    here.set_nonblocking(false).unwrap();
    let (writer, drain) = (here.clone(), there.try_clone().unwrap());
    waits(
        "write_vectored",
        move || (&*writer).write_vectored(&[IoSlice::new(&[1; 500]), IoSlice::new(&[2; 500])]),
        move || (&drain).read_exact(&mut vec![0; filled]).unwrap(),
    );
}

fn udp() {
    let here = Rc::new(UdpSocket::bind("127.0.0.1:0").unwrap());
    let there = Rc::new(UdpSocket::bind("127.0.0.1:0").unwrap());
    here.connect(there.local_addr().unwrap()).unwrap();
    there.connect(here.local_addr().unwrap()).unwrap();
    let call = |what: &str, leaves: bool, call: fn(&UdpSocket, &mut [u8]) -> io::Result<usize>| {
        let (reader, writer) = (here.clone(), there.clone());
        let count = waits(
            what,
            move || call(&reader, &mut [0; 8]),
            move || assert_eq!(writer.send(b"abc").unwrap(), 3),
        );
        assert_eq!(count, 3);
        if leaves {
            here.recv(&mut [0; 8]).unwrap();
        }
    };
    call("recv", false, |socket, buf| socket.recv(buf));
    call("peek", true, |socket, buf| socket.peek(buf));
    call("recv_from", false, |socket, buf| socket.recv_from(buf).map(|(count, _)| count));
    call("peek_from", true, |socket, buf| socket.peek_from(buf).map(|(count, _)| count));
}

fn unix_streams() {
    let addr = abstract_addr("listener");
    let listener = Rc::new(UnixListener::bind_addr(&addr).unwrap());
    let client = Rc::new(Cell::new(None));
    waits(
        "accept",
        {
            let listener = listener.clone();
            move || listener.accept()
        },
        {
            let (client, addr) = (client.clone(), addr.clone());
            move || client.set(Some(UnixStream::connect_addr(&addr).unwrap()))
        },
    );
    shrink_backlog(&*listener);
    let first = UnixStream::connect_addr(&addr).unwrap();
    let accept = listener.clone();
    waits("connect_addr", move || UnixStream::connect_addr(&addr), move || drop(accept.accept().unwrap()));
    drop(first);

    let (here, there) = UnixStream::pair().unwrap();
    let (here, there) = (Rc::new(here), Rc::new(there));
    let (reader, writer) = (here.clone(), there.clone());
    waits("read", move || (&*reader).read(&mut [0; 8]), move || (&*writer).write_all(b"abc").unwrap());
    let (reader, writer) = (here.clone(), there.clone());
    waits("peek", move || reader.peek(&mut [0; 8]), move || (&*writer).write_all(b"abc").unwrap());
    here.set_nonblocking(true).unwrap();
    fill(|| (&*here).write(&[1; 4096]));
    here.set_nonblocking(false).unwrap();
    let (writer, reader) = (here.clone(), there.clone());
    let count = waits(
        "write",
        move || (&*writer).write(&[1; 100_000]),
        move || (&*reader).read_exact(&mut vec![0; 150_000]).unwrap(),
    );
    assert_eq!(count, 100_000, "a blocking write takes all");
}

fn unix_datagrams() {
    let addr = abstract_addr("datagrams");
    let here = Rc::new(UnixDatagram::bind_addr(&addr).unwrap());
    let there = Rc::new(UnixDatagram::unbound().unwrap());
    let call = |what: &str, leaves: bool, call: fn(&UnixDatagram, &mut [u8]) -> io::Result<usize>| {
        let (reader, writer, addr) = (here.clone(), there.clone(), addr.clone());
        let count = waits(
            what,
            move || call(&reader, &mut [0; 8]),
            move || assert_eq!(writer.send_to_addr(b"abc", &addr).unwrap(), 3),
        );
        assert_eq!(count, 3);
        if leaves {
            here.recv(&mut [0; 8]).unwrap();
        }
    };
    call("recv", false, |socket, buf| socket.recv(buf));
    call("peek", true, |socket, buf| socket.peek(buf));
    call("recv_from", false, |socket, buf| socket.recv_from(buf).map(|(count, _)| count));
    call("peek_from", true, |socket, buf| socket.peek_from(buf).map(|(count, _)| count));

    there.set_nonblocking(true).unwrap();
    fill(|| there.send_to_addr(b"x", &addr));
    there.set_nonblocking(false).unwrap();
    let (writer, reader) = (there.clone(), here.clone());
    waits(
        "send_to_addr",
        move || writer.send_to_addr(b"x", &addr),
        move || assert_eq!(reader.recv(&mut [0; 8]).unwrap(), 1),
    );

    let (here, there) = UnixDatagram::pair().unwrap();
    let there = Rc::new(there);
    let reader = there.clone();
    here.set_nonblocking(true).unwrap();
    fill(|| here.send(b"x"));
    here.set_nonblocking(false).unwrap();
    // The kernel says that there is room when most of it is free.
    let drain = move || {
        reader.set_nonblocking(true).unwrap();
        while reader.recv(&mut [0; 8]).is_ok() {}
    };
    waits("send", move || here.send(b"x"), drain);
    drop(there);
}

/// What the worker's epoll instance watches, besides the descriptors of the runtime.
fn watched() -> usize {
    let entries = std::fs::read_dir("/proc/self/fd").unwrap().map(|entry| entry.unwrap());
    let polls = entries.filter(|entry| {
        std::fs::read_link(entry.path()).is_ok_and(|to| to.ends_with("anon_inode:[eventpoll]"))
    });
    let infos = polls.map(|poll| {
        let number = poll.file_name().into_string().unwrap();
        std::fs::read_to_string(format!("/proc/self/fdinfo/{number}")).unwrap()
    });
    infos.map(|info| info.lines().filter(|line| line.starts_with("tfd:")).count()).sum()
}

/// Whatever becomes of a socket, in the end the kernel watches nothing of it.
fn nothing_stays_watched() {
    let before = watched();
    let registered = || {
        let (here, there) = tcp_pair();
        here.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
        assert!((&here).read(&mut [0]).is_err());
        assert!(watched() > before, "this test looks at the wrong place");
        (here, there)
    };
    let (here, there) = registered();
    drop(there);
    drop(here);
    assert_eq!(watched(), before, "closed");
    let (here, _there) = registered();
    let _std = std::net::TcpStream::from(here);
    assert_eq!(watched(), before, "given away");
    let (here, _there) = registered();
    let _clone = here.try_clone().unwrap();
    drop(here);
    assert_eq!(watched(), before, "closed while a clone lives");
    let (here, _there) = registered();
    let _duplicate = here.as_fd().try_clone_to_owned().unwrap();
    std::thread::spawn(move || drop(here)).join().unwrap();
    assert_eq!(watched(), before, "closed elsewhere while a duplicate lives");
}

/// The look-up itself takes no time that could be relied upon, but the neighbour runs before its answer is there.
fn names() {
    let before = os_threads();
    let ran = Rc::new(Cell::new(false));
    osier::spawn_local({
        let ran = ran.clone();
        move || ran.set(true)
    });
    assert!(("127.0.0.1", 1).to_socket_addrs().is_ok() && "[::1]:1".to_socket_addrs().is_ok());
    assert!("no port".to_socket_addrs().is_err());
    assert!(!ran.get() && os_threads().is_subset(&before), "numeric addresses never leave the thread");
    let addrs: Vec<_> = "localhost:80".to_socket_addrs().unwrap().collect();
    assert!(!addrs.is_empty() && addrs.iter().all(|addr| addr.ip().is_loopback() && addr.port() == 80));
    assert!(ran.get(), "the neighbour did not go on");
    assert!(os_threads().difference(&before).count() <= 1, "more than one OS thread for one name");
}

#[test]
fn every_waiting_call_lets_the_neighbours_go_on() {
    let before = descriptors();
    osier::run(tcp);
    osier::run(udp);
    osier::run(unix_streams);
    osier::run(unix_datagrams);
    osier::run(nothing_stays_watched);
    assert_eq!(descriptors(), before, "descriptors were left behind");
    osier::run(names);
}
