//! TCP and UDP; what [`std::net`] has, for green threads.
//!
//! A call that would wait parks the green thread that makes it and lets others run. On a plain OS thread it blocks that, as std's
//! does. Addresses, [`Shutdown`] and the errors are std's own types.
//!
//! Several green threads, also of different workers, may use one socket at the same time and in both directions: each message,
//! each connection and each byte goes to one of them. [`shutdown`](TcpStream::shutdown) from elsewhere ends their waits.
//!
//! # Cancellation
//!
//! A kill or an enclosing [`timeout`](crate::time::timeout) ends the wait of every call and unwinds; nothing that has arrived is lost. A
//! write that has sent a part by then returns how much that was, and the next call unwinds.
//!
//! # Differences from std
//!
//! - [`ToSocketAddrs`] is a trait of its own, implemented for the same types.
//! - A listener is nonblocking in the kernel, which its borrowed descriptor shows. Given away (`into_raw_fd`, `OwnedFd::from`) it is
//!   what its user has set; while it has clones it stays nonblocking.
//! - The queue of a listener is as long as the system allows (`net.core.somaxconn`), where std asks for 128.
//! - Settings made through a borrowed descriptor (`O_NONBLOCK`, timeouts) are not seen by the calls here.
//! - `IntoIncoming`, `linger` and `set_linger` are unstable in std.

mod addr;
pub(crate) mod descriptor;
mod registrations;
pub(crate) mod socket;
mod tcp;
mod tcp_listener;
mod udp;

pub use self::addr::ToSocketAddrs;
pub use self::tcp::TcpStream;
pub use self::tcp_listener::{Incoming, IntoIncoming, TcpListener};
pub use self::udp::UdpSocket;

pub use std::net::{
    AddrParseError, IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, SocketAddrV4, SocketAddrV6,
};
