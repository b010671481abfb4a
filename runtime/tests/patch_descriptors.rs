//! What the owner of a descriptor has said holds: nonblocking mode, time limits, closing, errno, the standard streams.

mod patching;

use patching::{answer, neighbour_goes_on, watchdog};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

fn recv(fd: RawFd, flags: i32) -> Result<usize, i32> {
    let mut byte = 0_u8;
    // SAFETY: the buffer is valid for a byte.
    answer(unsafe { libc::recv(fd, (&raw mut byte).cast(), 1, flags) })
}

fn close(fd: RawFd) -> i32 {
    // SAFETY: the tests give away descriptors of their own.
    unsafe { libc::close(fd) }
}

/// Runs `call` while a neighbour is ready, and shows that it did not switch.
fn never_switches<T>(what: &str, call: impl FnOnce() -> T) -> T {
    let neighbour = osier::spawn(|| ());
    let result = call();
    assert!(!neighbour.is_finished(), "{what} has switched");
    neighbour.join().unwrap();
    result
}

fn nonblocking_descriptors_are_left_alone() {
    let (mut one, mut other) = UnixStream::pair().unwrap();
    one.set_nonblocking(true).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let datagrams = UdpSocket::bind("127.0.0.1:0").unwrap();
    datagrams.set_nonblocking(true).unwrap();
    other.set_nonblocking(true).unwrap();
    never_switches("a nonblocking call", || {
        // Far more often than a blocking one may succeed in a row.
        for _ in 0..1000 {
            assert_eq!(one.read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
            other.write_all(b"x").unwrap();
            assert_eq!(one.read(&mut [0]).unwrap(), 1);
            assert_eq!(listener.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
            assert_eq!(datagrams.recv(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
        }
    });
    let sent = never_switches("a nonblocking write", || {
        let mut sent = 0;
        while let Ok(count) = one.write(&[0; 4096]) {
            sent += count;
        }
        sent
    });
    assert!(sent > 0);
    assert_eq!(
        never_switches("MSG_DONTWAIT", || recv(datagrams.as_raw_fd(), libc::MSG_DONTWAIT)),
        Err(libc::EAGAIN)
    );
}

/// An event loop that knows nothing of Osier, as mio's: nonblocking sockets and an epoll instance of its own.
fn a_foreign_event_loop_works() {
    // SAFETY: no pointers.
    let epoll = unsafe { OwnedFd::from_raw_fd(libc::epoll_create1(libc::EPOLL_CLOEXEC)) };
    let watch = |fd: RawFd| {
        let events = (libc::EPOLLIN | libc::EPOLLET).cast_unsigned();
        let mut event = libc::epoll_event { events, u64: fd as u64 };
        // SAFETY: a valid event.
        assert_eq!(unsafe { libc::epoll_ctl(epoll.as_raw_fd(), libc::EPOLL_CTL_ADD, fd, &mut event) }, 0);
    };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    listener.set_nonblocking(true).unwrap();
    watch(listener.as_raw_fd());
    // Its client is a foreign OS thread with blocking sockets, which no shim touches.
    let client = std::thread::spawn(move || {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(b"ping").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    });
    let mut stream: Option<TcpStream> = None;
    let mut text = Vec::new();
    while text.len() < 4 {
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; 4];
        // SAFETY: room for 4 events.
        let count = unsafe { libc::epoll_wait(epoll.as_raw_fd(), events.as_mut_ptr(), 4, -1) };
        for event in &events[..count as usize] {
            let token = event.u64;
            if token == listener.as_raw_fd() as u64 {
                let (accepted, _) = listener.accept().unwrap();
                accepted.set_nonblocking(true).unwrap();
                watch(accepted.as_raw_fd());
                stream = Some(accepted);
                assert_eq!(listener.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
                continue;
            }
            let mut buffer = [0; 64];
            loop {
                match stream.as_mut().unwrap().read(&mut buffer) {
                    Ok(count) => text.extend_from_slice(&buffer[..count]),
                    Err(error) => break assert_eq!(error.kind(), ErrorKind::WouldBlock),
                }
            }
        }
    }
    stream.unwrap().write_all(b"pong").unwrap();
    assert_eq!(client.join().unwrap(), "pong");
}

fn time_limits_hold() {
    let limit = Duration::from_millis(20);
    let (mut one, _other) = UnixStream::pair().unwrap();
    one.set_read_timeout(Some(limit)).unwrap();
    one.set_write_timeout(Some(limit)).unwrap();
    let timed = |what: &str, call: &mut dyn FnMut() -> io::Error| {
        let start = Instant::now();
        let neighbour = osier::spawn(Instant::now);
        assert_eq!(call().kind(), ErrorKind::WouldBlock, "{what}");
        assert!(start.elapsed() >= limit, "{what}");
        assert!(neighbour.is_finished(), "{what}: nobody else ran");
    };
    timed("read", &mut || one.read(&mut [0]).unwrap_err());
    let datagrams = UdpSocket::bind("127.0.0.1:0").unwrap();
    datagrams.set_read_timeout(Some(limit)).unwrap();
    timed("recv_from", &mut || datagrams.recv_from(&mut [0]).unwrap_err());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let time = libc::timeval { tv_sec: 0, tv_usec: 20_000 };
    let (option, len) = (libc::SO_RCVTIMEO, size_of_val(&time) as u32);
    // SAFETY: the time is valid for a read of `len` bytes.
    let set = unsafe {
        libc::setsockopt(listener.as_raw_fd(), libc::SOL_SOCKET, option, (&raw const time).cast(), len)
    };
    assert_eq!(set, 0);
    timed("accept", &mut || listener.accept().unwrap_err());
    // What was sent before the time was over counts; then the buffer is full.
    let much = vec![0; 32 << 20];
    let sent = one.write(&much).unwrap();
    assert!(sent > 0 && sent < much.len());
    timed("write", &mut || one.write(&much).unwrap_err());
}

fn close_wakes_waiters_also_when_the_number_is_used_again() {
    let (one, _other) = UnixStream::pair().unwrap();
    let fd = one.into_raw_fd();
    let ended = neighbour_goes_on("recv", move || recv(fd, 0), || assert_eq!(close(fd), 0));
    assert_eq!(ended, Err(libc::EBADF));

    let (one, _other) = UnixStream::pair().unwrap();
    let fd = one.into_raw_fd();
    let (twin, mut sender) = UnixStream::pair().unwrap();
    let senders = std::cell::Cell::new(None);
    let ended = neighbour_goes_on(
        "recv",
        move || recv(fd, 0),
        || {
            assert_eq!(close(fd), 0);
            // The number stands for another socket, in which a byte waits that is not for the one who waited.
            // SAFETY: a descriptor of ours, and a free number.
            assert_eq!(unsafe { libc::dup2(twin.as_raw_fd(), fd) }, fd);
            // Waited for already, before the one who waited for the old one runs.
            let late = osier::spawn(move || {
                osier::yield_now();
                sender.write_all(b"xy").unwrap();
                sender
            });
            assert_eq!(recv(fd, 0), Ok(1));
            senders.set(Some(late.join().unwrap()));
        },
    );
    assert_eq!(ended, Err(libc::EBADF));
    let mut sender = senders.take().unwrap();
    assert_eq!(recv(fd, 0), Ok(1), "the byte is there for whoever asks for it now");
    // And the new one can be waited for.
    let received = neighbour_goes_on("recv", move || recv(fd, 0), || sender.write_all(b"x").unwrap());
    assert_eq!(received, Ok(1));
    assert_eq!(close(fd), 0);
    assert_eq!((recv(fd, 0), close(fd)), (Err(libc::EBADF), -1));

    // A duplicate keeps the socket open, and its own waiters waiting.
    let (one, mut other) = UnixStream::pair().unwrap();
    let (twin, fd) = (one.try_clone().unwrap(), one.into_raw_fd());
    let closed = osier::spawn(move || recv(fd, 0));
    let received = neighbour_goes_on(
        "recv on a duplicate",
        move || recv(twin.as_raw_fd(), 0),
        || {
            assert_eq!(close(fd), 0);
            assert_eq!(closed.join().unwrap(), Err(libc::EBADF));
            other.write_all(b"x").unwrap();
        },
    );
    assert_eq!(received, Ok(1));
}

fn errno_is_each_ones_own() {
    let (one, other) = UnixStream::pair().unwrap();
    let fd = one.as_raw_fd();
    one.set_read_timeout(Some(Duration::from_millis(5))).unwrap();
    // Its wait ends with EAGAIN; meanwhile another's calls fail with EBADF all the time.
    let waiter = osier::spawn(move || recv(fd, 0));
    while !waiter.is_finished() {
        assert_eq!(recv(1 << 20, 0), Err(libc::EBADF));
        osier::yield_now();
    }
    assert_eq!(waiter.join().unwrap(), Err(libc::EAGAIN));
    // A call that succeeds after a wait leaves it alone, whatever others have done meanwhile.
    let theirs = osier::spawn(move || {
        assert_eq!(recv(1 << 20, 0), Err(libc::EBADF));
        (&other).write_all(b"x").unwrap();
    });
    // SAFETY: this OS thread's own variable.
    unsafe { *libc::__errno_location() = libc::EXDEV };
    let received = recv(fd, 0);
    assert_eq!(io::Error::last_os_error().raw_os_error(), Some(libc::EXDEV));
    assert_eq!(received, Ok(1));
    theirs.join().unwrap();
}

fn standard_streams_never_switch() {
    let (one, mut other) = UnixStream::pair().unwrap();
    one.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    other.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    // SAFETY: descriptors of ours; the number is put back below.
    let kept = unsafe { libc::dup(0) };
    // SAFETY: as above.
    assert_eq!(unsafe { libc::dup2(one.as_raw_fd(), 0) }, 0);
    let received = never_switches("a receive on descriptor 0", || recv(0, 0));
    assert_eq!(received, Err(libc::EAGAIN));
    let mut entry = libc::pollfd { fd: 0, events: libc::POLLIN, revents: 0 };
    // SAFETY: one entry.
    never_switches("a poll of descriptor 0", || assert_eq!(unsafe { libc::poll(&mut entry, 1, 5) }, 0));
    other.write_all(b"x").unwrap();
    assert_eq!(never_switches("a receive on descriptor 0", || recv(0, 0)), Ok(1));
    // SAFETY: as above.
    assert_eq!(unsafe { libc::dup2(kept, 0) }, 0);
    close(kept);
}

fn files_and_pipes_are_read_as_they_are() {
    assert!(std::fs::read_to_string("/proc/self/status").unwrap().starts_with("Name:"));
    let (mut reader, mut writer) = io::pipe().unwrap();
    writer.write_all(b"hello").unwrap();
    drop(writer);
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    assert_eq!(text, "hello");
    let mut parts = [io::IoSliceMut::new(&mut [])];
    assert_eq!(reader.read_vectored(&mut parts).unwrap(), 0);
    // A read of nothing does not wait, on a socket neither.
    let (mut one, _other) = UnixStream::pair().unwrap();
    // SAFETY: nothing is read.
    assert_eq!(unsafe { libc::read(one.as_raw_fd(), std::ptr::null_mut(), 0) }, 0);
    assert_eq!(one.write(&[]).unwrap(), 0);
}

fn a_forked_child_is_unpatched() {
    let (one, mut other) = UnixStream::pair().unwrap();
    let fd = one.as_raw_fd();
    let waiter = osier::spawn(move || recv(fd, 0));
    osier::yield_now();
    // SAFETY: the child makes system calls and exits.
    let child = unsafe { libc::fork() };
    if child == 0 {
        // Were the shim active here, it would take its parent's descriptor out of the epoll instance that they share.
        let patched = osier::patch::is_active(osier::patch::Group::Net);
        close(fd);
        // SAFETY: ends the child.
        unsafe { libc::_exit(i32::from(patched)) };
    }
    let mut status = 0;
    // SAFETY: `status` is valid for a write.
    assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
    assert_eq!(status, 0);
    other.write_all(b"x").unwrap();
    assert_eq!(waiter.join().unwrap(), Ok(1));
}

#[test]
fn what_the_owner_says_holds() {
    osier::patch::all();
    watchdog();
    osier::run(|| {
        nonblocking_descriptors_are_left_alone();
        a_foreign_event_loop_works();
        time_limits_hold();
        close_wakes_waiters_also_when_the_number_is_used_again();
        errno_is_each_ones_own();
        standard_streams_never_switch();
        files_and_pipes_are_read_as_they_are();
        a_forked_child_is_unpatched();
    });
}
