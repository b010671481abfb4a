//! The group `net`: `sendfile`, with which servers and C libraries send files.
//!
//! There is no way to tell it not to wait for a blocking socket. So on green threads the file is read and sent piece by piece;
//! the call costs a copy there, and keeps what it promises. To a nonblocking socket, and to what is no socket, it is made as it is.

use super::original;
use super::report::count;
use super::transfer::send_bytes;
use super::wait::{error, is_nonblocking, on_descriptor};
use crate::scheduler::Worker;
use crate::sys::raw;
use libc::{c_int, off_t, size_t, ssize_t};
use std::io;
use std::os::fd::RawFd;

/// Bytes of a piece.
const PIECE: usize = 64 * 1024;

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn sendfile(
    out: c_int,
    file: c_int,
    offset: *mut off_t,
    count: size_t,
) -> ssize_t {
    count!(sendfile);
    let sent = on_descriptor(out, |worker| {
        let waits = raw::socket_option::<c_int>(out, libc::SOL_SOCKET, libc::SO_TYPE)
            .is_ok_and(|kind| kind == libc::SOCK_STREAM)
            && !is_nonblocking(out)?;
        // SAFETY: null or valid, says the caller.
        let start = match unsafe { offset.as_ref() } {
            Some(offset) => Ok(*offset),
            None => raw::seek(file, 0, libc::SEEK_CUR),
        };
        let Some(start) = start.ok().filter(|_| waits) else {
            // What cannot be positioned is no file, and for the kernel to refuse, or to move as it does.
            // SAFETY: the caller's promise.
            return unsafe { raw::sendfile(out, file, offset, count) };
        };
        let sent = send_pieces(worker, out, file, start, count)?;
        let end = start + sent.cast_signed() as off_t;
        // SAFETY: null or valid, says the caller.
        match unsafe { offset.as_mut() } {
            Some(offset) => *offset = end,
            None => drop(raw::seek(file, end, libc::SEEK_SET)?),
        }
        Ok(sent)
    });
    // SAFETY: the caller's promise.
    sent.unwrap_or_else(|| unsafe { original::sendfile(out, file, offset, count) })
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn sendfile64(
    out: c_int,
    file: c_int,
    offset: *mut off_t,
    count: size_t,
) -> ssize_t {
    count!(sendfile64);
    // An `off_t` has 64 bits on the platforms that this crate runs on.
    // SAFETY: the caller's promise.
    unsafe { sendfile(out, file, offset, count) }
}

/// Sends `count` bytes of the file from `start` on, or up to its end. An error that comes after the first bytes is left for the
/// next call to find.
fn send_pieces(worker: &Worker, out: RawFd, file: RawFd, start: off_t, count: usize) -> io::Result<usize> {
    let mut piece = vec![0; count.min(PIECE)];
    let mut done = 0;
    while done < count {
        let room = (count - done).min(PIECE);
        let at = start.checked_add_unsigned(done as u64).ok_or_else(|| error(libc::EOVERFLOW))?;
        let sent = raw::pread(file, &mut piece[..room], at).and_then(|len| {
            if len == 0 { Ok((0, 0)) } else { Ok((len, send_bytes(worker, out, &piece[..len])?)) }
        });
        match sent {
            Ok((len, sent)) => {
                done += sent;
                if len == 0 || sent < len {
                    break;
                }
            }
            Err(_) if done > 0 => break,
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}
