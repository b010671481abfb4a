//! Under a storm of signals, with the smallest of buffers and with peers that reset their connections, green threads get the same
//! bytes and the same errors as OS threads do.

mod patching;

use patching::{answer, watchdog};
use std::io::{self, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::sync::atomic::{AtomicUsize, Ordering};

static SIGNALS: AtomicUsize = AtomicUsize::new(0);

extern "C" fn count_signal(_: i32) {
    SIGNALS.fetch_add(1, Ordering::Relaxed);
}

/// SIGALRM every so many microseconds; 0 ends it. Its handler does not ask for calls to be restarted.
fn storm(micros: i64) {
    // SAFETY: all zero is an action without flags.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = count_signal as *const () as usize;
    // SAFETY: a valid action, whose handler may be called anywhere.
    assert_eq!(unsafe { libc::sigaction(libc::SIGALRM, &action, std::ptr::null_mut()) }, 0);
    let time = libc::timeval { tv_sec: 0, tv_usec: micros };
    let timer = [time, time];
    // SAFETY: an interval and a first time.
    let set = unsafe { libc::syscall(libc::SYS_setitimer, libc::ITIMER_REAL, &raw const timer, 0_usize) };
    assert_eq!(set, 0);
}

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }
}

/// Until it is over: an interruption is always permitted.
fn again(mut call: impl FnMut() -> isize) -> Result<usize, i32> {
    loop {
        match answer(call()) {
            Err(libc::EINTR) => {}
            result => return result,
        }
    }
}

fn recv(fd: RawFd, buffer: &mut [u8], flags: i32) -> Result<usize, i32> {
    // SAFETY: valid for its length.
    again(|| unsafe { libc::recv(fd, buffer.as_mut_ptr().cast(), buffer.len(), flags) })
}

fn read(fd: RawFd, buffer: &mut [u8]) -> Result<usize, i32> {
    // SAFETY: valid for its length.
    again(|| unsafe { libc::read(fd, buffer.as_mut_ptr().cast(), buffer.len()) })
}

/// All of them, in whatever pieces; or why not.
fn send_all(fd: RawFd, mut bytes: &[u8], is_socket: bool) -> Result<(), i32> {
    while !bytes.is_empty() {
        // SAFETY: valid for their length, here and below.
        let sent = again(|| unsafe {
            match is_socket {
                true => libc::send(fd, bytes.as_ptr().cast(), bytes.len(), 0),
                false => libc::write(fd, bytes.as_ptr().cast(), bytes.len()),
            }
        })?;
        bytes = &bytes[sent..];
    }
    Ok(())
}

fn shrink(fd: RawFd) {
    for option in [libc::SO_SNDBUF, libc::SO_RCVBUF] {
        let least: i32 = 1;
        // SAFETY: a number, and its length.
        let set = unsafe { libc::setsockopt(fd, libc::SOL_SOCKET, option, (&raw const least).cast(), 4) };
        assert_eq!(set, 0);
    }
}

/// What one side has seen: bytes, summed up, and errors.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    bytes: usize,
    digest: u64,
    errors: Vec<i32>,
}

impl Seen {
    fn nothing() -> Seen {
        Seen { bytes: 0, digest: 0xcbf2_9ce4_8422_2325, errors: Vec::new() }
    }

    fn take(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len();
        for byte in bytes {
            self.digest = (self.digest ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
        }
    }

    fn note<T>(&mut self, result: Result<T, i32>) {
        self.errors.extend(result.err());
    }
}

fn text(random: &mut Random, len: usize) -> Vec<u8> {
    (0..len).map(|_| random.next() as u8).collect()
}

type Body = Box<dyn FnOnce() -> Seen + Send>;

fn tcp_pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = loop {
        // Its system call may be interrupted, and then the connection is another one's.
        match TcpStream::connect(listener.local_addr().unwrap()) {
            Ok(client) => break client,
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::Interrupted),
        }
    };
    (client, listener.accept().unwrap().0)
}

/// A stream from one end to the other; the sum of the reader's `take` sizes is random.
fn streams(
    mut random: Random,
    writer: impl AsRawFd + Send + 'static,
    reader: impl AsRawFd + Send + 'static,
    is_socket: bool,
) -> [Body; 2] {
    let bytes = text(&mut random, 24 << 10);
    let mut theirs = Random(random.next());
    [
        Box::new(move || {
            let mut seen = Seen::nothing();
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                let (piece, after) = rest.split_at((1 + random.below(20_000)).min(rest.len()));
                seen.note(send_all(writer.as_raw_fd(), piece, is_socket));
                seen.take(piece);
                rest = after;
            }
            seen
        }),
        Box::new(move || {
            let mut seen = Seen::nothing();
            loop {
                let mut buffer = vec![0; 1 + theirs.below(5000)];
                let flags = if theirs.below(3) == 0 { libc::MSG_WAITALL } else { 0 };
                let received = match is_socket && theirs.below(2) == 0 {
                    true => recv(reader.as_raw_fd(), &mut buffer, flags),
                    false => read(reader.as_raw_fd(), &mut buffer),
                };
                match received {
                    Ok(0) => return seen,
                    Ok(count) => seen.take(&buffer[..count]),
                    Err(error) => {
                        seen.errors.push(error);
                        return seen;
                    }
                }
            }
        }),
    ]
}

/// One end says something, waits for a sign, and resets the connection; the other sees the text, the reset, the end, a broken pipe.
fn resets(mut random: Random) -> [Body; 2] {
    let (one, other) = tcp_pair();
    let len = 1 + random.below(1000);
    let bytes = text(&mut random, len);
    [
        Box::new(move || {
            let mut seen = Seen::nothing();
            seen.note(send_all(one.as_raw_fd(), &bytes, true));
            seen.note(recv(one.as_raw_fd(), &mut [0], 0));
            let at_once = libc::linger { l_onoff: 1, l_linger: 0 };
            let (option, len) = (libc::SO_LINGER, size_of::<libc::linger>() as u32);
            // SAFETY: valid for a read of its length.
            let set = unsafe {
                libc::setsockopt(one.as_raw_fd(), libc::SOL_SOCKET, option, (&raw const at_once).cast(), len)
            };
            assert_eq!(set, 0);
            seen
        }),
        Box::new(move || {
            let (mut seen, fd) = (Seen::nothing(), other.as_raw_fd());
            let mut buffer = vec![0; len];
            seen.note(recv(fd, &mut buffer, libc::MSG_WAITALL).map(|count| assert!(count <= len)));
            seen.take(&buffer);
            seen.note(send_all(fd, b"!", true));
            seen.note(recv(fd, &mut buffer, 0));
            seen.note(recv(fd, &mut buffer, 0));
            seen.note(send_all(fd, b"x", true));
            seen
        }),
    ]
}

/// Messages keep their bounds and their order.
fn datagrams(mut random: Random) -> [Body; 2] {
    let (one, other) = UnixDatagram::pair().unwrap();
    shrink(one.as_raw_fd());
    let messages: Vec<_> = (0..200)
        .map(|_| {
            let len = random.below(200);
            text(&mut random, len)
        })
        .collect();
    [
        Box::new(move || {
            let mut seen = Seen::nothing();
            for message in messages {
                // SAFETY: valid for their length.
                let sent = again(|| unsafe {
                    libc::send(one.as_raw_fd(), message.as_ptr().cast(), message.len(), 0)
                });
                seen.note(sent);
                seen.take(&message);
            }
            seen
        }),
        Box::new(move || {
            let mut seen = Seen::nothing();
            let mut buffer = [0; 256];
            for _ in 0..200 {
                match recv(other.as_raw_fd(), &mut buffer, 0) {
                    Ok(count) => {
                        seen.take(&buffer[..count]);
                        seen.errors.push(-(count as i32));
                    }
                    Err(error) => seen.errors.push(error),
                }
            }
            seen
        }),
    ]
}

fn bodies(seed: u64) -> Vec<Body> {
    let mut bodies: Vec<Body> = Vec::new();
    let mut random = Random(seed);
    let mut next = || Random(random.next() | 1);
    for _ in 0..4 {
        let (one, other) = tcp_pair();
        shrink(one.as_raw_fd());
        shrink(other.as_raw_fd());
        bodies.extend(streams(next(), one, other, true));
        let (one, other) = UnixStream::pair().unwrap();
        shrink(one.as_raw_fd());
        bodies.extend(streams(next(), one, other, true));
        let (reader, writer) = io::pipe().unwrap();
        // SAFETY: no pointers. A page is the least that a pipe holds.
        assert!(unsafe { libc::fcntl(writer.as_raw_fd(), libc::F_SETPIPE_SZ, 1) } > 0);
        bodies.extend(streams(next(), writer, reader, false));
        bodies.extend(resets(next()));
        bodies.extend(datagrams(next()));
    }
    bodies
}

#[test]
fn a_storm_of_signals_changes_nothing() {
    let seed = std::process::id().into();
    let _ = writeln!(io::stderr(), "seed {seed}");
    osier::patch::all();
    watchdog();
    storm(100);
    let twin: Vec<_> = bodies(seed).into_iter().map(std::thread::spawn).collect();
    let twin: Vec<_> = twin.into_iter().map(|thread| thread.join().unwrap()).collect();
    let interrupted = SIGNALS.load(Ordering::Relaxed);
    let green = osier::run(|| {
        let threads: Vec<_> = bodies(seed).into_iter().map(osier::spawn).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    storm(0);
    assert!(interrupted > 0 && SIGNALS.load(Ordering::Relaxed) > interrupted, "there was no storm");
    for (green, twin) in green.iter().zip(&twin) {
        assert_eq!(green, twin, "seed {seed}");
    }
    assert_eq!(green.len(), twin.len());
    assert!(twin.iter().any(|seen| seen.errors == [libc::ECONNRESET, libc::EPIPE]), "nobody was reset");
}
