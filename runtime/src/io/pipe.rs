//! Pipes between green threads, OS threads and processes.

use super::pipe_end::{pipe_reads, pipe_writes};
use crate::net::descriptor::descriptor_conversions;
use crate::net::socket::{Kind, Socket};
use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::process::Stdio;

/// Makes a pipe: what is written to one end is read from the other, in this process or in a child that is given an end. Never
/// waits.
///
/// # Errors
///
/// If the process has too many descriptors.
pub fn pipe() -> io::Result<(PipeReader, PipeWriter)> {
    let (reader, writer) = io::pipe()?;
    let end = |fd: OwnedFd| Socket::new(fd, Kind::Pipe);
    Ok((PipeReader(end(reader.into())?), PipeWriter(end(writer.into())?)))
}

/// The end of a pipe that is read; [`std::io::PipeReader`] for green threads.
///
/// A read waits for data, on a plain OS thread as std's does; it gives 0 when every copy of the other end is closed.
///
/// A kill or an enclosing [`timeout`](crate::time::timeout) ends the wait and unwinds; nothing that was written is lost.
pub struct PipeReader(Socket);

/// The end of a pipe that is written; [`std::io::PipeWriter`] for green threads.
///
/// A write waits for room, on a plain OS thread as std's does, until all is written. It fails with
/// [`BrokenPipe`](io::ErrorKind::BrokenPipe) when every copy of the other end is closed, as long as SIGPIPE is ignored, which a
/// Rust program begins with.
///
/// A kill or an enclosing [`timeout`](crate::time::timeout) ends the wait. A write that has written a part by then returns how much
/// that was, and the next call unwinds.
pub struct PipeWriter(Socket);

impl PipeReader {
    /// A second handle of the same end.
    ///
    /// # Errors
    ///
    /// If the process has too many descriptors.
    pub fn try_clone(&self) -> io::Result<PipeReader> {
        self.0.try_clone().map(PipeReader)
    }
}

impl PipeWriter {
    /// A second handle of the same end.
    ///
    /// # Errors
    ///
    /// If the process has too many descriptors.
    pub fn try_clone(&self) -> io::Result<PipeWriter> {
        self.0.try_clone().map(PipeWriter)
    }
}

pipe_reads!(PipeReader, &PipeReader);
pipe_writes!(PipeWriter, &PipeWriter);
descriptor_conversions!(PipeReader, io::PipeReader);
descriptor_conversions!(PipeWriter, io::PipeWriter);

macro_rules! ends {
    ($($type:ident),*) => {$(
        impl From<OwnedFd> for $type {
            fn from(fd: OwnedFd) -> $type {
                $type(Socket::adopt(fd, Kind::PipeLike))
            }
        }

        impl FromRawFd for $type {
            unsafe fn from_raw_fd(fd: RawFd) -> $type {
                // SAFETY: the caller's promise.
                $type::from(unsafe { OwnedFd::from_raw_fd(fd) })
            }
        }

        impl From<$type> for Stdio {
            /// Gives this end to a child, as a blocking one.
            fn from(end: $type) -> Stdio {
                Stdio::from(OwnedFd::from(end))
            }
        }
    )*};
}

ends!(PipeReader, PipeWriter);
