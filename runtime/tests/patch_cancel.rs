//! A shim whose green thread is killed or timed out answers an error, since frames of C may lie above it; the next wait that is
//! made through the crate unwinds.

mod patching;

use patching::{answer, killed_in, killed_on_spot, timed_out_in, watchdog};
use std::cell::Cell;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::rc::Rc;

fn code<T>(result: io::Result<T>) -> Option<i32> {
    result.map(drop).unwrap_err().raw_os_error()
}

fn fill(stream: &mut UnixStream) {
    stream.set_nonblocking(true).unwrap();
    while stream.write(&[0; 4096]).is_ok() {}
    stream.set_nonblocking(false).unwrap();
}

/// Gives the error number that a call has answered.
type Call = Box<dyn FnOnce() -> Option<i32>>;

/// Each call as one that waits for ever.
fn calls() -> Vec<(&'static str, Call)> {
    let (mut reader, held) = UnixStream::pair().unwrap();
    let (mut writer, held_too) = UnixStream::pair().unwrap();
    let (polled, held_as_well) = UnixStream::pair().unwrap();
    fill(&mut writer);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let datagrams = UdpSocket::bind("127.0.0.1:0").unwrap();
    let full = TcpListener::bind("127.0.0.1:0").unwrap();
    // SAFETY: no pointers.
    unsafe { libc::listen(full.as_raw_fd(), 0) };
    let first = TcpStream::connect(full.local_addr().unwrap()).unwrap();
    vec![
        (
            "read",
            Box::new(move || {
                let _held = held;
                code(reader.read(&mut [0]))
            }),
        ),
        (
            "write",
            Box::new(move || {
                let _held = held_too;
                code(writer.write(&[0; 4096]))
            }),
        ),
        ("accept", Box::new(move || code(listener.accept()))),
        ("recv_from", Box::new(move || code(datagrams.recv_from(&mut [0])))),
        (
            "connect",
            Box::new(move || {
                let _first = first;
                code(TcpStream::connect(full.local_addr().unwrap()))
            }),
        ),
        (
            "poll",
            Box::new(move || {
                let _held = held_as_well;
                let entry = libc::pollfd { fd: polled.as_raw_fd(), events: libc::POLLIN, revents: 0 };
                let mut entries = [entry, entry];
                // SAFETY: two entries.
                let result = unsafe { libc::poll(entries.as_mut_ptr(), 2, -1) };
                answer(result as isize).err()
            }),
        ),
    ]
}

#[test]
fn a_cancelled_call_answers_an_error_and_does_not_unwind() {
    osier::patch::all();
    watchdog();
    osier::run(|| {
        for (name, call) in calls() {
            assert_eq!(killed_in(name, call), Some(libc::ECANCELED), "{name}");
        }
        for (name, call) in calls() {
            assert_eq!(killed_on_spot(name, call), Some(libc::ECANCELED), "{name}, killed before");
        }
        for (name, call) in calls() {
            assert_eq!(timed_out_in(name, call), Some(libc::ETIMEDOUT), "{name}");
        }
        // A shield keeps both out.
        let (mut one, mut other) = UnixStream::pair().unwrap();
        let shielded = osier::spawn_local(move || {
            let read = osier::shield(|| one.read(&mut [0; 8]).unwrap());
            assert_eq!(read, 5);
        });
        osier::yield_now();
        shielded.kill();
        osier::yield_now();
        assert!(!shielded.is_finished());
        other.write_all(b"hello").unwrap();
        shielded.join().unwrap();

        // Whoever loops on the error lets others run at each turn.
        let (mut one, _other) = UnixStream::pair().unwrap();
        let turns = Rc::new(Cell::new(0));
        let stubborn = osier::spawn_local({
            let turns = turns.clone();
            move || {
                for _ in 0..1000 {
                    assert_eq!(code(one.read(&mut [0])), Some(libc::ECANCELED));
                    turns.set(turns.get() + 1);
                }
            }
        });
        osier::yield_now();
        stubborn.kill();
        for _ in 0..100 {
            let before = turns.get();
            osier::yield_now();
            assert!(turns.get() - before <= 1, "each of its errors lets others run");
        }
        stubborn.join().unwrap();

        // One that never needs to wait is told too, after a while, and does not starve its neighbours meanwhile.
        let (mut one, mut other) = UnixStream::pair().unwrap();
        let echo = osier::spawn_local(move || {
            loop {
                let told = other.write_all(b"x").and_then(|()| one.read_exact(&mut [0]));
                if let Err(error) = told {
                    return error.raw_os_error();
                }
            }
        });
        for _ in 0..5 {
            osier::yield_now();
        }
        echo.kill();
        assert_eq!(echo.join().unwrap(), Some(libc::ECANCELED));

        // A destructor of a stack that unwinds may wait as ever.
        struct Goodbye(UnixStream, Rc<Cell<bool>>);
        impl Drop for Goodbye {
            fn drop(&mut self) {
                self.1.set(matches!(self.0.read(&mut [0; 8]), Ok(5)));
            }
        }
        let (one, mut other) = UnixStream::pair().unwrap();
        let read = Rc::new(Cell::new(false));
        let unwinding = osier::spawn_local({
            let goodbye = Goodbye(one, read.clone());
            move || {
                let _goodbye = goodbye;
                osier::thread::park();
            }
        });
        osier::yield_now();
        unwinding.kill();
        for _ in 0..3 {
            osier::yield_now();
        }
        assert!(!unwinding.is_finished());
        other.write_all(b"hello").unwrap();
        unwinding.join().unwrap_err();
        assert!(read.get());

        // An end of the connection is no cancellation.
        let (mut one, other) = UnixStream::pair().unwrap();
        drop(other);
        assert_eq!(one.write(b"x").unwrap_err().kind(), ErrorKind::BrokenPipe);
    });
}
