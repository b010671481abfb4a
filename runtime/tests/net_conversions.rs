//! Sockets to and from descriptors and std's types, and that they look the same.

use osier::net::{Incoming, IntoIncoming, TcpListener, TcpStream, UdpSocket};
use osier::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use osier::time::Duration;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::SocketAddr;
use std::panic::{RefUnwindSafe, UnwindSafe};

fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let one = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (one, listener.accept().unwrap().0)
}

/// Whether the kernel holds it for nonblocking.
fn is_nonblocking(fd: BorrowedFd<'_>) -> bool {
    let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", fd.as_raw_fd())).unwrap();
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).unwrap().trim();
    u32::from_str_radix(flags, 8).unwrap() & 0o4000 != 0
}

#[test]
fn auto_traits_are_those_of_std() {
    fn all<T: Send + Sync + Unpin + UnwindSafe + RefUnwindSafe>() {}
    all::<TcpStream>();
    all::<TcpListener>();
    all::<UdpSocket>();
    all::<Incoming<'_>>();
    all::<IntoIncoming>();
    all::<UnixStream>();
    all::<UnixListener>();
    all::<UnixDatagram>();
    all::<osier::os::unix::net::Incoming<'_>>();
}

#[test]
fn they_are_shown_as_stds() {
    fn check<T: std::fmt::Debug, S: std::fmt::Debug + From<OwnedFd> + AsFd>(socket: &T, fd: BorrowedFd<'_>) {
        let std = S::from(fd.try_clone_to_owned().unwrap());
        let without_fd =
            |text: String, fd: BorrowedFd<'_>| text.replace(&format!("fd: {} }}", fd.as_raw_fd()), "fd: _ }");
        let shown = without_fd(format!("{socket:?}"), fd);
        assert_eq!(shown, without_fd(format!("{std:?}"), std.as_fd()));
        assert!(shown.contains("fd: _"), "{shown}");
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    check::<_, std::net::TcpListener>(&listener, listener.as_fd());
    let (stream, _other) = pair();
    check::<_, std::net::TcpStream>(&stream, stream.as_fd());
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    check::<_, std::net::UdpSocket>(&udp, udp.as_fd());
    let (unix, _other) = UnixStream::pair().unwrap();
    check::<_, std::os::unix::net::UnixStream>(&unix, unix.as_fd());
    let (datagram, _other) = UnixDatagram::pair().unwrap();
    check::<_, std::os::unix::net::UnixDatagram>(&datagram, datagram.as_fd());
}

#[test]
fn a_stream_goes_to_std_and_back_in_the_middle_of_its_use() {
    osier::run(|| {
        let (here, mut there) = pair();
        here.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        assert!((&here).read(&mut [0]).is_err(), "registered");
        assert!(!is_nonblocking(here.as_fd()));
        there.write_all(b"abcdef").unwrap();

        let mut std = std::net::TcpStream::from(here);
        std.read_exact(&mut [0]).unwrap();
        assert_eq!(std.read_timeout().unwrap(), Some(Duration::from_millis(20)));
        let mut back = TcpStream::from(std);
        back.read_exact(&mut [0; 5]).unwrap();
        assert_eq!(back.read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock, "the timeout is kept");

        back.set_nonblocking(true).unwrap();
        assert!(is_nonblocking(back.as_fd()));
        let fd = back.into_raw_fd();
        #[expect(unsafe_code, reason = "the function under test")]
        // SAFETY: just given away.
        let back = unsafe { TcpStream::from_raw_fd(fd) };
        back.set_read_timeout(None).unwrap();
        assert_eq!((&back).read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock, "so is nonblocking");
        back.set_nonblocking(false).unwrap();

        // A duplicate outlives it: the kernel would go on telling the worker of a socket that it has forgotten.
        let reader = osier::spawn(move || {
            (&back).read_exact(&mut [0]).unwrap();
            (back.as_fd().try_clone_to_owned().unwrap(), back)
        });
        there.write_all(b"x").unwrap();
        let (duplicate, back) = reader.join().unwrap();
        drop(back);
        let (mut fresh, mut other) = pair();
        there.write_all(b"y").unwrap();
        let reader = osier::spawn(move || fresh.read_exact(&mut [0; 2]));
        other.write_all(b"z").unwrap();
        osier::sleep(Duration::from_millis(1));
        assert!(!reader.is_finished());
        other.write_all(b"z").unwrap();
        reader.join().unwrap().unwrap();
        drop(duplicate);
    });
}

#[test]
fn a_listener_is_given_away_as_its_user_has_set_it() {
    osier::run(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let std = std::net::TcpListener::from(listener);
        assert!(!is_nonblocking(std.as_fd()));
        let listener = TcpListener::from(std);
        listener.set_nonblocking(true).unwrap();
        assert_eq!(listener.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
        let std = std::net::TcpListener::from(listener);
        assert!(is_nonblocking(std.as_fd()));
        let listener = TcpListener::from(std);
        assert_eq!(listener.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
        listener.set_nonblocking(false).unwrap();

        // While a clone waits for connections it must stay as it is.
        let clone = listener.try_clone().unwrap();
        let addr = clone.local_addr().unwrap();
        let acceptor = osier::spawn(move || clone.accept().map(drop));
        osier::yield_now();
        let std = std::net::TcpListener::from(listener);
        assert!(is_nonblocking(std.as_fd()));
        let stream = TcpStream::connect(addr).unwrap();
        acceptor.join().unwrap().unwrap();
        assert!(!is_nonblocking(stream.as_fd()));
    });
}

#[test]
fn every_type_converts_both_ways() {
    fn check<T, S>(std: S)
    where
        T: From<S> + From<OwnedFd> + AsFd + AsRawFd + IntoRawFd + FromRawFd,
        S: From<T> + From<OwnedFd> + AsRawFd,
        OwnedFd: From<T>,
    {
        let number = std.as_raw_fd();
        let ours = T::from(std);
        assert_eq!((ours.as_raw_fd(), ours.as_fd().as_raw_fd()), (number, number));
        let ours = T::from(OwnedFd::from(ours));
        assert_eq!(S::from(ours).as_raw_fd(), number);
    }
    let std_listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    check::<TcpStream, _>(std::net::TcpStream::connect(std_listener.local_addr().unwrap()).unwrap());
    check::<TcpListener, _>(std_listener);
    check::<UdpSocket, _>(std::net::UdpSocket::bind("127.0.0.1:0").unwrap());
    check::<UnixStream, _>(std::os::unix::net::UnixStream::pair().unwrap().0);
    check::<UnixDatagram, _>(std::os::unix::net::UnixDatagram::unbound().unwrap());
    let name = format!("osier-conversions-{}", std::process::id());
    let addr = SocketAddr::from_abstract_name(name).unwrap();
    check::<UnixListener, _>(std::os::unix::net::UnixListener::bind_addr(&addr).unwrap());
}
