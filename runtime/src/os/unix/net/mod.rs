//! Unix sockets; what [`std::os::unix::net`] has, for green threads.
//!
//! A call that would wait parks the green thread that makes it and lets others run. On a plain OS thread it blocks that, as std's
//! does. What [`crate::net`] says of several users of one socket and of cancellation holds here too.
//!
//! # Differences from std
//!
//! - A listener is nonblocking in the kernel while it is one of these; see [`crate::net`].
//! - Two waits, [`UnixStream::connect`] with a full backlog and [`UnixDatagram::send_to`] with a full queue, try again every few
//!   milliseconds, since the kernel does not say when it is time.
//! - `peek` and `peek_from` are unstable in std.

mod datagram;
mod listener;
mod stream;

pub use self::datagram::UnixDatagram;
pub use self::listener::{Incoming, UnixListener};
pub use self::stream::UnixStream;
pub use std::os::unix::net::SocketAddr;

use std::net::Shutdown;
