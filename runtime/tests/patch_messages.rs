//! On green threads: several messages by one call, `splice`, and the calls that close a descriptor on the way.

mod patching;

use libc::{iovec, mmsghdr, timespec};
use patching::{answer, killed_in, neighbour_goes_on, watchdog};
use std::io::{self, Read, Write};
use std::mem::zeroed;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::ptr::null_mut;
use std::time::{Duration, Instant};

/// More than a Unix socket's buffers hold.
const MUCH: usize = 4 << 20;

fn receive(fd: RawFd, count: usize, flags: i32, limit: Option<&mut timespec>) -> Result<Vec<Vec<u8>>, i32> {
    let mut buffers = vec![[0_u8; 8]; count];
    let mut parts: Vec<_> =
        buffers.iter_mut().map(|buffer| iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: 8 }).collect();
    let mut messages: Vec<mmsghdr> = parts
        .iter_mut()
        .map(|part| {
            // SAFETY: all zero is an empty message.
            let mut message: mmsghdr = unsafe { zeroed() };
            message.msg_hdr.msg_iov = part;
            message.msg_hdr.msg_iovlen = 1;
            message
        })
        .collect();
    let limit = limit.map_or(null_mut(), |limit| limit);
    // SAFETY: so many messages, each with a valid part.
    let received = unsafe { libc::recvmmsg(fd, messages.as_mut_ptr(), count as u32, flags, limit) };
    let received = answer(received as isize)?;
    let texts =
        buffers.iter().zip(&messages).map(|(buffer, message)| buffer[..message.msg_len as usize].to_vec());
    Ok(texts.take(received).collect())
}

/// Sends each text as a message of its own; gives how many, and how long they were.
fn send(fd: RawFd, texts: &[&[u8]], flags: i32) -> Result<(usize, Vec<u32>), i32> {
    let mut parts: Vec<_> = texts
        .iter()
        .map(|text| iovec { iov_base: text.as_ptr().cast_mut().cast(), iov_len: text.len() })
        .collect();
    let mut messages: Vec<mmsghdr> = parts
        .iter_mut()
        .map(|part| {
            // SAFETY: all zero is an empty message.
            let mut message: mmsghdr = unsafe { zeroed() };
            message.msg_hdr.msg_iov = part;
            message.msg_hdr.msg_iovlen = 1;
            message
        })
        .collect();
    // SAFETY: so many messages, each with a valid part.
    let sent = unsafe { libc::sendmmsg(fd, messages.as_mut_ptr(), texts.len() as u32, flags) };
    let sent = answer(sent as isize)?;
    Ok((sent, messages[..sent].iter().map(|message| message.msg_len).collect()))
}

fn several_messages() {
    let (one, other) = UnixDatagram::pair().unwrap();
    let (fd, theirs) = (one.as_raw_fd(), other.as_raw_fd());
    let all = neighbour_goes_on(
        "recvmmsg",
        move || receive(fd, 3, 0, None),
        || {
            for text in [&b"one"[..], b"two", b"three"] {
                assert_eq!(other.send(text).unwrap(), text.len());
                osier::yield_now();
                osier::yield_now();
            }
        },
    );
    assert_eq!(all, Ok(vec![b"one".to_vec(), b"two".to_vec(), b"three".to_vec()]));
    let first = neighbour_goes_on(
        "recvmmsg",
        move || receive(fd, 3, libc::MSG_WAITFORONE, None),
        || {
            assert_eq!(send(theirs, &[b"one", b"two"], 0), Ok((2, vec![3, 3])));
        },
    );
    assert_eq!(first, Ok(vec![b"one".to_vec(), b"two".to_vec()]));
    assert_eq!(receive(fd, 3, libc::MSG_DONTWAIT, None), Err(libc::EAGAIN));
    // The time is over before there are three.
    let start = Instant::now();
    assert_eq!(other.send(b"one").unwrap(), 3);
    let mut limit = timespec { tv_sec: 0, tv_nsec: 20_000_000 };
    assert_eq!(receive(fd, 3, 0, Some(&mut limit)), Ok(vec![b"one".to_vec()]));
    assert!(start.elapsed() >= Duration::from_millis(20));
    assert_eq!((limit.tv_sec, limit.tv_nsec), (0, 0));
    let mut bad = timespec { tv_sec: 0, tv_nsec: -1 };
    assert_eq!(receive(fd, 3, 0, Some(&mut bad)), Err(libc::EINVAL));
    one.set_read_timeout(Some(Duration::from_millis(5))).unwrap();
    assert_eq!(receive(fd, 3, 0, None), Err(libc::EAGAIN));
    one.set_read_timeout(None).unwrap();
    assert_eq!(killed_in("recvmmsg", move || receive(fd, 3, 0, None)), Err(libc::ECANCELED));

    // None can come any more: as many of nothing as are wanted.
    let (shut, _peer) = UnixDatagram::pair().unwrap();
    let fd_shut = shut.as_raw_fd();
    let got = neighbour_goes_on(
        "recvmmsg",
        move || receive(fd_shut, 2, 0, None),
        || shut.shutdown(std::net::Shutdown::Read).unwrap(),
    );
    assert_eq!(got, Ok(vec![vec![]; 2]));

    // More messages than find room.
    let texts = move || send(theirs, &[&b"message"[..]; 1000], 0).map(|(count, _)| count);
    let mut taken = 0;
    let sent = neighbour_goes_on("sendmmsg", texts, || {
        while taken < 1000 {
            taken += receive(fd, 100, libc::MSG_WAITFORONE, None).unwrap().len();
        }
    });
    assert_eq!(sent, Ok(1000));
    let (now, _) = send(theirs, &[&b"message"[..]; 1000], libc::MSG_DONTWAIT).unwrap();
    assert!(now < 1000);

    // On a stream each message is sent whole.
    let (one, mut other) = UnixStream::pair().unwrap();
    let bytes = vec![7_u8; MUCH];
    let call = move || send(one.as_raw_fd(), &[&bytes, b"x", &bytes], 0);
    let mut drained = vec![0; 2 * MUCH + 1];
    let sent = neighbour_goes_on("sendmmsg", call, || other.read_exact(&mut drained).unwrap());
    assert_eq!(sent, Ok((3, vec![MUCH as u32, 1, MUCH as u32])));
    assert!(drained[..MUCH] == vec![7; MUCH] && drained[MUCH] == b'x', "damaged");
    assert!(drained[MUCH + 1..] == vec![7; MUCH], "damaged");
}

fn splice(from: RawFd, to: RawFd, len: usize, flags: u32) -> Result<usize, i32> {
    // SAFETY: no offsets.
    answer(unsafe { libc::splice(from, null_mut(), to, null_mut(), len, flags) })
}

fn tcp_pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (client, listener.accept().unwrap().0)
}

fn splicing() {
    let ((mut out, mut sink), (from, mut to)) = (io::pipe().unwrap(), tcp_pair());
    let (fd, pipe) = (from.as_raw_fd(), sink.as_raw_fd());
    let moved =
        neighbour_goes_on("splice", move || splice(fd, pipe, 100, 0), || to.write_all(b"hello").unwrap());
    assert_eq!(moved, Ok(5));
    let mut text = [0; 5];
    out.read_exact(&mut text).unwrap();
    assert_eq!(&text, b"hello");

    let pipe = out.as_raw_fd();
    let moved =
        neighbour_goes_on("splice", move || splice(pipe, fd, 100, 0), || sink.write_all(b"world").unwrap());
    assert_eq!(moved, Ok(5));
    to.read_exact(&mut text).unwrap();
    assert_eq!(&text, b"world");

    let (mut end, second) = io::pipe().unwrap();
    let second_fd = second.as_raw_fd();
    let moved = neighbour_goes_on(
        "splice",
        move || splice(pipe, second_fd, 5, 0),
        || sink.write_all(b"again").unwrap(),
    );
    assert_eq!(moved, Ok(5));
    end.read_exact(&mut text).unwrap();
    assert_eq!(&text, b"again");
    assert_eq!(splice(pipe, second_fd, 5, libc::SPLICE_F_NONBLOCK), Err(libc::EAGAIN));
    assert_eq!(splice(fd, fd, 5, 0), Err(libc::EINVAL), "one side must be a pipe");
    assert_eq!(killed_in("splice", move || splice(fd, second_fd, 5, 0)), Err(libc::ECANCELED));
    // SAFETY: no pointers.
    let flags = unsafe { libc::fcntl(fd, libc::F_GETFL) };
    assert_eq!(flags & libc::O_NONBLOCK, 0);

    // Everything comes through, when both sides are slow, and std moves it.
    let (mut reader, writer) = io::pipe().unwrap();
    let (mut source, mut feed) = tcp_pair();
    let bytes: Vec<u8> = (0..1 << 20).map(|n| (n / 7) as u8).collect();
    let theirs = bytes.clone();
    let fed = osier::spawn(move || feed.write_all(&theirs).unwrap());
    let copied = osier::spawn(move || io::copy(&mut source, &mut { writer }).unwrap());
    let mut received = Vec::new();
    reader.read_to_end(&mut received).unwrap();
    fed.join().unwrap();
    assert_eq!(copied.join().unwrap(), bytes.len() as u64);
    assert!(received == bytes, "damaged");
}

fn recv(fd: RawFd) -> Result<usize, i32> {
    let mut byte = 0_u8;
    // SAFETY: valid for a byte.
    answer(unsafe { libc::recv(fd, (&raw mut byte).cast(), 1, 0) })
}

/// Whoever waits for a number that comes to stand for something else is told.
fn replaced() {
    type Replace = fn(RawFd, RawFd) -> i32;
    let ways: [(&str, Replace); 4] = [
        // SAFETY: the numbers are the test's own, here and below.
        ("dup2", |old, new| unsafe { libc::dup2(old, new) }),
        // SAFETY: as above.
        ("dup3", |old, new| unsafe { libc::dup3(old, new, libc::O_CLOEXEC) }),
        // SAFETY: as above.
        ("close_range", |_, new| unsafe { libc::close_range(new as u32, new as u32, 0) }),
        ("closefrom", |_, new| {
            unsafe extern "C" {
                fn closefrom(first: i32);
            }
            // SAFETY: as above: it is the highest that there is.
            unsafe { closefrom(new) };
            0
        }),
    ];
    for (name, replace) in ways {
        let ((one, _other), (twin, mut sender)) = (UnixStream::pair().unwrap(), UnixStream::pair().unwrap());
        // SAFETY: no pointers.
        let fd = unsafe { libc::fcntl(one.as_raw_fd(), libc::F_DUPFD_CLOEXEC, 500) };
        let ended = neighbour_goes_on(
            name,
            move || recv(fd),
            || {
                let made = replace(twin.as_raw_fd(), fd);
                assert!(made == fd || made == 0, "{name}: {made}");
                sender.write_all(b"x").unwrap();
            },
        );
        assert_eq!(ended, Err(libc::EBADF), "{name}");
        // SAFETY: ours.
        unsafe { libc::close(fd) };
        // What cannot be done closes nothing.
        let (one, mut other) = UnixStream::pair().unwrap();
        let fd = one.as_raw_fd();
        let received = neighbour_goes_on(
            name,
            move || recv(fd),
            || {
                // SAFETY: numbers that stand for nothing, or for the same.
                unsafe { assert_eq!((libc::dup2(900, fd), libc::dup2(fd, fd)), (-1, fd)) };
                // SAFETY: as above.
                unsafe { assert_eq!((libc::dup3(900, fd, 0), libc::dup3(fd, fd, 0)), (-1, -1)) };
                other.write_all(b"x").unwrap();
            },
        );
        assert_eq!(received, Ok(1), "{name}");
    }
}

/// A shutdown needs no shim: it ends the waits of both directions.
fn shut_down() {
    let (one, _other) = tcp_pair();
    let twin = one.try_clone().unwrap();
    let ended =
        neighbour_goes_on("recv", move || recv(twin.as_raw_fd()), || one.shutdown(Shutdown::Both).unwrap());
    assert_eq!(ended, Ok(0));
    let (one, _other) = tcp_pair();
    let mut twin = one.try_clone().unwrap();
    let write = move || loop {
        if let Err(error) = twin.write(&vec![0; MUCH]) {
            break error.raw_os_error();
        }
    };
    assert_eq!(neighbour_goes_on("send", write, || one.shutdown(Shutdown::Both).unwrap()), Some(libc::EPIPE));
    // A listener too.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let fd = listener.as_raw_fd();
    let accept = move || listener.accept().map(drop).unwrap_err().raw_os_error();
    let ended = neighbour_goes_on("accept", accept, || {
        // SAFETY: no pointers.
        assert_eq!(unsafe { libc::shutdown(fd, libc::SHUT_RDWR) }, 0);
    });
    assert_eq!(ended, Some(libc::EINVAL));
}

#[test]
fn messages_splices_and_replacements() {
    osier::patch::all();
    watchdog();
    osier::run(|| {
        several_messages();
        splicing();
        replaced();
        shut_down();
    });
}
