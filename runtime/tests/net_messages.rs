//! UDP and Unix sockets of green threads.

use osier::net::UdpSocket;
use osier::os::unix::net::{SocketAddr, UnixDatagram, UnixListener, UnixStream};
use osier::time::{Duration, Elapsed, Instant, timeout};
use std::cell::RefCell;
use std::io::{ErrorKind, IoSlice, IoSliceMut, Read, Write};
use std::os::linux::net::SocketAddrExt;
use std::path::PathBuf;
use std::rc::Rc;

/// A path for a socket, removed at the end.
struct Path(PathBuf);

impl Path {
    fn new(name: &str) -> Path {
        let path = std::env::temp_dir().join(format!("osier-{}-{name}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        Path(path)
    }
}

impl Drop for Path {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[test]
fn every_receiver_of_one_socket_gets_a_message() {
    osier::run(|| {
        let server = Rc::new(UdpSocket::bind("127.0.0.1:0").unwrap());
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        let got = Rc::new(RefCell::new(Vec::new()));
        let receivers: Vec<_> = (0..6)
            .map(|_| {
                let (server, got) = (server.clone(), got.clone());
                osier::spawn_local(move || {
                    let mut buf = [0; 8];
                    let (count, _) = server.recv_from(&mut buf).unwrap();
                    got.borrow_mut().push(buf[..count].to_vec());
                })
            })
            .collect();
        for _ in 0..10 {
            osier::yield_now();
        }
        receivers[0].kill();
        receivers[3].kill();
        for message in [&b"a"[..], b"bb", b"", b"ccc"] {
            client.send_to(message, server.local_addr().unwrap()).unwrap();
        }
        let killed = receivers.into_iter().filter_map(|receiver| receiver.join().err()).count();
        assert_eq!(killed, 2);
        let mut got = got.take();
        got.sort();
        assert_eq!(got, [&b""[..], b"a", b"bb", b"ccc"]);
    });
}

#[test]
fn udp_timeouts_and_errors_are_those_of_std() {
    osier::run(|| {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let limit = Duration::from_millis(10);
        socket.set_read_timeout(Some(limit)).unwrap();
        let start = Instant::now();
        assert_eq!(socket.recv_from(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
        assert!(start.elapsed() >= limit);
        socket.set_read_timeout(None).unwrap();
        assert_eq!(timeout(limit, || socket.recv(&mut [0]).map(drop)).map(drop), Err(Elapsed));
        assert_eq!(
            socket.send(b"x").unwrap_err().kind(),
            std::io::Error::from_raw_os_error(libc::EDESTADDRREQ).kind()
        );
        let none: &[std::net::SocketAddr] = &[];
        assert_eq!(socket.send_to(b"x", none).unwrap_err().kind(), ErrorKind::InvalidInput);
        // Nobody there: the refusal wakes whoever waits for an answer. The address is one that nobody else gets meanwhile, and
        // whose owner takes messages of his own only.
        let deaf = UdpSocket::bind("127.0.0.1:0").unwrap();
        deaf.connect(deaf.local_addr().unwrap()).unwrap();
        socket.connect(deaf.local_addr().unwrap()).unwrap();
        let socket = Rc::new(socket);
        let reader = osier::spawn_local({
            let socket = socket.clone();
            move || socket.recv(&mut [0])
        });
        osier::yield_now();
        socket.send(b"x").unwrap();
        assert_eq!(reader.join().unwrap().unwrap_err().kind(), ErrorKind::ConnectionRefused);
    });
}

#[test]
fn unix_addresses_arrive_as_they_were_given() {
    osier::run(|| {
        let path = Path::new("address");
        let server = UnixDatagram::bind(&path.0).unwrap();
        let long = "x".repeat(107);
        let names = [b"short".to_vec(), b"with\0zero".to_vec(), long.as_bytes()[..100].to_vec()];
        for name in &names {
            let name = [std::process::id().to_string().as_bytes(), name].concat();
            let name = &name[..name.len().min(107)];
            let client = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(name).unwrap()).unwrap();
            client.send_to(b"x", &path.0).unwrap();
            let (_, from) = server.recv_from(&mut [0]).unwrap();
            assert_eq!(from.as_abstract_name(), Some(name));
            server.send_to_addr(b"y", &from).unwrap();
            let (_, from) = client.recv_from(&mut [0]).unwrap();
            assert_eq!(from.as_pathname(), Some(&*path.0));
        }
        UnixDatagram::unbound().unwrap().send_to(b"x", &path.0).unwrap();
        let (_, from) = server.recv_from(&mut [0]).unwrap();
        assert!(from.is_unnamed());
        let error = server.send_to(b"x", "x".repeat(108)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    });
}

#[test]
fn unix_streams_echo_with_several_buffers() {
    osier::run(|| {
        let path = Path::new("echo");
        let listener = UnixListener::bind(&path.0).unwrap();
        let server = osier::spawn(move || {
            let (mut stream, from) = listener.accept().unwrap();
            assert!(from.is_unnamed());
            let mut data = Vec::new();
            stream.read_to_end(&mut data).unwrap();
            stream.write_all(&data).unwrap();
        });
        let mut client = UnixStream::connect(&path.0).unwrap();
        assert_eq!(client.write_vectored(&[IoSlice::new(b"ab"), IoSlice::new(b"cde")]).unwrap(), 5);
        client.shutdown(std::net::Shutdown::Write).unwrap();
        server.join().unwrap();
        let (mut one, mut two) = ([0; 3], [0; 3]);
        let count = client.read_vectored(&mut [IoSliceMut::new(&mut one), IoSliceMut::new(&mut two)]);
        assert_eq!((count.unwrap(), &one, &two), (5, b"abc", b"de\0"));
        assert_eq!(client.read(&mut one).unwrap(), 0);
    });
}

#[test]
fn more_buffers_than_one_call_takes_wait_for_nothing() {
    osier::run(|| {
        let (mut here, mut there) = {
            let listener = osier::net::TcpListener::bind("127.0.0.1:0").unwrap();
            let one = osier::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            (one, listener.accept().unwrap().0)
        };
        let bytes = [7; 1];
        let many = vec![IoSlice::new(&bytes); 3000];
        let sent = here.write_vectored(&many).unwrap();
        assert_eq!(sent, 1024, "as many as the kernel takes");
        // It was not short for want of room.
        here.set_write_timeout(Some(Duration::from_secs(20))).unwrap();
        assert_eq!(here.write_vectored(&many).unwrap(), 1024);
        let mut buf = vec![[0; 1]; 3000];
        let mut bufs: Vec<_> = buf.iter_mut().map(|buf| IoSliceMut::new(buf)).collect();
        there.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        for _ in 0..2 {
            assert_eq!(there.read_vectored(&mut bufs).unwrap(), 1024);
        }
    });
}

#[test]
fn waits_without_word_from_the_kernel_end_at_deadlines_too() {
    osier::run(|| {
        let path = Path::new("full");
        let server = UnixDatagram::bind(&path.0).unwrap();
        let client = UnixDatagram::unbound().unwrap();
        client.set_write_timeout(Some(Duration::from_millis(10))).unwrap();
        let error = loop {
            if let Err(error) = client.send_to(b"x", &path.0) {
                break error;
            }
        };
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
        client.set_write_timeout(None).unwrap();
        let limit = Duration::from_millis(10);
        assert_eq!(timeout(limit, || client.send_to(b"x", &path.0).map(drop)).map(drop), Err(Elapsed));
        let sender = osier::spawn({
            let path = path.0.clone();
            move || client.send_to(b"last", path)
        });
        osier::yield_now();
        sender.kill();
        assert!(sender.join().is_err());
        drop(server);
    });
}
