//! The standard input.
//!
//! Owns the buffer of what was read and not yet taken. Whoever reads has the permit of [`TURN`], and takes the buffer out of its
//! place for as long; so nobody holds an OS lock while it waits for input, and a reader that is killed puts back what it
//! has not taken.

use super::shared;
use crate::offload::try_offload;
use crate::primitive::{Mutex, lock};
use crate::sync::{Semaphore, SemaphorePermit};
use crate::sys::file;
use core::fmt;
use std::io::{self, BufRead, IsTerminal, Lines, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::os::unix::fs::FileTypeExt;

/// The descriptor of the standard input.
const FD: RawFd = 0;

/// Bytes of one read.
const CHUNK: usize = 8 * 1024;

/// Who has its permit reads.
static TURN: Semaphore = Semaphore::new(1);

/// Here while nobody reads.
static BUFFER: Mutex<Buffer> = Mutex::new(Buffer { bytes: Vec::new(), taken: 0 });

/// What was read and not yet taken.
#[derive(Debug, Default)]
struct Buffer {
    bytes: Vec<u8>,
    /// How many of `bytes`, from the start, were taken.
    taken: usize,
}

/// The standard input of the process; [`std::io::Stdin`] for green threads.
///
/// A read parks the green thread that calls, and others go on: also while a line is half typed. Descriptor 0 stays blocking in
/// the kernel, since other processes have the same terminal or pipe through theirs. If one of them reads it at the same
/// time, and is faster, the OS thread may block until there is more.
///
/// Its buffer is not that of std's `stdin`: use the one or the other.
///
/// ```no_run
/// osier::run(|| {
///     for line in osier::io::stdin().lines() {
///         println!("{}", line?.to_uppercase());
///     }
///     Ok::<(), std::io::Error>(())
/// })?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Copy)]
pub struct Stdin(());

/// The standard input of the process. Never waits.
#[must_use]
pub fn stdin() -> Stdin {
    Stdin(())
}

impl Stdin {
    /// Waits until nobody else reads, and keeps others from reading until the guard is dropped.
    ///
    /// # Cancellation
    ///
    /// A kill or an enclosing [`timeout`](crate::time::timeout) ends the wait and unwinds; also a read through the guard: no
    /// input is lost.
    #[must_use]
    pub fn lock(&self) -> StdinLock<'static> {
        let turn = TURN.acquire();
        StdinLock { buffer: std::mem::take(&mut *lock(&BUFFER)), _turn: turn }
    }

    /// Waits for a line and appends it to `buf`, with its end; returns how many bytes, 0 at the end of the input.
    ///
    /// # Errors
    ///
    /// If the input cannot be read, or is not UTF-8.
    ///
    /// # Cancellation
    ///
    /// A kill or an enclosing [`timeout`](crate::time::timeout) ends the wait and unwinds; what has come of the line is there for the
    /// next read.
    pub fn read_line(&self, buf: &mut String) -> io::Result<usize> {
        self.lock().read_line(buf)
    }

    /// The lines of the input, without their ends. Others wait while the iterator is there.
    #[must_use = "iterators are lazy and do nothing unless consumed"]
    pub fn lines(self) -> Lines<StdinLock<'static>> {
        self.lock().lines()
    }

    /// Whether it is a terminal. Std's trait for this can be implemented by std alone.
    #[must_use]
    pub fn is_terminal(&self) -> bool {
        io::stdin().is_terminal()
    }
}

/// The standard input, for one reader; made by [`Stdin::lock`].
pub struct StdinLock<'a> {
    buffer: Buffer,
    /// Dropped after the buffer was put back.
    _turn: SemaphorePermit<'a>,
}

impl StdinLock<'_> {
    /// Reads some more behind what is in the buffer; false at the end of the input.
    fn read_on(&mut self) -> io::Result<bool> {
        let Buffer { bytes, taken } = &mut self.buffer;
        bytes.drain(..*taken);
        *taken = 0;
        let len = bytes.len();
        bytes.resize(len + CHUNK, 0);
        // Also when the read is ended by a kill, which unwinds.
        let mut read = Grown { bytes, len };
        let count = read_some(&mut read.bytes[len..])?;
        read.len += count;
        Ok(count > 0)
    }

    fn untaken(&self) -> &[u8] {
        &self.buffer.bytes[self.buffer.taken..]
    }
}

/// Cuts the bytes to what was read.
struct Grown<'a> {
    bytes: &'a mut Vec<u8>,
    len: usize,
}

impl Drop for Grown<'_> {
    fn drop(&mut self) {
        self.bytes.truncate(self.len);
    }
}

fn read_some(buf: &mut [u8]) -> io::Result<usize> {
    let of = file::file_type(file::standard_input())?;
    if of.is_fifo() || of.is_socket() || of.is_char_device() {
        return shared::read(FD, buf);
    }
    // A regular file: read at its position, which moves only when the bytes have arrived, so that a kill loses none.
    match file::read_at_now(FD, buf, -1) {
        Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Unsupported) => {}
        result => return result,
    }
    let (size, at) = (buf.len(), file::position(FD)?);
    let read = try_offload(move || {
        let mut bytes = vec![0; size];
        let count = file::read_at(FD, &mut bytes, at)?;
        bytes.truncate(count);
        Ok::<_, io::Error>(bytes)
    })??;
    file::set_position(FD, at + read.len() as i64)?;
    buf[..read.len()].copy_from_slice(&read);
    Ok(read.len())
}

impl Drop for StdinLock<'_> {
    fn drop(&mut self) {
        *lock(&BUFFER) = std::mem::take(&mut self.buffer);
    }
}

impl Read for StdinLock<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        // Without the way through the buffer where that would hold nothing afterwards.
        if self.untaken().is_empty() && buf.len() >= CHUNK {
            return read_some(buf);
        }
        let count = self.fill_buf()?.read(buf)?;
        self.consume(count);
        Ok(count)
    }
}

impl BufRead for StdinLock<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.untaken().is_empty() {
            self.read_on()?;
        }
        Ok(self.untaken())
    }

    fn consume(&mut self, amount: usize) {
        self.buffer.taken = (self.buffer.taken + amount).min(self.buffer.bytes.len());
    }

    fn read_line(&mut self, buf: &mut String) -> io::Result<usize> {
        let mut searched = 0;
        // Takes nothing before the line is whole.
        let len = loop {
            let untaken = self.untaken();
            if let Some(at) = untaken[searched..].iter().position(|byte| *byte == b'\n') {
                break searched + at + 1;
            }
            searched = untaken.len();
            if !self.read_on()? {
                break searched;
            }
        };
        let line = &self.untaken()[..len];
        match std::str::from_utf8(line) {
            Ok(line) => buf.push_str(line),
            Err(error) => {
                self.consume(len);
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    format!("a line is not UTF-8: {error}"),
                ));
            }
        }
        self.consume(len);
        Ok(len)
    }
}

impl Read for Stdin {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.lock().read(buf)
    }

    fn read_to_end(&mut self, buf: &mut Vec<u8>) -> io::Result<usize> {
        self.lock().read_to_end(buf)
    }

    fn read_to_string(&mut self, buf: &mut String) -> io::Result<usize> {
        self.lock().read_to_string(buf)
    }

    fn read_exact(&mut self, buf: &mut [u8]) -> io::Result<()> {
        self.lock().read_exact(buf)
    }
}

impl Read for &Stdin {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.lock().read(buf)
    }
}

impl AsFd for Stdin {
    fn as_fd(&self) -> BorrowedFd<'_> {
        file::standard_input()
    }
}

impl AsRawFd for Stdin {
    fn as_raw_fd(&self) -> RawFd {
        FD
    }
}

impl fmt::Debug for Stdin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stdin").finish_non_exhaustive()
    }
}

impl fmt::Debug for StdinLock<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StdinLock").finish_non_exhaustive()
    }
}
