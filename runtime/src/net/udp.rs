//! UDP sockets.

use super::addr::{ToSocketAddrs, each_addr};
use super::descriptor::descriptor_conversions;
use super::socket::{Kind, Socket};
use super::{Ipv4Addr, Ipv6Addr, SocketAddr};
use crate::sys::event::Direction;
use crate::sys::socket::{Address, connect_at_once, send_to};
use core::time::Duration;
use std::io;
use std::net::UdpSocket as StdSocket;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

/// A UDP socket; [`std::net::UdpSocket`] for green threads.
///
/// ```
/// use osier::net::UdpSocket;
/// osier::run(|| {
///     let server = UdpSocket::bind("127.0.0.1:0")?;
///     let addr = server.local_addr()?;
///     let server = osier::spawn(move || {
///         let mut buf = [0; 16];
///         let (len, from) = server.recv_from(&mut buf)?;
///         buf[..len].reverse();
///         server.send_to(&buf[..len], from)
///     });
///     let client = UdpSocket::bind("127.0.0.1:0")?;
///     client.connect(addr)?;
///     client.send(b"abc")?;
///     let mut buf = [0; 16];
///     let len = client.recv(&mut buf)?;
///     assert_eq!(&buf[..len], b"cba");
///     server.join().unwrap()?;
///     Ok::<(), std::io::Error>(())
/// })?;
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct UdpSocket(Socket);

impl UdpSocket {
    /// A socket bound to `addr`; of several addresses to the first that is free. Port 0 asks for any free port.
    ///
    /// Waits only for the look-up of a name.
    ///
    /// # Errors
    ///
    /// What the last address led to, or that there was none.
    pub fn bind<A: ToSocketAddrs>(addr: A) -> io::Result<UdpSocket> {
        each_addr(addr, |addr| Socket::new(StdSocket::bind(addr)?.into(), Kind::Messages)).map(UdpSocket)
    }

    fn view<T>(&self, f: impl FnOnce(&StdSocket) -> T) -> T {
        self.0.view(f)
    }

    /// Waits for a message, and returns its length and where it comes from. What has no room in `buf` is lost.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) when the read timeout is over; an error that a message sent before has met.
    pub fn recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        let (count, from) = self.0.recv_from(buf, false)?;
        Ok((count, from.to_ip()?))
    }

    /// [`UdpSocket::recv_from`] that leaves the message for the next call.
    ///
    /// # Errors
    ///
    /// As [`UdpSocket::recv_from`].
    pub fn peek_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        let (count, from) = self.0.recv_from(buf, true)?;
        Ok((count, from.to_ip()?))
    }

    /// Sends `buf` as one message to the first address of `addr`; waits for room, and for the look-up of a name.
    ///
    /// # Errors
    ///
    /// If there is no address, the message is too long, or the kernel refuses the address.
    pub fn send_to<A: ToSocketAddrs>(&self, buf: &[u8], addr: A) -> io::Result<usize> {
        let Some(addr) = addr.to_socket_addrs()?.next() else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "could not resolve to any addresses"));
        };
        let to = Address::of_ip(&addr);
        self.0.io(Direction::Write, || Ok((send_to(self.0.fd(), buf, &to)?, true)))
    }

    /// The address of the other end.
    ///
    /// # Errors
    ///
    /// If the socket is not connected.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.view(StdSocket::peer_addr)
    }

    /// The address of this end.
    ///
    /// # Errors
    ///
    /// If the kernel cannot tell.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.view(StdSocket::local_addr)
    }

    /// A second handle of the same socket: data, timeouts and other settings are shared.
    ///
    /// # Errors
    ///
    /// If the process has too many descriptors.
    pub fn try_clone(&self) -> io::Result<UdpSocket> {
        self.0.try_clone().map(UdpSocket)
    }

    /// Sets how long receiving may wait; `None` for as long as it takes.
    ///
    /// A call whose time is over fails with [`WouldBlock`](io::ErrorKind::WouldBlock).
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) for zero.
    pub fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.view(|socket| socket.set_read_timeout(timeout))?;
        self.0.note_timeout(Direction::Read, timeout);
        Ok(())
    }

    /// Sets how long sending may wait; `None` for as long as it takes.
    ///
    /// A call whose time is over fails with [`WouldBlock`](io::ErrorKind::WouldBlock).
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) for zero.
    pub fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.view(|socket| socket.set_write_timeout(timeout))?;
        self.0.note_timeout(Direction::Write, timeout);
        Ok(())
    }

    /// How long receiving may wait, as the kernel has rounded it.
    ///
    /// # Errors
    ///
    /// If the kernel cannot tell.
    pub fn read_timeout(&self) -> io::Result<Option<Duration>> {
        self.view(StdSocket::read_timeout)
    }

    /// How long sending may wait, as the kernel has rounded it.
    ///
    /// # Errors
    ///
    /// If the kernel cannot tell.
    pub fn write_timeout(&self) -> io::Result<Option<Duration>> {
        self.view(StdSocket::write_timeout)
    }

    /// Lets messages be sent to broadcast addresses.
    ///
    /// # Errors
    ///
    /// If the kernel refuses.
    pub fn set_broadcast(&self, broadcast: bool) -> io::Result<()> {
        self.view(|socket| socket.set_broadcast(broadcast))
    }

    /// Whether messages may be sent to broadcast addresses.
    ///
    /// # Errors
    ///
    /// If the kernel cannot tell.
    pub fn broadcast(&self) -> io::Result<bool> {
        self.view(StdSocket::broadcast)
    }

    /// Sets whether IPv4 multicasts come back to this machine.
    ///
    /// # Errors
    ///
    /// If the kernel refuses.
    pub fn set_multicast_loop_v4(&self, multicast_loop_v4: bool) -> io::Result<()> {
        self.view(|socket| socket.set_multicast_loop_v4(multicast_loop_v4))
    }

    /// Whether IPv4 multicasts come back to this machine.
    ///
    /// # Errors
    ///
    /// If the kernel cannot tell.
    pub fn multicast_loop_v4(&self) -> io::Result<bool> {
        self.view(StdSocket::multicast_loop_v4)
    }

    /// Sets over how many hops an IPv4 multicast may go.
    ///
    /// # Errors
    ///
    /// If the kernel refuses.
    pub fn set_multicast_ttl_v4(&self, multicast_ttl_v4: u32) -> io::Result<()> {
        self.view(|socket| socket.set_multicast_ttl_v4(multicast_ttl_v4))
    }

    /// Over how many hops an IPv4 multicast may go.
    ///
    /// # Errors
    ///
    /// If the kernel cannot tell.
    pub fn multicast_ttl_v4(&self) -> io::Result<u32> {
        self.view(StdSocket::multicast_ttl_v4)
    }

    /// Sets whether IPv6 multicasts come back to this machine.
    ///
    /// # Errors
    ///
    /// If the kernel refuses.
    pub fn set_multicast_loop_v6(&self, multicast_loop_v6: bool) -> io::Result<()> {
        self.view(|socket| socket.set_multicast_loop_v6(multicast_loop_v6))
    }

    /// Whether IPv6 multicasts come back to this machine.
    ///
    /// # Errors
    ///
    /// If the kernel cannot tell.
    pub fn multicast_loop_v6(&self) -> io::Result<bool> {
        self.view(StdSocket::multicast_loop_v6)
    }

    /// Sets over how many hops a packet may go.
    ///
    /// # Errors
    ///
    /// If the kernel refuses.
    pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        self.view(|socket| socket.set_ttl(ttl))
    }

    /// Over how many hops a packet may go.
    ///
    /// # Errors
    ///
    /// If the kernel cannot tell.
    pub fn ttl(&self) -> io::Result<u32> {
        self.view(StdSocket::ttl)
    }

    /// Joins the multicast group `multiaddr` on the interface with the address `interface`; unspecified: any.
    ///
    /// # Errors
    ///
    /// If the kernel refuses.
    pub fn join_multicast_v4(&self, multiaddr: &Ipv4Addr, interface: &Ipv4Addr) -> io::Result<()> {
        self.view(|socket| socket.join_multicast_v4(multiaddr, interface))
    }

    /// Joins the multicast group `multiaddr` on the interface with the index `interface`; 0: any.
    ///
    /// # Errors
    ///
    /// If the kernel refuses.
    pub fn join_multicast_v6(&self, multiaddr: &Ipv6Addr, interface: u32) -> io::Result<()> {
        self.view(|socket| socket.join_multicast_v6(multiaddr, interface))
    }

    /// Leaves the multicast group `multiaddr` on the interface with the address `interface`; unspecified: any.
    ///
    /// # Errors
    ///
    /// If the kernel refuses.
    pub fn leave_multicast_v4(&self, multiaddr: &Ipv4Addr, interface: &Ipv4Addr) -> io::Result<()> {
        self.view(|socket| socket.leave_multicast_v4(multiaddr, interface))
    }

    /// Leaves the multicast group `multiaddr` on the interface with the index `interface`; 0: any.
    ///
    /// # Errors
    ///
    /// If the kernel refuses.
    pub fn leave_multicast_v6(&self, multiaddr: &Ipv6Addr, interface: u32) -> io::Result<()> {
        self.view(|socket| socket.leave_multicast_v6(multiaddr, interface))
    }

    /// Takes the error that is pending on the socket.
    ///
    /// # Errors
    ///
    /// If the kernel cannot tell.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.view(StdSocket::take_error)
    }

    /// Makes calls return [`WouldBlock`](io::ErrorKind::WouldBlock) where they would wait, or lets them wait again. Such
    /// calls never yield.
    ///
    /// # Errors
    ///
    /// If the kernel refuses.
    pub fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        self.0.set_nonblocking(nonblocking)
    }

    /// Sets the one address to send to and to receive from; of several the first that the kernel takes.
    ///
    /// Waits only for the look-up of a name.
    ///
    /// # Errors
    ///
    /// What the last address led to, or that there was none.
    pub fn connect<A: ToSocketAddrs>(&self, addr: A) -> io::Result<()> {
        each_addr(addr, |addr| connect_at_once(self.0.fd(), &Address::of_ip(addr)))
    }

    /// Sends `buf` as one message to the address that was set with [`UdpSocket::connect`]; waits for room.
    ///
    /// # Errors
    ///
    /// If there is no such address, the message is too long, or one sent before was refused.
    pub fn send(&self, buf: &[u8]) -> io::Result<usize> {
        self.0.send_message(buf)
    }

    /// Waits for a message from the address that was set with [`UdpSocket::connect`], and returns its length. What has no
    /// room in `buf` is lost.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) when the read timeout is over; an error that a message sent before has met.
    pub fn recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.recv(buf)
    }

    /// [`UdpSocket::recv`] that leaves the message for the next call.
    ///
    /// # Errors
    ///
    /// As [`UdpSocket::recv`].
    pub fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.peek(buf)
    }
}

impl From<OwnedFd> for UdpSocket {
    fn from(fd: OwnedFd) -> UdpSocket {
        UdpSocket(Socket::adopt(fd, Kind::Messages))
    }
}

impl FromRawFd for UdpSocket {
    unsafe fn from_raw_fd(fd: RawFd) -> UdpSocket {
        // SAFETY: the caller's promise.
        UdpSocket::from(unsafe { OwnedFd::from_raw_fd(fd) })
    }
}

descriptor_conversions!(UdpSocket, StdSocket);
