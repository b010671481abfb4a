//! One end of a pipe: the calls that a socket does not have.

use crate::net::socket::Socket;
use crate::sys::event::Direction;
use crate::sys::file;
use crate::sys::socket::MAX_PARTS;
use std::io::{self, IoSlice, IoSliceMut};

pub(crate) fn read(end: &Socket, buf: &mut [u8]) -> io::Result<usize> {
    end.io(Direction::Read, || {
        let count = file::read(end.fd(), buf)?;
        Ok((count, end.may_have_more(count, buf.len())))
    })
}

pub(crate) fn read_vectored(end: &Socket, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
    let parts = bufs.len().min(MAX_PARTS);
    let bufs = &mut bufs[..parts];
    let room = bufs.iter().fold(0, |room: usize, buf| room.saturating_add(buf.len()));
    end.io(Direction::Read, || {
        let count = file::read_vectored(end.fd(), bufs)?;
        Ok((count, end.may_have_more(count, room)))
    })
}

/// Writes all of `buf` unless an error comes or the thread is told to end; what was written by then counts.
pub(crate) fn write(end: &Socket, buf: &[u8]) -> io::Result<usize> {
    end.transfer_all(buf, file::write)
}

pub(crate) fn write_vectored(end: &Socket, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
    let bufs = &bufs[..bufs.len().min(MAX_PARTS)];
    let size = bufs.iter().fold(0, |size: usize, buf| size.saturating_add(buf.len()));
    end.io(Direction::Write, || {
        let count = file::write_vectored(end.fd(), bufs)?;
        Ok((count, end.may_have_more(count, size)))
    })
}

/// Reads of each `$type`, a tuple struct of a [`Socket`] that is one end of a pipe, or a reference to one.
macro_rules! pipe_reads {
    ($($type:ty),*) => {$(
        impl std::io::Read for $type {
            fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
                $crate::io::pipe_end::read(&self.0, buf)
            }

            fn read_vectored(&mut self, bufs: &mut [std::io::IoSliceMut<'_>]) -> std::io::Result<usize> {
                $crate::io::pipe_end::read_vectored(&self.0, bufs)
            }
        }
    )*};
}

/// Writes of each `$type`, a tuple struct of a [`Socket`] that is one end of a pipe, or a reference to one.
macro_rules! pipe_writes {
    ($($type:ty),*) => {$(
        impl std::io::Write for $type {
            fn write(&mut self, buf: &[u8]) -> std::io::Result<usize> {
                $crate::io::pipe_end::write(&self.0, buf)
            }

            fn write_vectored(&mut self, bufs: &[std::io::IoSlice<'_>]) -> std::io::Result<usize> {
                $crate::io::pipe_end::write_vectored(&self.0, bufs)
            }

            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
    )*};
}

pub(crate) use {pipe_reads, pipe_writes};
