//! Sockets that green threads of several workers use at once.

mod common;

use common::{PATIENCE, check_with};
use osier::net::{Shutdown, TcpListener, TcpStream, UdpSocket};
use osier::time::Duration;
use osier::{Builder, thread};
use std::collections::HashSet;
use std::io::{ErrorKind, Read, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

fn two() -> Builder {
    Builder::new().workers(2)
}

fn on(worker: usize) -> thread::Builder {
    thread::Builder::new().worker(worker)
}

/// Green threads of both workers accept on one listener, while OS threads and green threads connect.
#[test]
fn a_shared_listener_loses_no_connection() {
    const GUESTS: usize = 400;
    check_with(two(), |runtime| {
        runtime.run(|| {
            let listener = Arc::new(TcpListener::bind("127.0.0.1:0").unwrap());
            let address = listener.local_addr().unwrap();
            let served = Arc::new(Mutex::new(HashSet::new()));
            let by_worker = Arc::new([AtomicUsize::new(0), AtomicUsize::new(0)]);
            let servers: Vec<_> = (0..6)
                .map(|n| {
                    let (listener, served, by_worker) = (listener.clone(), served.clone(), by_worker.clone());
                    let server = on(n % 2).spawn(move || {
                        loop {
                            let (mut guest, _) = listener.accept().unwrap();
                            let mut name = [0; 4];
                            guest.read_exact(&mut name).unwrap();
                            guest.write_all(&name).unwrap();
                            by_worker[n % 2].fetch_add(1, Ordering::Relaxed);
                            assert!(served.lock().unwrap().insert(u32::from_le_bytes(name)), "served twice");
                        }
                    });
                    server.unwrap()
                })
                .collect();
            let visit = move |n: usize| {
                let mut stream = TcpStream::connect(address).unwrap();
                stream.set_read_timeout(Some(PATIENCE / 4)).unwrap();
                let name = u32::try_from(n).unwrap().to_le_bytes();
                stream.write_all(&name).unwrap();
                let mut answer = [0; 4];
                stream.read_exact(&mut answer).unwrap();
                assert_eq!(answer, name);
            };
            let outside = std::thread::spawn(move || (0..GUESTS / 4).for_each(visit));
            let guests: Vec<_> =
                (GUESTS / 4..GUESTS).map(|n| on(n / 3 % 2).spawn(move || visit(n)).unwrap()).collect();
            guests.into_iter().for_each(|guest| guest.join().unwrap());
            osier::offload(|| outside.join().unwrap());
            servers.iter().for_each(thread::JoinHandle::kill);
            for server in servers {
                assert!(server.join().unwrap_err().is::<thread::Killed>());
            }
            assert_eq!(served.lock().unwrap().len(), GUESTS);
            let [first, second] = &*by_worker;
            assert!(first.load(Ordering::Relaxed) > 0 && second.load(Ordering::Relaxed) > 0);
        });
    });
}

/// Readers of both workers wait on one socket: each message reaches one of them, none is left behind.
#[test]
fn each_datagram_reaches_one_of_the_readers() {
    const MESSAGES: u32 = 2000;
    check_with(two(), |runtime| {
        runtime.run(|| {
            let socket = Arc::new(UdpSocket::bind("127.0.0.1:0").unwrap());
            let address = socket.local_addr().unwrap();
            let received = Arc::new(AtomicUsize::new(0));
            let readers: Vec<_> = (0..6)
                .map(|n| {
                    let (socket, received) = (socket.clone(), received.clone());
                    let reader = on(n % 2).spawn(move || {
                        loop {
                            socket.recv(&mut [0; 4]).unwrap();
                            received.fetch_add(1, Ordering::Relaxed);
                        }
                    });
                    reader.unwrap()
                })
                .collect();
            let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
            for n in 0..MESSAGES {
                sender.send_to(&n.to_le_bytes(), address).unwrap();
                // No more on their way than the socket's buffer holds.
                while received.load(Ordering::Relaxed) + 50 < n as usize {
                    osier::yield_now();
                }
            }
            let start = std::time::Instant::now();
            while received.load(Ordering::Relaxed) < MESSAGES as usize {
                assert!(start.elapsed() < PATIENCE / 4, "{} received", received.load(Ordering::Relaxed));
                osier::sleep(Duration::from_micros(100));
            }
            readers.iter().for_each(thread::JoinHandle::kill);
            readers.into_iter().for_each(|reader| drop(reader.join().unwrap_err()));
        });
    });
}

/// One worker reads and the other writes the same stream, in both directions at once.
#[test]
fn a_stream_is_read_on_one_worker_and_written_on_the_other() {
    const BYTES: usize = 4 << 20;
    check_with(two(), |runtime| {
        runtime.run(|| {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let near = Arc::new(TcpStream::connect(listener.local_addr().unwrap()).unwrap());
            let far = Arc::new(listener.accept().unwrap().0);
            let mut threads = Vec::new();
            for (reads, writes) in [(near.clone(), far.clone()), (far, near)] {
                threads.push(on(threads.len() % 2).spawn(move || {
                    let mut buffer = vec![0; 64 * 1024];
                    let mut read = 0;
                    while read < BYTES {
                        let count = (&*reads).read(&mut buffer).unwrap();
                        assert!(
                            buffer[..count]
                                .iter()
                                .enumerate()
                                .all(|(n, byte)| *byte == ((read + n) % 251) as u8)
                        );
                        read += count;
                    }
                }));
                threads.push(on(threads.len() % 2).spawn(move || {
                    let bytes: Vec<_> = (0..BYTES).map(|n| (n % 251) as u8).collect();
                    (&*writes).write_all(&bytes).unwrap();
                }));
            }
            threads.into_iter().for_each(|thread| thread.unwrap().join().unwrap());
        });
    });
}

/// The one who shuts a socket down is on another worker than those who wait for it.
#[test]
fn shutting_down_reaches_waiters_of_all_workers() {
    check_with(two(), |runtime| {
        runtime.run(|| {
            for round in 0..20 {
                let listener = Arc::new(TcpListener::bind("127.0.0.1:0").unwrap());
                let near = Arc::new(TcpStream::connect(listener.local_addr().unwrap()).unwrap());
                let (_far, _) = listener.accept().unwrap();
                let waiting = Arc::new(AtomicUsize::new(0));
                let readers: Vec<_> = (0..4)
                    .map(|n| {
                        let (stream, waiting) = (near.clone(), waiting.clone());
                        let reader = on(n % 2).spawn(move || {
                            waiting.fetch_add(1, Ordering::Relaxed);
                            (&*stream).read(&mut [0]).unwrap()
                        });
                        reader.unwrap()
                    })
                    .collect();
                while waiting.load(Ordering::Relaxed) < 4 {
                    osier::yield_now();
                }
                let stream = near.clone();
                on(round % 2)
                    .spawn(move || stream.shutdown(Shutdown::Both).unwrap())
                    .unwrap()
                    .join()
                    .unwrap();
                for reader in readers {
                    assert_eq!(reader.join().unwrap(), 0, "the end of the stream");
                }
            }
        });
    });
}

/// A socket that was registered with one worker is dropped on the other, and its number is used again at once.
#[test]
fn a_socket_may_be_dropped_on_another_worker() {
    check_with(two(), |runtime| {
        runtime.run(|| {
            for round in 0..200 {
                let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
                socket.set_read_timeout(Some(Duration::from_micros(1))).unwrap();
                let on_1 = on(1).spawn(move || {
                    let error = socket.recv(&mut [0]).unwrap_err();
                    assert_eq!(error.kind(), ErrorKind::WouldBlock);
                    // A clone is another descriptor of the same socket.
                    let clone = if round % 2 == 0 { Some(socket.try_clone().unwrap()) } else { None };
                    (socket, clone)
                });
                let (socket, clone) = on_1.unwrap().join().unwrap();
                drop(socket);
                let again = UdpSocket::bind("127.0.0.1:0").unwrap();
                let address = again.local_addr().unwrap();
                let reader = on(1).spawn(move || again.recv(&mut [0; 8]).unwrap()).unwrap();
                UdpSocket::bind("127.0.0.1:0").unwrap().send_to(b"again", address).unwrap();
                assert_eq!(reader.join().unwrap(), 5);
                drop(clone);
            }
        });
    });
}
