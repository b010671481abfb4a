//! The group `pipe`: reading and writing what is neither a socket nor a file: pipes, eventfds, timers, terminals.
//!
//! # How a try is kept from waiting
//!
//! Two green threads may read one pipe, and so may another process: that `poll` has told of data does not mean that it is
//! there for us. So a look before the call is not enough, and `O_NONBLOCK` belongs to the owner and to all who share the
//! open file. What serves instead, the first that the thing knows:
//!
//! 1. `preadv2` and `pwritev2` with `RWF_NOWAIT`, a flag of the call: pipes (Linux 6.4), and the reading of eventfds, timers.
//! 2. A named pipe, and any pipe of an older kernel, is opened once more through `/proc`, nonblocking, for the one try: the
//!    flag is the second open file's. One that is a pipe's last reader or writer cannot be meant: `fd` is open beside it.
//! 3. Terminals, and what else there is: `poll` tells, and then the call is made on the offload pool. If somebody else has taken
//!    what was there, an OS thread of the pool waits for more, and the worker goes on. An eventfd is written in place: that
//!    can wait only for a counter near 2^64.
//!
//! A blocking write returns when all is written, not when something is.

use super::connect::polls;
use super::pool::system_call_on_pool;
use super::report::count;
use super::transfer::{rest, total};
use super::wait::{answer, error, is_nonblocking, on_descriptor_of, wait, would_block};
use super::{Group, file, is_active};
use crate::scheduler::Worker;
use crate::sys::event::Direction;
use crate::sys::raw::{self, preadv2};
use crate::sys::shimmed::{self, POSITION, is_called, kind_of, open_again, pwritev2};
use core::slice;
use libc::{c_int, iovec};
use std::io;
use std::os::fd::{AsRawFd, RawFd};

/// `readv` of what is no socket, or one that is not to be patched.
///
/// # Safety
///
/// `parts` must point at `count` buffers, each valid for a write of its length.
pub(super) unsafe fn read(
    worker: &Worker,
    fd: RawFd,
    parts: *const iovec,
    count: c_int,
) -> io::Result<usize> {
    // SAFETY: the caller's promise.
    let as_it_is = |fd| unsafe { raw::readv(fd, parts, count) };
    let is_pipe = match kind_of(fd)? {
        libc::S_IFREG | libc::S_IFBLK if is_active(Group::File) => {
            // SAFETY: the caller's promise.
            return unsafe { file::read(worker, fd, parts, count, POSITION) };
        }
        libc::S_IFREG | libc::S_IFBLK | libc::S_IFDIR | libc::S_IFSOCK => return as_it_is(fd),
        _ if !is_active(Group::Pipe) => return as_it_is(fd),
        kind => kind == libc::S_IFIFO,
    };
    let mut way = Way::Flag;
    loop {
        let tried = match way {
            // SAFETY: the caller's promise.
            Way::Flag => unsafe { preadv2(fd, parts, count, POSITION, libc::RWF_NOWAIT) },
            Way::Again => match open_again(fd, libc::O_RDONLY) {
                Ok(again) => as_it_is(again.as_raw_fd()),
                Err(_) => {
                    way = Way::Pool;
                    continue;
                }
            },
            Way::Pool if is_nonblocking(fd)? => return as_it_is(fd),
            // SAFETY: the caller's promise, and its green thread waits.
            Way::Pool if polls(fd, libc::POLLIN)? => unsafe {
                return system_call_on_pool(worker, || as_it_is(fd));
            },
            Way::Pool => Err(error(libc::EAGAIN)),
        };
        match tried {
            Err(untold) if way == Way::Flag && knows_no_flag(&untold) => way = Way::after_flag(is_pipe),
            Err(blocked) if would_block(&blocked) => {
                if is_nonblocking(fd)? {
                    return Err(blocked);
                }
                match wait(worker, fd, Direction::Read, None) {
                    // Not to be watched: always ready.
                    Err(error) if error.raw_os_error() == Some(libc::EPERM) => return as_it_is(fd),
                    waited => waited?,
                };
            }
            result => return result,
        }
    }
}

/// `writev` to what is no socket, or one that is not to be patched.
///
/// # Safety
///
/// `parts` must point at `count` buffers, each valid for a read of its length.
pub(super) unsafe fn write(
    worker: &Worker,
    fd: RawFd,
    parts: *const iovec,
    count: c_int,
) -> io::Result<usize> {
    // SAFETY: the caller's promise.
    let as_it_is = |fd| unsafe { raw::writev(fd, parts, count) };
    let is_pipe = match kind_of(fd)? {
        libc::S_IFREG | libc::S_IFBLK if is_active(Group::File) => {
            // SAFETY: the caller's promise.
            return unsafe { file::write(worker, fd, parts, count, POSITION) };
        }
        libc::S_IFREG | libc::S_IFBLK | libc::S_IFDIR | libc::S_IFSOCK => return as_it_is(fd),
        _ if !is_active(Group::Pipe) => return as_it_is(fd),
        kind => kind == libc::S_IFIFO,
    };
    // SAFETY: so many parts, says the caller.
    let all = unsafe { slice::from_raw_parts(parts, count.unsigned_abs() as usize) };
    let whole = total(all);
    let mut way = Way::Flag;
    let mut done = 0;
    let ended = loop {
        let one;
        // At first all parts at once, since up to a page must not be torn; afterwards what is left, part by part.
        let (parts, count) = if done == 0 {
            (parts, count)
        } else {
            let (iov_base, iov_len) = rest(all, done);
            one = iovec { iov_base, iov_len };
            (&raw const one, 1)
        };
        // SAFETY: the caller's promise, and a part of it.
        let rest_as_it_is = |fd| unsafe { raw::writev(fd, parts, count) };
        let tried = match way {
            // SAFETY: as above.
            Way::Flag => unsafe { pwritev2(fd, parts, count, POSITION, libc::RWF_NOWAIT) },
            Way::Again => match open_again(fd, libc::O_WRONLY) {
                Ok(again) => rest_as_it_is(again.as_raw_fd()),
                // Nobody reads: the call says so, and sends the signal.
                Err(error) if error.raw_os_error() == Some(libc::ENXIO) => rest_as_it_is(fd),
                Err(_) => {
                    way = Way::Pool;
                    continue;
                }
            },
            Way::Pool if is_nonblocking(fd)? => rest_as_it_is(fd),
            Way::Pool if polls(fd, libc::POLLOUT)? => {
                if is_called(fd, c"anon_inode:[eventfd]") {
                    rest_as_it_is(fd)
                } else {
                    // SAFETY: the caller's promise, and its green thread waits.
                    unsafe { system_call_on_pool(worker, || rest_as_it_is(fd)) }
                }
            }
            Way::Pool => Err(error(libc::EAGAIN)),
        };
        match tried {
            Ok(count) => {
                done += count;
                if count == 0 || done >= whole {
                    return Ok(done);
                }
            }
            Err(untold) if way == Way::Flag && knows_no_flag(&untold) => way = Way::after_flag(is_pipe),
            Err(blocked) if would_block(&blocked) => {
                if is_nonblocking(fd)? {
                    break blocked;
                }
                match wait(worker, fd, Direction::Write, None) {
                    Ok(_) => {}
                    Err(error) if error.raw_os_error() == Some(libc::EPERM) => return rest_as_it_is(fd),
                    Err(ended) => break ended,
                }
            }
            Err(failed) => break failed,
        }
    };
    if done > 0 { Ok(done) } else { Err(ended) }
}

/// Waits on the offload pool until a terminal has sent what was written to it.
#[unsafe(no_mangle)]
pub(super) extern "C" fn tcdrain(fd: c_int) -> c_int {
    count!(tcdrain);
    // SAFETY: refers to no memory.
    let drained = on_descriptor_of(Group::Pipe.bit(), fd, |worker| unsafe {
        system_call_on_pool(worker, || shimmed::drain(fd))
    });
    drained.unwrap_or_else(|| answer(shimmed::drain(fd))) as c_int
}

/// What keeps a try from waiting.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// A flag of the call.
    Flag,
    /// A second open file.
    Again,
    /// An OS thread of the pool, which may wait.
    Pool,
}

impl Way {
    fn after_flag(is_pipe: bool) -> Way {
        if is_pipe { Way::Again } else { Way::Pool }
    }
}

/// Whether the kernel has said that it cannot keep this call from waiting.
pub(super) fn knows_no_flag(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EOPNOTSUPP | libc::ENOSYS))
}
