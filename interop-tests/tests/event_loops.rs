//! An event loop that brings its own way to wait is as ever in a patched process: on an OS thread of its own, which no shim
//! touches, and on a green thread, which parks while the loop has nothing to do.

use mio::net::{TcpListener, TcpStream as MioStream};
use mio::{Events, Interest, Poll, Token, Waker};
use std::collections::{HashMap, VecDeque};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const CLIENTS: usize = 100;
const DELAY: Duration = Duration::from_millis(50);

/// Answers each line after a while, until it is told to end; gives how many it has answered.
async fn serve(told: mpsc::Sender<SocketAddr>, end: tokio::sync::oneshot::Receiver<()>) -> usize {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    told.send(listener.local_addr().unwrap()).unwrap();
    let served = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let count = served.clone();
    let accept = async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let count = count.clone();
            tokio::spawn(async move {
                let mut text = [0; 5];
                while stream.read_exact(&mut text).await.is_ok() {
                    tokio::time::sleep(DELAY).await;
                    stream.write_all(&text).await.unwrap();
                    count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                }
            });
        }
    };
    tokio::select! {
        () = accept => {}
        _ = end => {}
    }
    served.load(std::sync::atomic::Ordering::Relaxed)
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// All at the same time, on green threads, with std's sockets.
fn ask(address: SocketAddr) {
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            osier::spawn(move || {
                let mut stream = TcpStream::connect(address).unwrap();
                let mut text = [0; 5];
                for _ in 0..2 {
                    stream.write_all(b"hello").unwrap();
                    stream.read_exact(&mut text).unwrap();
                    assert_eq!(&text, b"hello");
                }
            })
        })
        .collect();
    let start = Instant::now();
    for client in clients {
        client.join().unwrap();
    }
    assert!(start.elapsed() >= 2 * DELAY);
    assert!(start.elapsed() < 20 * DELAY, "they waited for each other: {:?}", start.elapsed());
}

#[test]
fn tokio_is_as_ever() {
    osier::patch::all();
    // On another OS thread.
    let (told, address) = mpsc::channel();
    let (end, ends) = tokio::sync::oneshot::channel();
    let server = std::thread::spawn(move || runtime().block_on(serve(told, ends)));
    let address = address.recv().unwrap();
    osier::run(|| ask(address));
    end.send(()).unwrap();
    assert_eq!(server.join().unwrap(), 2 * CLIENTS);

    // On a green thread beside its clients: the loop's own wait is what parks.
    osier::run(|| {
        let (told, address) = mpsc::channel();
        let (end, ends) = tokio::sync::oneshot::channel();
        let server = osier::spawn(move || runtime().block_on(serve(told, ends)));
        let address = loop {
            match address.try_recv() {
                Ok(address) => break address,
                Err(_) => osier::yield_now(),
            }
        };
        ask(address);
        end.send(()).unwrap();
        assert_eq!(server.join().unwrap(), 2 * CLIENTS);
    });
}

const LISTENER: Token = Token(0);
const END: Token = Token(1);
const FIRST_GUEST: usize = 2;

/// What `serve` does, with mio alone: nonblocking sockets, a poll with a deadline, and a waker from elsewhere.
fn serve_with_mio(told: mpsc::Sender<(SocketAddr, Waker)>) -> usize {
    let mut poll = Poll::new().unwrap();
    let mut listener = TcpListener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE).unwrap();
    let waker = Waker::new(poll.registry(), END).unwrap();
    told.send((listener.local_addr().unwrap(), waker)).unwrap();

    let mut events = Events::with_capacity(64);
    let mut guests: HashMap<Token, (MioStream, usize)> = HashMap::new();
    let mut due: VecDeque<(Instant, Token)> = VecDeque::new();
    let (mut next, mut served) = (FIRST_GUEST, 0);
    loop {
        let until = due.front().map(|(at, _)| at.saturating_duration_since(Instant::now()));
        poll.poll(&mut events, until).unwrap();
        for event in &events {
            match event.token() {
                END => return served,
                LISTENER => {
                    // Until it would block, as edges demand; were it made to wait, this would be the end.
                    while let Ok((mut stream, _)) = listener.accept() {
                        let token = Token(next);
                        next += 1;
                        poll.registry().register(&mut stream, token, Interest::READABLE).unwrap();
                        guests.insert(token, (stream, 0));
                    }
                }
                token => {
                    let Some((stream, read)) = guests.get_mut(&token) else { continue };
                    let mut text = [0; 64];
                    let gone = loop {
                        match stream.read(&mut text) {
                            Ok(0) => break true,
                            Ok(more) => *read += more,
                            Err(error) => {
                                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                                break false;
                            }
                        }
                    };
                    while *read >= 5 {
                        *read -= 5;
                        due.push_back((Instant::now() + DELAY, token));
                    }
                    if gone {
                        guests.remove(&token);
                    }
                }
            }
        }
        while let Some(&(at, token)) = due.front()
            && at <= Instant::now()
        {
            due.pop_front();
            if let Some((stream, _)) = guests.get_mut(&token) {
                stream.write_all(b"hello").unwrap();
                served += 1;
            }
        }
    }
}

#[test]
fn mio_is_as_ever() {
    osier::patch::all();
    // On another OS thread.
    let (told, address) = mpsc::channel();
    let server = std::thread::spawn(move || serve_with_mio(told));
    let (address, waker) = address.recv().unwrap();
    osier::run(|| ask(address));
    waker.wake().unwrap();
    assert_eq!(server.join().unwrap(), 2 * CLIENTS);

    // On a green thread beside its clients.
    osier::run(|| {
        let (told, address) = mpsc::channel();
        let server = osier::spawn(move || serve_with_mio(told));
        osier::yield_now();
        let (address, waker) = address.try_recv().expect("it has told before its first wait");
        ask(address);
        waker.wake().unwrap();
        assert_eq!(server.join().unwrap(), 2 * CLIENTS);
    });
}
