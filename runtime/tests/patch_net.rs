//! std's sockets on green threads: whatever would block parks, and nothing is handed to an OS thread.

mod patching;

use patching::{answer, neighbour_goes_on, others_run_until_late, watchdog};
use std::io::{self, ErrorKind, IoSlice, IoSliceMut, Read, Seek, Write};
use std::iter;
use std::net::{Shutdown, TcpListener, TcpStream, ToSocketAddrs, UdpSocket};
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener, UnixStream};
use std::time::{Duration, Instant};

fn tcp_pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (client, listener.accept().unwrap().0)
}

/// More than any socket's buffers hold.
const MUCH: usize = 32 << 20;

fn drain(mut stream: impl Read, expected: usize) {
    let mut buffer = vec![0; 1 << 16];
    let mut drained = 0;
    while drained < expected {
        match stream.read(&mut buffer).unwrap() {
            0 => panic!("ended after {drained} bytes"),
            count => drained += count,
        }
    }
}

fn receiving() {
    type Receive = fn(&mut TcpStream) -> Vec<u8>;
    let ways: [(&str, Receive); 5] = [
        ("read", |stream| {
            let mut text = [0; 8];
            let count = stream.read(&mut text).unwrap();
            text[..count].to_vec()
        }),
        ("peek", |stream| {
            let mut text = [0; 8];
            let count = stream.peek(&mut text).unwrap();
            text[..count].to_vec()
        }),
        ("read_vectored", |stream| {
            let (mut one, mut two) = ([0; 2], [0; 6]);
            let count = stream.read_vectored(&mut [IoSliceMut::new(&mut one), IoSliceMut::new(&mut two)]);
            [&one[..], &two[..]].concat()[..count.unwrap()].to_vec()
        }),
        ("read(2)", |stream| {
            let mut text = [0_u8; 8];
            // SAFETY: the buffer is valid for 8 bytes.
            let count = unsafe { libc::read(stream.as_raw_fd(), text.as_mut_ptr().cast(), 8) };
            text[..count as usize].to_vec()
        }),
        ("recvmsg", |stream| {
            let mut text = [0_u8; 8];
            let mut part = libc::iovec { iov_base: text.as_mut_ptr().cast(), iov_len: 8 };
            // SAFETY: all zero is an empty message.
            let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
            message.msg_iov = &mut part;
            message.msg_iovlen = 1;
            // SAFETY: one part, valid for 8 bytes.
            let count = unsafe { libc::recvmsg(stream.as_raw_fd(), &mut message, 0) };
            text[..count as usize].to_vec()
        }),
    ];
    for (name, receive) in ways {
        let (mut one, mut other) = tcp_pair();
        let received =
            neighbour_goes_on(name, move || receive(&mut one), || other.write_all(b"hello").unwrap());
        assert_eq!(received, b"hello", "{name}");
    }
    let (mut one, mut other) = tcp_pair();
    let all = move || {
        let mut text = [0_u8; 10];
        // SAFETY: the buffer is valid for 10 bytes.
        let count = unsafe { libc::recv(one.as_raw_fd(), text.as_mut_ptr().cast(), 10, libc::MSG_WAITALL) };
        let end = one.read(&mut [0]).unwrap();
        (text[..count as usize].to_vec(), end)
    };
    let received = neighbour_goes_on("recv, MSG_WAITALL", all, || {
        for half in [b"hello", b"world"] {
            other.write_all(half).unwrap();
            for _ in 0..3 {
                osier::yield_now();
            }
        }
        other.shutdown(Shutdown::Write).unwrap();
    });
    assert_eq!(received, (b"helloworld".to_vec(), 0));
}

fn sending() {
    type Send = fn(&mut TcpStream, &[u8]) -> usize;
    // A blocking send on a stream returns when all was sent.
    let ways: [(&str, Send); 3] = [
        ("write", |stream, bytes| stream.write(bytes).unwrap()),
        ("write_vectored", |stream, bytes| {
            let (one, rest) = bytes.split_at(1000);
            let (two, three) = rest.split_at(MUCH / 2);
            stream.write_vectored(&[one, two, three].map(IoSlice::new)).unwrap()
        }),
        ("write(2)", |stream, bytes| {
            // SAFETY: the bytes are valid for a read.
            unsafe { libc::write(stream.as_raw_fd(), bytes.as_ptr().cast(), bytes.len()) as usize }
        }),
    ];
    for (name, send) in ways {
        let (mut one, mut other) = tcp_pair();
        let call = move || send(&mut one, &vec![7; MUCH]);
        let sent = neighbour_goes_on(name, call, || {
            let (mut buffer, mut drained) = (vec![0; 1 << 16], 0);
            while drained < MUCH {
                let count = other.read(&mut buffer).unwrap();
                assert!(count > 0 && buffer[..count].iter().all(|byte| *byte == 7), "{name}: damaged");
                drained += count;
            }
        });
        assert_eq!(sent, MUCH, "{name}");
    }
}

/// By `sendfile`, which goes on from the file's position, or from an offset and leaves the position alone.
fn files() {
    let path = std::env::temp_dir().join(format!("osier-patch-net-{}", std::process::id()));
    let bytes: Vec<u8> = (0..MUCH).map(|n| (n / 7) as u8).collect();
    std::fs::write(&path, &bytes).unwrap();
    let mut file = std::fs::File::open(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    let (one, mut other) = tcp_pair();
    let mut skipped = [0; 100];
    file.read_exact(&mut skipped).unwrap();
    let send = move || {
        let (out, from) = (one.as_raw_fd(), file.as_raw_fd());
        // SAFETY: no offset is given.
        let sent = unsafe { libc::sendfile(out, from, std::ptr::null_mut(), 2 * MUCH) };
        let position = file.stream_position().unwrap();
        let mut offset = MUCH as libc::off_t - 10;
        // SAFETY: the offset is valid.
        let again = unsafe { libc::sendfile64(out, from, &mut offset, 4) };
        (sent, position, again, offset, file.stream_position().unwrap())
    };
    let mut received = vec![0; MUCH - 100];
    let sent = neighbour_goes_on("sendfile", send, || other.read_exact(&mut received).unwrap());
    let (all, much) = (MUCH as isize - 100, MUCH as u64);
    assert_eq!(sent, (all, much, 4, MUCH as libc::off_t - 6, much));
    assert!(received == bytes[100..], "damaged");
    let mut rest = Vec::new();
    other.read_to_end(&mut rest).unwrap();
    assert_eq!(rest, bytes[MUCH - 10..MUCH - 6]);
}

fn connections() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let mut client = None;
    let (server, peer) = neighbour_goes_on(
        "accept",
        move || listener.accept().unwrap(),
        || client = Some(TcpStream::connect(address).unwrap()),
    );
    assert_eq!(client.unwrap().local_addr().unwrap(), peer);
    // SAFETY: no pointers.
    let flags = unsafe { libc::fcntl(server.as_raw_fd(), libc::F_GETFL) };
    assert_eq!(flags & libc::O_NONBLOCK, 0, "as std makes it");

    // A listener whose queue is full lets nobody connect before it accepts: the kernel drops the first packet.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    // SAFETY: no pointers.
    unsafe { libc::listen(listener.as_raw_fd(), 0) };
    let address = listener.local_addr().unwrap();
    let first = TcpStream::connect(address).unwrap();
    let connect = move || TcpStream::connect(address).map(drop);
    neighbour_goes_on("connect", connect, || {
        for _ in 0..2 {
            drop(listener.accept().unwrap());
        }
    })
    .unwrap();
    drop(first);

    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    // SAFETY: no pointers.
    unsafe { libc::listen(listener.as_raw_fd(), 0) };
    let address = listener.local_addr().unwrap();
    let _first = TcpStream::connect(address).unwrap();
    others_run_until_late("connect_timeout", |time| {
        let start = Instant::now();
        let late = TcpStream::connect_timeout(&address, time).unwrap_err();
        assert_eq!(late.kind(), ErrorKind::TimedOut);
        assert!(start.elapsed() >= time);
    });

    // Refused, in both ways to connect.
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    assert_eq!(TcpStream::connect(closed).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    let refused = TcpStream::connect_timeout(&closed, Duration::from_secs(30)).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);

    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let clients = osier::spawn(move || {
        for _ in 0..3 {
            TcpStream::connect(address).unwrap().write_all(b"x").unwrap();
        }
    });
    for stream in listener.incoming().take(3) {
        drain(stream.unwrap(), 1);
    }
    clients.join().unwrap();
}

fn datagrams() {
    let one = UdpSocket::bind("127.0.0.1:0").unwrap();
    let other = UdpSocket::bind("127.0.0.1:0").unwrap();
    let (from, to) = (other.local_addr().unwrap(), one.local_addr().unwrap());
    let twin = one.try_clone().unwrap();
    let receive = move || {
        let mut text = [0; 8];
        let (count, from) = twin.recv_from(&mut text).unwrap();
        (text[..count].to_vec(), from)
    };
    let received =
        neighbour_goes_on("recv_from", receive, || assert!(other.send_to(b"hello", to).unwrap() <= 5));
    assert_eq!(received, (b"hello".to_vec(), from));
    one.connect(from).unwrap();
    let twin = one.try_clone().unwrap();
    let receive = move || twin.recv(&mut [0; 8]).unwrap();
    // An empty datagram is one too.
    assert_eq!(neighbour_goes_on("recv", receive, || assert!(other.send_to(b"", to).unwrap() <= 5)), 0);
    assert_eq!(one.send(b"and back").unwrap(), 8);
    let mut text = [0; 16];
    assert_eq!(other.recv_from(&mut text).unwrap(), (8, to));
}

fn unix() {
    let (mut one, mut other) = UnixStream::pair().unwrap();
    let read = move || one.read(&mut [0; 8]).unwrap();
    assert_eq!(neighbour_goes_on("unix read", read, || other.write_all(b"hello").unwrap()), 5);
    let (one, other) = UnixDatagram::pair().unwrap();
    let receive = move || one.recv(&mut [0; 8]).unwrap();
    let sent = neighbour_goes_on("unix recv", receive, || assert!(other.send(b"hello").unwrap() <= 5));
    assert_eq!(sent, 5);

    // A name in the abstract space, so nothing is left behind; a queue of one, which is full.
    let name = format!("osier-patch-net-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(name).unwrap();
    let listener = UnixListener::bind_addr(&address).unwrap();
    // SAFETY: no pointers.
    unsafe { libc::listen(listener.as_raw_fd(), 0) };
    let _first = UnixStream::connect_addr(&address).unwrap();
    let connect = move || UnixStream::connect_addr(&address).map(drop);
    neighbour_goes_on("unix connect", connect, || {
        for _ in 0..2 {
            drop(listener.accept().unwrap());
        }
    })
    .unwrap();
}

/// Sends until there is no room any more; gives how many messages that were.
fn fill(socket: &UnixDatagram, send: impl Fn() -> io::Result<usize>) -> usize {
    socket.set_nonblocking(true).unwrap();
    let sent = iter::repeat_with(send).take_while(|sent| sent.is_ok()).count();
    socket.set_nonblocking(false).unwrap();
    sent
}

/// A socket for messages that is full on purpose must be a Unix one, from whose queue nobody takes but its receiver: a loopback device
/// delivers or drops what UDP sends at once.
fn full_queues() {
    let receive_all = |socket: &UnixDatagram, count: usize| {
        for _ in 0..count {
            assert_eq!(socket.recv(&mut [0; 8]).unwrap(), 4);
        }
    };
    let (one, other) = UnixDatagram::pair().unwrap();
    let sent = fill(&one, || one.send(b"full"));
    let twin = one.try_clone().unwrap();
    let send = move || twin.send(b"last").unwrap();
    assert_eq!(neighbour_goes_on("send", send, || receive_all(&other, sent)), 4);
    receive_all(&other, 1);

    let name = format!("osier-patch-net-full-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(name).unwrap();
    let receiver = UnixDatagram::bind_addr(&address).unwrap();
    let sender = UnixDatagram::unbound().unwrap();
    let sent = fill(&sender, || sender.send_to_addr(b"full", &address));
    // The kernel calls the sender ready to write, unless it is connected to the receiver.
    let (twin, to) = (sender.try_clone().unwrap(), address.clone());
    let send_to = move || twin.send_to_addr(b"last", &to).unwrap();
    let parked = || {
        let report = osier::patch::report();
        report.shims.iter().find(|shim| shim.symbol.name() == "sendto").unwrap().waits
    };
    let (before, start) = (parked(), Instant::now());
    let release = || {
        std::thread::sleep(Duration::from_millis(50));
        receive_all(&receiver, sent);
    };
    assert_eq!(neighbour_goes_on("send_to", send_to, release), 4);
    // One wait for nothing, and then pauses of a millisecond at least.
    let (parked, millis) = (parked() - before, start.elapsed().as_millis() as u64);
    assert!(parked <= millis + 2, "tried again and again: parked {parked} times in {millis} ms");
    receive_all(&receiver, 1);
    sender.set_write_timeout(Some(Duration::from_millis(20))).unwrap();
    assert_eq!(fill(&sender, || sender.send_to_addr(b"full", &address)), sent);
    let start = Instant::now();
    assert_eq!(sender.send_to_addr(b"late", &address).unwrap_err().kind(), ErrorKind::WouldBlock);
    assert!(start.elapsed() >= Duration::from_millis(20));
    sender.set_write_timeout(None).unwrap();

    sender.connect_addr(&address).unwrap();
    let send = move || sender.send(b"last").unwrap();
    assert_eq!(neighbour_goes_on("send of one that is connected", send, || receive_all(&receiver, sent)), 4);
    receive_all(&receiver, 1);
}

fn polling() {
    let poll = |entries: &mut [libc::pollfd], timeout| {
        // SAFETY: so many entries.
        unsafe { libc::poll(entries.as_mut_ptr(), entries.len() as libc::nfds_t, timeout) }
    };
    let entry = |stream: &TcpStream, events| libc::pollfd { fd: stream.as_raw_fd(), events, revents: 0 };
    let (one, mut other) = tcp_pair();
    let twin = one.try_clone().unwrap();
    let wait = move || {
        let mut entries = [entry(&twin, libc::POLLIN)];
        (poll(&mut entries, -1), entries[0].revents)
    };
    assert_eq!(neighbour_goes_on("poll", wait, || other.write_all(b"x").unwrap()), (1, libc::POLLIN));

    // Several, of which one is ignored, one named twice, and one wanted only for what cannot be refused.
    let ((three, _three), (four, mut five)) = (tcp_pair(), tcp_pair());
    let wait = move || {
        let mut entries = [
            entry(&three, 0),
            entry(&four, libc::POLLIN),
            entry(&four, libc::POLLIN | libc::POLLPRI),
            libc::pollfd { fd: -1, events: libc::POLLIN, revents: 0 },
        ];
        (poll(&mut entries, 30_000), entries.map(|entry| entry.revents))
    };
    let ready = neighbour_goes_on("poll of several", wait, || five.write_all(b"x").unwrap());
    assert_eq!(ready, (2, [0, libc::POLLIN, libc::POLLIN, 0]));

    let (six, _seven) = tcp_pair();
    let start = Instant::now();
    assert_eq!(poll(&mut [entry(&six, libc::POLLIN)], 20), 0);
    assert_eq!(poll(&mut [entry(&six, libc::POLLIN), entry(&six, libc::POLLPRI)], 20), 0);
    assert_eq!(poll(&mut [], 20), 0);
    assert!(start.elapsed() >= Duration::from_millis(60));
    assert_eq!(poll(&mut [libc::pollfd { fd: 1 << 20, events: 0, revents: 0 }], -1), 1);
}

/// With one OS thread in the pool, and that one busy, a lookup lasts as long as we like.
fn names() {
    let lookup = || ("localhost", 80).to_socket_addrs().map(|found| found.count());
    let (release, wait) = std::sync::mpsc::channel::<()>();
    let busy = osier::spawn(|| osier::offload(move || wait.recv().is_err()));
    osier::yield_now();
    let lost = patching::killed_in("getaddrinfo", lookup);
    assert_eq!(lost.unwrap_err().raw_os_error(), Some(libc::ECANCELED));
    let found = neighbour_goes_on("getaddrinfo", lookup, || drop(release));
    assert!(found.unwrap() > 0);
    assert!(busy.join().unwrap());
    assert!(("name.invalid", 80).to_socket_addrs().is_err());
    assert_eq!(("127.0.0.1", 80).to_socket_addrs().unwrap().next(), Some(([127, 0, 0, 1], 80).into()));
}

/// Shutting a socket for datagrams down ends the waits for one, also where it is not connected and the call fails.
fn datagrams_no_more() {
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let (unix, _peer) = UnixDatagram::pair().unwrap();
    for (fd, shut) in [(udp.as_raw_fd(), Err(libc::ENOTCONN)), (unix.as_raw_fd(), Ok(0))] {
        let receive = move || {
            let mut text = [0_u8; 8];
            // SAFETY: valid for its length.
            answer(unsafe { libc::recv(fd, text.as_mut_ptr().cast(), text.len(), 0) })
        };
        let shut_down = || {
            // SAFETY: no pointers.
            assert_eq!(answer(unsafe { libc::shutdown(fd, libc::SHUT_RD) } as isize), shut);
        };
        assert_eq!(neighbour_goes_on("recv", receive, shut_down), Ok(0));
        assert_eq!(receive(), Ok(0));
    }
}

/// A report that lies in a socket's queue of errors makes it ready for ever, and a receive does not take it.
fn reports() {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let (fd, own) = (socket.as_raw_fd(), socket.local_addr().unwrap());
    let other = UdpSocket::bind("127.0.0.1:0").unwrap();
    // When a message is sent.
    let wanted = libc::SOF_TIMESTAMPING_TX_SOFTWARE | libc::SOF_TIMESTAMPING_SOFTWARE;
    let (at, len) = ((&raw const wanted).cast(), size_of_val(&wanted) as libc::socklen_t);
    // SAFETY: valid for its length.
    let set = unsafe { libc::setsockopt(fd, libc::SOL_SOCKET, libc::SO_TIMESTAMPING, at, len) };
    assert_eq!(set, 0);
    socket.send_to(b"x", other.local_addr().unwrap()).unwrap();
    let waits = || {
        let report = osier::patch::report();
        report.shims.iter().find(|shim| shim.symbol.name() == "recvfrom").unwrap().waits
    };
    let (before, start) = (waits(), Instant::now());
    let receive = move || socket.recv_from(&mut [0; 8]).unwrap().0;
    let received = neighbour_goes_on("recv_from", receive, || {
        // It looks now and then meanwhile.
        osier::sleep(Duration::from_millis(10));
        assert_eq!(other.send_to(b"hello", own).unwrap(), 5);
    });
    assert_eq!(received, 5);
    let (waits, millis) = (waits() - before, start.elapsed().as_millis() as u64);
    assert!(waits < 2 * millis + 2, "{waits} waits in {millis} ms");
}

/// A first message that is to go with the connection's first packet, to a listener of which nothing is known yet.
fn a_quick_start() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    // SAFETY: no pointers.
    let socket = unsafe { libc::socket(libc::AF_INET, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0) };
    // SAFETY: just made, and nobody else's.
    let socket = unsafe { TcpStream::from_raw_fd(socket) };
    // SAFETY: of numbers: all zero is valid.
    let mut address: libc::sockaddr_in = unsafe { std::mem::zeroed() };
    address.sin_family = libc::AF_INET as libc::sa_family_t;
    address.sin_addr.s_addr = u32::from_ne_bytes([127, 0, 0, 1]);
    address.sin_port = listener.local_addr().unwrap().port().to_be();
    let (fd, text, at) = (socket.as_raw_fd(), b"hello", (&raw const address).cast());
    let len = size_of::<libc::sockaddr_in>() as libc::socklen_t;
    let flags = libc::MSG_FASTOPEN;
    // SAFETY: valid bytes, a valid address.
    let sent = answer(unsafe { libc::sendto(fd, text.as_ptr().cast(), text.len(), flags, at, len) });
    if sent == Err(libc::EOPNOTSUPP) {
        // The machine's owner does not want it.
        return;
    }
    assert_eq!(sent, Ok(text.len()));
    drop(socket);
    let mut got = String::new();
    listener.accept().unwrap().0.read_to_string(&mut got).unwrap();
    assert_eq!(got, "hello");
}

#[test]
fn std_sockets_are_cooperative() {
    osier::patch::all();
    watchdog();
    osier::run(|| {
        receiving();
        sending();
        files();
        connections();
        datagrams();
        unix();
        full_queues();
        polling();
        datagrams_no_more();
        reports();
        a_quick_start();
    });
    osier::Builder::new().offload_threads(1).build().unwrap().run(names);
}
