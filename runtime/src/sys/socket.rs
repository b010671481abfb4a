//! Sockets: their system calls, and addresses as the kernel has them.
//!
//! What may block goes through [`raw`]. Options, names and binding never block, so std's own types do these, on a view of the
//! descriptor ([`view`]): their checks, rounding and errors are then std's.

use super::{check, raw};
use core::mem::{ManuallyDrop, MaybeUninit, offset_of, size_of};
use core::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use core::time::Duration;
use libc::{
    c_int, sa_family_t, sockaddr, sockaddr_in, sockaddr_in6, sockaddr_storage, sockaddr_un, socklen_t,
};
use std::ffi::OsStr;
use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::SocketAddr as UnixAddr;

/// Where the path starts in the address of a Unix socket.
const PATH_OFFSET: usize = offset_of!(sockaddr_un, sun_path);

/// The most buffers of one vectored call.
pub(crate) const MAX_PARTS: usize = 1024;

/// The most bytes of one call; the kernel cuts off the rest.
pub(crate) const MAX_BYTES: usize = 0x7fff_f000;

/// Leaves the data for the next call.
pub(crate) const PEEK: c_int = libc::MSG_PEEK;

/// An address as the kernel has it.
#[derive(Clone, Copy)]
pub(crate) struct Address {
    storage: sockaddr_storage,
    /// The bytes of it that count; 0 for none.
    len: socklen_t,
}

impl Address {
    fn empty() -> Address {
        // SAFETY: all zeroes are a valid `sockaddr_storage`.
        let storage = unsafe { MaybeUninit::<sockaddr_storage>::zeroed().assume_init() };
        Address { storage, len: 0 }
    }

    /// An address of the type `T`, which is one of the kernel's.
    fn of<T: Copy>(address: T, len: usize) -> Address {
        const { assert!(size_of::<T>() <= size_of::<sockaddr_storage>()) };
        const { assert!(align_of::<T>() <= align_of::<sockaddr_storage>()) };
        let mut whole = Address::empty();
        // SAFETY: the storage has room for a `T` and is aligned for it.
        unsafe { (&raw mut whole.storage).cast::<T>().write(address) };
        whole.len = len as socklen_t;
        whole
    }

    pub(crate) fn of_ip(address: &SocketAddr) -> Address {
        match address {
            SocketAddr::V4(v4) => {
                let address = sockaddr_in {
                    sin_family: libc::AF_INET as sa_family_t,
                    sin_port: v4.port().to_be(),
                    sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(v4.ip().octets()) },
                    sin_zero: [0; 8],
                };
                Address::of(address, size_of::<sockaddr_in>())
            }
            SocketAddr::V6(v6) => {
                let address = sockaddr_in6 {
                    sin6_family: libc::AF_INET6 as sa_family_t,
                    sin6_port: v6.port().to_be(),
                    sin6_flowinfo: v6.flowinfo(),
                    sin6_addr: libc::in6_addr { s6_addr: v6.ip().octets() },
                    sin6_scope_id: v6.scope_id(),
                };
                Address::of(address, size_of::<sockaddr_in6>())
            }
        }
    }

    pub(crate) fn of_unix(address: &UnixAddr) -> Address {
        let (abstract_name, name) = match (address.as_abstract_name(), address.as_pathname()) {
            (Some(name), _) => (true, name),
            (None, Some(path)) => (false, path.as_os_str().as_bytes()),
            (None, None) => (false, &[][..]),
        };
        let mut path = [0; 108];
        // An abstract name follows a zero and has no end mark; a path ends with a zero.
        let start = usize::from(abstract_name);
        for (to, from) in path[start..].iter_mut().zip(name) {
            *to = *from as libc::c_char;
        }
        let extra = usize::from(abstract_name || !name.is_empty());
        let address = sockaddr_un { sun_family: libc::AF_UNIX as sa_family_t, sun_path: path };
        Address::of(address, PATH_OFFSET + name.len() + extra)
    }

    fn family(&self) -> c_int {
        if self.len == 0 { libc::AF_UNSPEC } else { c_int::from(self.storage.ss_family) }
    }

    pub(crate) fn to_ip(self) -> io::Result<SocketAddr> {
        match self.family() {
            libc::AF_INET => {
                // SAFETY: the family says what the storage holds, which is large enough and aligned; any bits are valid.
                let v4 = unsafe { *(&raw const self.storage).cast::<sockaddr_in>() };
                let ip = Ipv4Addr::from(v4.sin_addr.s_addr.to_ne_bytes());
                Ok(SocketAddrV4::new(ip, u16::from_be(v4.sin_port)).into())
            }
            libc::AF_INET6 => {
                // SAFETY: as above.
                let v6 = unsafe { *(&raw const self.storage).cast::<sockaddr_in6>() };
                let ip = Ipv6Addr::from(v6.sin6_addr.s6_addr);
                let port = u16::from_be(v6.sin6_port);
                Ok(SocketAddrV6::new(ip, port, v6.sin6_flowinfo, v6.sin6_scope_id).into())
            }
            family => Err(not_of_family("an internet", family)),
        }
    }

    pub(crate) fn to_unix(self) -> io::Result<UnixAddr> {
        match self.family() {
            libc::AF_UNSPEC => return UnixAddr::from_pathname(""),
            libc::AF_UNIX => {}
            family => return Err(not_of_family("a Unix", family)),
        }
        // SAFETY: the family says what the storage holds, which is large enough and aligned; any bits are valid.
        let unix = unsafe { *(&raw const self.storage).cast::<sockaddr_un>() };
        let bytes = unix.sun_path.map(|byte| byte as u8);
        // The kernel may count a zero that it had no room for.
        let name = &bytes[..(self.len as usize).saturating_sub(PATH_OFFSET).min(bytes.len())];
        match name.split_first() {
            Some((0, name)) => UnixAddr::from_abstract_name(name),
            _ => {
                let end = name.iter().position(|byte| *byte == 0).unwrap_or(name.len());
                UnixAddr::from_pathname(OsStr::from_bytes(&name[..end]))
            }
        }
    }

    fn as_ptr(&self) -> *const sockaddr {
        (&raw const self.storage).cast()
    }
}

#[cold]
fn not_of_family(wanted: &str, family: c_int) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidInput,
        format!("the descriptor is not {wanted} socket: address family {family}"),
    )
}

/// A new TCP or Unix stream socket that can connect to `address`. Nonblocking, since connecting is tried first.
pub(crate) fn stream_socket(address: &Address) -> io::Result<OwnedFd> {
    let kind = libc::SOCK_STREAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // SAFETY: no pointers.
    let fd = check(unsafe { libc::socket(address.family(), kind, 0) })?;
    // SAFETY: just created, and nobody else's.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Connects a nonblocking socket: `WouldBlock` as long as it is on the way; calling again tells how it went.
pub(crate) fn connect(fd: RawFd, address: &Address) -> io::Result<()> {
    match connect_at_once(fd, address) {
        Err(error) => match error.raw_os_error() {
            Some(libc::EINPROGRESS | libc::EALREADY) => Err(io::ErrorKind::WouldBlock.into()),
            Some(libc::EISCONN) => Ok(()),
            _ => Err(error),
        },
        Ok(()) => Ok(()),
    }
}

/// Sets the peer of a datagram socket, which never waits.
pub(crate) fn connect_at_once(fd: RawFd, address: &Address) -> io::Result<()> {
    // SAFETY: `address` holds `len` bytes.
    unsafe { raw::connect(fd, address.as_ptr(), address.len) }
}

/// Takes a connection, and where it comes from.
pub(crate) fn accept(fd: RawFd) -> io::Result<(OwnedFd, Address)> {
    let mut from = Address::empty();
    from.len = size_of::<sockaddr_storage>() as socklen_t;
    // SAFETY: the storage has `len` bytes.
    let accepted =
        unsafe { raw::accept4(fd, (&raw mut from.storage).cast(), &raw mut from.len, libc::SOCK_CLOEXEC) }?;
    // SAFETY: just created, and nobody else's.
    let accepted = unsafe { OwnedFd::from_raw_fd(accepted) };
    Ok((accepted, from))
}

/// Receives what is there. Never waits.
pub(crate) fn recv(fd: RawFd, buf: &mut [u8], flags: c_int) -> io::Result<usize> {
    let flags = flags | libc::MSG_DONTWAIT;
    let (null, len) = (core::ptr::null_mut(), core::ptr::null_mut());
    // SAFETY: `buf` is valid for its length, and no address is asked for.
    unsafe { raw::recvfrom(fd, buf.as_mut_ptr().cast(), buf.len(), flags, null, len) }
}

/// Receives what is there, and where it comes from. Never waits.
pub(crate) fn recv_from(fd: RawFd, buf: &mut [u8], flags: c_int) -> io::Result<(usize, Address)> {
    let flags = flags | libc::MSG_DONTWAIT;
    let mut from = Address::empty();
    from.len = size_of::<sockaddr_storage>() as socklen_t;
    let storage = (&raw mut from.storage).cast();
    // SAFETY: `buf` is valid for its length, the storage for `len` bytes.
    let count =
        unsafe { raw::recvfrom(fd, buf.as_mut_ptr().cast(), buf.len(), flags, storage, &raw mut from.len) }?;
    Ok((count, from))
}

/// Receives what is there into several buffers, [`MAX_PARTS`] at most. Never waits.
pub(crate) fn recv_vectored(fd: RawFd, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
    // `IoSliceMut` is documented to be an `iovec` on Unix.
    let mut message = message(bufs.as_mut_ptr().cast(), bufs.len());
    // SAFETY: the buffers are valid for their lengths, and nothing else is asked for.
    unsafe { raw::recvmsg(fd, &raw mut message, libc::MSG_DONTWAIT) }
}

/// Sends what finds room. Never waits.
pub(crate) fn send(fd: RawFd, buf: &[u8]) -> io::Result<usize> {
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    // SAFETY: `buf` is valid for its length, and no address is given.
    unsafe { raw::sendto(fd, buf.as_ptr().cast(), buf.len(), flags, core::ptr::null(), 0) }
}

/// Sends to `address` what finds room. Never waits.
pub(crate) fn send_to(fd: RawFd, buf: &[u8], address: &Address) -> io::Result<usize> {
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    // SAFETY: `buf` is valid for its length, and `address` holds `len` bytes.
    unsafe { raw::sendto(fd, buf.as_ptr().cast(), buf.len(), flags, address.as_ptr(), address.len) }
}

/// Sends from several buffers, [`MAX_PARTS`] at most, what finds room. Never waits.
pub(crate) fn send_vectored(fd: RawFd, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
    // `IoSlice` is documented to be an `iovec` on Unix; the kernel only reads from these.
    let message = message(bufs.as_ptr().cast_mut().cast(), bufs.len());
    // SAFETY: the buffers are valid for their lengths, and there is no address and no control data.
    unsafe { raw::sendmsg(fd, &raw const message, libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL) }
}

fn message(parts: *mut libc::iovec, count: usize) -> libc::msghdr {
    // SAFETY: all zeroes are a valid `msghdr`, one without address, buffers and control data.
    let mut message = unsafe { MaybeUninit::<libc::msghdr>::zeroed().assume_init() };
    message.msg_iov = parts;
    message.msg_iovlen = count;
    message
}

pub(crate) fn is_nonblocking(fd: RawFd) -> io::Result<bool> {
    Ok(raw::fcntl_flags(fd)? & libc::O_NONBLOCK.cast_unsigned() != 0)
}

pub(crate) fn set_nonblocking(fd: RawFd, nonblocking: bool) -> io::Result<()> {
    let mut value = c_int::from(nonblocking);
    // SAFETY: FIONBIO reads one `c_int`.
    check(unsafe { libc::ioctl(fd, libc::FIONBIO, &raw mut value) }).map(drop)
}

/// Listens, or goes on listening, with as long a queue of connections as the system allows.
pub(crate) fn listen(fd: RawFd) -> io::Result<()> {
    // SAFETY: no pointers.
    check(unsafe { libc::listen(fd, libc::c_int::MAX) }).map(drop)
}

/// Sets how long closing waits for what was not sent yet; `None`: it does not wait.
pub(crate) fn set_linger(fd: RawFd, linger: Option<Duration>) -> io::Result<()> {
    let value = libc::linger {
        l_onoff: c_int::from(linger.is_some()),
        l_linger: linger.unwrap_or_default().as_secs() as c_int,
    };
    let len = size_of::<libc::linger>() as socklen_t;
    // SAFETY: `value` is valid for `len` bytes.
    check(unsafe { libc::setsockopt(fd, libc::SOL_SOCKET, libc::SO_LINGER, (&raw const value).cast(), len) })
        .map(drop)
}

pub(crate) fn linger(fd: RawFd) -> io::Result<Option<Duration>> {
    let mut value = libc::linger { l_onoff: 0, l_linger: 0 };
    let mut len = size_of::<libc::linger>() as socklen_t;
    // SAFETY: `value` is valid for a write of `len` bytes.
    check(unsafe {
        libc::getsockopt(fd, libc::SOL_SOCKET, libc::SO_LINGER, (&raw mut value).cast(), &raw mut len)
    })?;
    Ok((value.l_onoff != 0).then(|| Duration::from_secs(u64::from(value.l_linger.cast_unsigned()))))
}

/// What `f` makes of the descriptor seen as one of std's types.
pub(crate) fn view<S: From<OwnedFd>, T>(fd: &OwnedFd, f: impl FnOnce(&S) -> T) -> T {
    // SAFETY: the descriptor is open while it is borrowed, and the second owner never closes it.
    let second = unsafe { OwnedFd::from_raw_fd(fd.as_raw_fd()) };
    // None of std's conversions can panic, and from here on nothing is dropped.
    let second = ManuallyDrop::new(S::from(second));
    f(&second)
}
