//! TCP sockets of green threads: who gets what, what ends a wait, and what is shared.

use osier::net::{Shutdown, TcpListener, TcpStream};
use osier::thread::Killed;
use osier::time::{Duration, Elapsed, Instant, timeout};
use std::cell::{Cell, RefCell};
use std::io::{ErrorKind, Read, Write};
use std::rc::Rc;

fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let one = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (one, listener.accept().unwrap().0)
}

/// Lets everybody else run until they all wait.
fn settle() {
    for _ in 0..20 {
        osier::yield_now();
    }
}

#[test]
fn one_socket_is_read_and_written_at_the_same_time() {
    osier::run(|| {
        const SIZE: usize = 8 << 20;
        let (here, mut there) = pair();
        let echo = osier::spawn(move || {
            let mut buf = [0; 10_000];
            loop {
                match there.read(&mut buf).unwrap() {
                    0 => return,
                    count => there.write_all(&buf[..count]).unwrap(),
                }
            }
        });
        let here = Rc::new(here);
        let writer = osier::spawn_local({
            let here = here.clone();
            move || {
                let data: Vec<u8> = (0..SIZE).map(|at| (at % 251) as u8).collect();
                assert_eq!((&*here).write(&data).unwrap(), SIZE, "a blocking write takes all");
                here.shutdown(Shutdown::Write).unwrap();
            }
        });
        let mut data = Vec::new();
        (&*here).read_to_end(&mut data).unwrap();
        assert_eq!(data.len(), SIZE);
        assert!(data.iter().enumerate().all(|(at, byte)| *byte == (at % 251) as u8));
        writer.join().unwrap();
        echo.join().unwrap();
    });
}

#[test]
fn every_reader_of_one_socket_gets_its_share() {
    osier::run(|| {
        let (here, mut there) = pair();
        let here = Rc::new(here);
        let readers: Vec<_> = (0..5)
            .map(|_| {
                let here = here.clone();
                osier::spawn_local(move || {
                    let mut byte = [0];
                    (&*here).read(&mut byte).map(|count| (count, byte[0])).unwrap()
                })
            })
            .collect();
        settle();
        // One event for all: whoever reads hands the turn on, at the end of the stream too.
        there.write_all(&[1, 2, 3]).unwrap();
        drop(there);
        let mut got: Vec<_> = readers.into_iter().map(|reader| reader.join().unwrap()).collect();
        got.sort_unstable();
        assert_eq!(got, [(0, 0), (0, 0), (1, 1), (1, 2), (1, 3)]);
    });
}

#[test]
fn every_acceptor_gets_a_connection_and_a_killed_one_takes_none_along() {
    osier::run(|| {
        let listener = Rc::new(TcpListener::bind("127.0.0.1:0").unwrap());
        let addr = listener.local_addr().unwrap();
        let accepted = Rc::new(Cell::new(0));
        let acceptors: Vec<_> = (0..4)
            .map(|_| {
                let (listener, accepted) = (listener.clone(), accepted.clone());
                osier::spawn_local(move || {
                    let stream = listener.accept();
                    accepted.set(accepted.get() + 1);
                    stream.unwrap()
                })
            })
            .collect();
        settle();
        // Std's connect returns when the connection stands, so the event is there, and nobody has been told yet.
        let clients: Vec<_> = (0..3).map(|_| std::net::TcpStream::connect(addr).unwrap()).collect();
        acceptors[0].kill();
        let mut outcomes = acceptors.into_iter().map(|acceptor| acceptor.join());
        assert!(outcomes.next().unwrap().unwrap_err().is::<Killed>());
        assert!(outcomes.all(|outcome| outcome.is_ok()));
        assert_eq!(accepted.get(), clients.len());
    });
}

#[test]
fn a_waiter_that_is_killed_after_it_was_chosen_loses_nothing() {
    osier::run(|| {
        let listener = Rc::new(TcpListener::bind("127.0.0.1:0").unwrap());
        let addr = listener.local_addr().unwrap();
        let (signal, mut signaller) = pair();
        let accepted = Rc::new(RefCell::new(Vec::new()));
        let acceptor = || {
            let (listener, accepted) = (listener.clone(), accepted.clone());
            osier::spawn_local(move || {
                loop {
                    let stream = listener.accept().unwrap();
                    accepted.borrow_mut().push(stream);
                }
            })
        };
        let (first, second) = (Rc::new(acceptor()), acceptor());
        let killer = osier::spawn_local({
            let first = first.clone();
            let mut signal = signal;
            move || {
                signal.read_exact(&mut [0]).unwrap();
                first.kill();
            }
        });
        settle();
        // Both events come in one poll, the killer's first: it runs when the acceptor was chosen and has not run.
        signaller.write_all(b"x").unwrap();
        let clients: Vec<_> = (0..3).map(|_| std::net::TcpStream::connect(addr).unwrap()).collect();
        killer.join().unwrap();
        let since = Instant::now();
        while accepted.borrow().len() < clients.len() {
            assert!(since.elapsed() < Duration::from_secs(20), "a connection was lost");
            osier::sleep(Duration::from_millis(1));
        }
        let Ok(first) = Rc::try_unwrap(first) else { panic!("the killer is done with it") };
        assert!(first.join().is_err());
        second.kill();
        assert!(second.join().is_err());
    });
}

#[test]
fn shutdown_wakes_whoever_waits() {
    osier::run(|| {
        let (here, there) = pair();
        let here = Rc::new(here);
        let reader = osier::spawn_local({
            let here = here.clone();
            move || (&*here).read(&mut [0; 8])
        });
        settle();
        here.shutdown(Shutdown::Both).unwrap();
        assert_eq!(reader.join().unwrap().unwrap(), 0);
        assert_eq!((&*here).write(b"x").unwrap_err().kind(), ErrorKind::BrokenPipe);
        drop(there);
    });
    // From another OS thread.
    osier::run(|| {
        let (here, there) = pair();
        let clone = here.try_clone().unwrap();
        let reader = osier::spawn(move || (&here).read(&mut [0; 8]));
        settle();
        let other = std::thread::spawn(move || clone.shutdown(Shutdown::Read));
        assert_eq!(reader.join().unwrap().unwrap(), 0);
        other.join().unwrap().unwrap();
        drop(there);
    });
}

#[test]
fn the_end_that_comes_with_the_last_data_is_seen() {
    osier::run(|| {
        let (mut here, mut there) = pair();
        let reader = osier::spawn(move || {
            let mut buf = [0; 10];
            let counts = [here.read(&mut buf).unwrap(), here.read(&mut buf).unwrap()];
            (counts, here.read(&mut buf).unwrap())
        });
        settle();
        // No yield in between: one event tells of both.
        there.write_all(b"abc").unwrap();
        drop(there);
        assert_eq!(reader.join().unwrap(), ([3, 0], 0));
    });
    osier::run(|| {
        let (mut here, mut there) = pair();
        let reads = Rc::new(Cell::new(0));
        let reader = osier::spawn_local({
            let reads = reads.clone();
            move || {
                let mut buf = [0; 10];
                [(); 4].map(|()| {
                    let count = here.read(&mut buf).unwrap();
                    reads.set(reads.get() + 1);
                    count
                })
            }
        });
        for (done, part) in [&b"abc"[..], b"de"].into_iter().enumerate() {
            settle();
            there.write_all(part).unwrap();
            while reads.get() == done {
                osier::yield_now();
            }
        }
        drop(there);
        assert_eq!(reader.join().unwrap(), [3, 2, 0, 0]);
    });
}

#[test]
fn timeouts_end_waits_as_stds_do() {
    osier::run(|| {
        let (mut here, _there) = pair();
        for error in
            [here.set_read_timeout(Some(Duration::ZERO)), here.set_write_timeout(Some(Duration::ZERO))]
        {
            assert_eq!(error.unwrap_err().kind(), ErrorKind::InvalidInput);
        }
        let limit = Duration::from_millis(20);
        here.set_read_timeout(Some(limit)).unwrap();
        here.set_write_timeout(Some(limit)).unwrap();
        assert_eq!(here.read_timeout().unwrap(), Some(limit));
        let start = Instant::now();
        assert_eq!(here.read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
        assert!(start.elapsed() >= limit);
        assert_eq!(here.peek(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
        // What was sent before the time was over counts; then there is no room.
        let data = vec![0; 64 << 20];
        let sent = here.write(&data).unwrap();
        assert!(0 < sent && sent < data.len());
        let error = loop {
            // The kernel enlarges the buffer as it likes.
            let start = Instant::now();
            if let Err(error) = here.write(&data) {
                assert!(start.elapsed() >= limit);
                break error;
            }
        };
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
        here.set_read_timeout(None).unwrap();
        assert_eq!(here.read_timeout().unwrap(), None);
        let addr = here.peer_addr().unwrap();
        let error = TcpStream::connect_timeout(&addr, Duration::ZERO).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    });
}

#[test]
fn what_came_in_time_counts_even_if_the_worker_looks_late() {
    osier::run(|| {
        let limit = Duration::from_millis(5);
        loop {
            let (mut here, mut there) = pair();
            here.set_read_timeout(Some(limit)).unwrap();
            let start = Instant::now();
            let reader = osier::spawn(move || here.read(&mut [0; 8]));
            osier::yield_now();
            there.write_all(b"abc").unwrap();
            let in_time = start.elapsed() < limit;
            // Holds the worker until the reader's deadline has passed.
            std::thread::sleep(4 * limit);
            let read = reader.join().unwrap();
            // On a busy machine it may have passed before anything came.
            if in_time {
                return assert_eq!(read.unwrap(), 3);
            }
        }
    });
}

#[test]
fn an_enclosing_deadline_ends_a_wait_and_loses_no_data() {
    osier::run(|| {
        let (mut here, mut there) = pair();
        let limit = Duration::from_millis(5);
        assert_eq!(timeout(limit, || here.read(&mut [0]).map(drop)).map(drop), Err(Elapsed));
        there.write_all(b"abc").unwrap();
        let mut buf = [0; 3];
        here.read_exact(&mut buf).unwrap();
        assert_eq!(&buf, b"abc");
        // A write that has sent a part says so; the next wait unwinds.
        let data = vec![0; 64 << 20];
        let sent = Cell::new(0);
        let outcome = timeout(limit, || {
            loop {
                sent.set(sent.get() + here.write(&data).unwrap());
            }
        });
        assert_eq!(outcome, Err::<(), _>(Elapsed));
        drop(here);
        let mut received = Vec::new();
        there.read_to_end(&mut received).unwrap();
        assert_eq!(received.len(), sent.get());
    });
}

#[test]
fn data_that_races_with_deadlines_arrives_once() {
    osier::run(|| {
        const COUNT: u32 = 300;
        let (mut here, mut there) = pair();
        here.set_read_timeout(Some(Duration::from_micros(200))).unwrap();
        let writer = osier::spawn(move || {
            for n in 0..COUNT {
                osier::sleep(Duration::from_micros(200));
                there.write_all(&n.to_be_bytes()).unwrap();
            }
        });
        let mut got = Vec::new();
        while got.len() < 4 * COUNT as usize {
            let mut buf = [0; 3];
            match here.read(&mut buf) {
                Ok(0) => break,
                Ok(count) => got.extend_from_slice(&buf[..count]),
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
        }
        let numbers: Vec<_> = got.chunks(4).map(|n| u32::from_be_bytes(n.try_into().unwrap())).collect();
        assert_eq!(numbers, (0..COUNT).collect::<Vec<_>>());
        writer.join().unwrap();
    });
}

#[test]
fn clones_share_settings_and_data() {
    osier::run(|| {
        let (here, mut there) = pair();
        let mut clone = here.try_clone().unwrap();
        here.set_nonblocking(true).unwrap();
        assert_eq!(clone.read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
        here.set_nonblocking(false).unwrap();
        clone.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
        assert_eq!((&here).read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
        clone.set_read_timeout(None).unwrap();
        // One waits through each; both are served, and one stays when the other is gone.
        let mut other = clone.try_clone().unwrap();
        let one = osier::spawn(move || clone.read_exact(&mut [0]));
        let two = osier::spawn(move || other.read_exact(&mut [0]));
        settle();
        there.write_all(b"ab").unwrap();
        one.join().unwrap().unwrap();
        two.join().unwrap().unwrap();
        there.write_all(b"c").unwrap();
        (&here).read_exact(&mut [0]).unwrap();
    });
}

#[test]
fn nonblocking_calls_never_yield_and_others_yield_now_and_then() {
    osier::run(|| {
        let (mut here, mut there) = pair();
        let turns = Rc::new(Cell::new(0));
        let neighbour = osier::spawn_local({
            let turns = turns.clone();
            move || {
                loop {
                    turns.set(turns.get() + 1);
                    osier::yield_now();
                }
            }
        });
        there.write_all(&[0; 2000]).unwrap();
        settle();
        here.set_nonblocking(true).unwrap();
        let before = turns.get();
        for _ in 0..1000 {
            here.read_exact(&mut [0]).unwrap();
        }
        assert_eq!(turns.get(), before);
        here.set_nonblocking(false).unwrap();
        for _ in 0..1000 {
            here.read_exact(&mut [0]).unwrap();
        }
        assert!(turns.get() >= before + 5, "always ready reads starve the neighbour");
        neighbour.kill();
        assert!(neighbour.join().is_err());
    });
}

#[test]
fn a_socket_outlives_its_runtime_and_closes_anywhere() {
    let (here, mut there) = osier::run(|| {
        let (here, there) = pair();
        here.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
        assert!((&here).read(&mut [0]).is_err(), "registered");
        (here, there)
    });
    // With no runtime, in another one, and on another OS thread while it is registered here.
    assert_eq!((&here).read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
    osier::run(|| {
        assert_eq!((&here).read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
        std::thread::spawn(move || drop(here)).join().unwrap();
        assert_eq!(there.read(&mut [0]).unwrap(), 0);
        // The number is used again, while the worker may not yet have heard of the end of the old one.
        for _ in 0..3 {
            let (mut here, mut there) = pair();
            let reader = osier::spawn(move || here.read(&mut [0; 4]));
            settle();
            there.write_all(b"abc").unwrap();
            assert_eq!(reader.join().unwrap().unwrap(), 3);
        }
    });
}

#[test]
fn off_green_threads_calls_block_the_os_thread() {
    let listener = TcpListener::bind("localhost:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut buf = [0; 3];
        stream.read_exact(&mut buf).unwrap();
        stream.write_all(&buf).unwrap();
        let mut end = Vec::new();
        stream.read_to_end(&mut end).unwrap();
        end.len()
    });
    let mut client = TcpStream::connect(addr).unwrap();
    let limit = Duration::from_millis(10);
    client.set_read_timeout(Some(limit)).unwrap();
    let start = Instant::now();
    assert_eq!(client.read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
    assert!(start.elapsed() >= limit);
    client.set_read_timeout(None).unwrap();
    assert_eq!(timeout(limit, || client.read(&mut [0]).map(drop)).map(drop), Err(Elapsed));
    client.write_all(b"abc").unwrap();
    client.read_exact(&mut [0; 3]).unwrap();
    let data = vec![0; 8 << 20];
    assert_eq!(client.write(&data).unwrap(), data.len());
    drop(client);
    assert_eq!(server.join().unwrap(), data.len());
}

#[test]
fn the_driver_of_a_runtime_keeps_it_running_while_it_waits() {
    let runtime = osier::Builder::new().build().unwrap();
    runtime.enter(|_| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let client = osier::spawn(move || TcpStream::connect(addr).unwrap().write_all(b"abc"));
        let (mut stream, _) = listener.accept().unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        assert_eq!(text, "abc");
        client.join().unwrap().unwrap();
    });
}
