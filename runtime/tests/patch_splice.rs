//! `tee` and `vmsplice` on green threads.

mod patching;

use libc::{SPLICE_F_NONBLOCK, c_uint, iovec};
use patching::{answer, killed_in, neighbour_goes_on, timed_out_in, watchdog};
use std::io::{PipeReader, PipeWriter, Read, Write};
use std::os::fd::{AsRawFd, RawFd};

fn tee(from: RawFd, to: RawFd, flags: c_uint) -> Result<usize, i32> {
    // SAFETY: no pointers.
    answer(unsafe { libc::tee(from, to, 4096, flags) })
}

/// Leaves no room in a pipe.
fn fill(mut writer: &PipeWriter) {
    let fd = writer.as_raw_fd();
    // SAFETY: no pointers.
    unsafe { libc::fcntl(fd, libc::F_SETFL, libc::O_NONBLOCK) };
    while writer.write(&[0; 4096]).is_ok() {}
    // SAFETY: no pointers.
    unsafe { libc::fcntl(fd, libc::F_SETFL, 0) };
}

fn drain(mut reader: &PipeReader) {
    assert_eq!(reader.read(&mut [0; 1 << 16]).unwrap(), 1 << 16);
}

fn tees() {
    let (mut from, mut source) = std::io::pipe().unwrap();
    let (mut sink, to) = std::io::pipe().unwrap();
    let fds = (from.as_raw_fd(), to.as_raw_fd());
    let copy = move || tee(fds.0, fds.1, 0);
    assert_eq!(neighbour_goes_on("tee", copy, || source.write_all(b"x").unwrap()), Ok(1));
    let mut byte = [0];
    sink.read_exact(&mut byte).unwrap();
    assert_eq!(&byte, b"x");
    from.read_exact(&mut byte).unwrap();
    assert_eq!(&byte, b"x", "it was copied, not taken");

    assert_eq!(tee(fds.0, fds.1, SPLICE_F_NONBLOCK), Err(libc::EAGAIN));
    assert_eq!(killed_in("tee", copy), Err(libc::ECANCELED));
    source.write_all(b"y").unwrap();
    fill(&to);
    assert_eq!(timed_out_in("tee", copy), Err(libc::ETIMEDOUT));
    assert_eq!(neighbour_goes_on("tee", copy, || drain(&sink)), Ok(1));
    drop(source);
    from.read_exact(&mut byte).unwrap();
    assert_eq!(tee(fds.0, fds.1, 0), Ok(0), "nobody writes");
    assert_eq!(tee(fds.0, -1, 0), Err(libc::EBADF));
}

fn vmsplices() {
    let (mut reader, writer) = std::io::pipe().unwrap();
    let fd = writer.as_raw_fd();
    let vmsplice = |fd: RawFd, bytes: &'static [u8], flags: c_uint| {
        let part = iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
        // SAFETY: valid for a read, for ever.
        answer(unsafe { libc::vmsplice(fd, &part, 1, flags) })
    };
    assert_eq!(vmsplice(fd, b"hello", 0), Ok(5));
    let mut text = [0; 5];
    reader.read_exact(&mut text).unwrap();
    assert_eq!(&text, b"hello");
    fill(&writer);
    assert_eq!(vmsplice(fd, b"hello", SPLICE_F_NONBLOCK), Err(libc::EAGAIN));
    assert_eq!(killed_in("vmsplice", move || vmsplice(fd, b"hello", 0)), Err(libc::ECANCELED));
    let moved = neighbour_goes_on("vmsplice", move || vmsplice(fd, b"hello", 0), || drain(&reader));
    assert_eq!(moved, Ok(5));
    reader.read_exact(&mut text).unwrap();
    assert_eq!(&text, b"hello");

    // Out of a pipe.
    let fd = reader.as_raw_fd();
    let take = move || {
        let mut text = [0; 5];
        let part = iovec { iov_base: text.as_mut_ptr().cast(), iov_len: 5 };
        // SAFETY: valid for a write.
        answer(unsafe { libc::vmsplice(fd, &part, 1, 0) }).map(|len| (len, text))
    };
    let moved = neighbour_goes_on("vmsplice", take, || (&writer).write_all(b"world").unwrap());
    assert_eq!(moved, Ok((5, *b"world")));
    assert_eq!(vmsplice(-1, b"hello", 0), Err(libc::EBADF));
}

#[test]
fn what_goes_between_pipes_and_memory_parks_the_green_thread() {
    watchdog();
    osier::patch::all();
    osier::run(|| {
        tees();
        vmsplices();
    });
}
