//! An echo server on the loopback device: one operation is a message of 64 bytes, there and back.
//!
//! The server has an OS thread of its own; the load is this OS thread, with plain blocking sockets, which writes one message on
//! each of its connections and then reads them all. So what is measured is the pair of both, alike for all contestants.

use super::{Contestant, Question};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;
use std::time::{Duration, Instant};

pub const QUESTION: Question = Question {
    name: "echo, 64 connections on loopback",
    unit: "message",
    operations: 64 * 30,
    contestants: &[
        Contestant { name: "osier", run: |operations| load(operations, osier) },
        Contestant { name: "may", run: |operations| load(operations, may) },
        Contestant { name: "tokio current-thread", run: |operations| load(operations, tokio) },
        Contestant { name: "OS threads", run: |operations| load(operations, os_threads) },
    ],
};

const CONNECTIONS: usize = 64;
const BYTES: usize = 64;

/// Where a server listens.
type Address = mpsc::Sender<SocketAddr>;

/// Serves so many connections until they are closed by their clients, having said where.
type Server = fn(Address);

fn load(operations: u64, server: Server) -> Duration {
    let (send, receive) = mpsc::channel();
    let server = std::thread::spawn(move || server(send));
    let address = receive.recv().expect("the server listens");
    let mut clients: Vec<_> = (0..CONNECTIONS)
        .map(|_| {
            let client = TcpStream::connect(address).expect("a connection");
            client.set_nodelay(true).expect("an option of every TCP socket");
            client
        })
        .collect();
    let rounds = operations.div_ceil(CONNECTIONS as u64);
    // The first shows that every connection has been accepted.
    round(&mut clients);
    let start = Instant::now();
    for _ in 0..rounds {
        round(&mut clients);
    }
    let took = start.elapsed();
    drop(clients);
    server.join().expect("the server ends with its clients");
    // For as many operations as were asked for, and not those of full rounds.
    took.mul_f64(operations as f64 / (rounds * CONNECTIONS as u64) as f64)
}

fn round(clients: &mut [TcpStream]) {
    let message = [7; BYTES];
    for client in &mut *clients {
        client.write_all(&message).expect("the server reads");
    }
    for client in clients {
        let mut echo = [0; BYTES];
        client.read_exact(&mut echo).expect("the server answers");
        assert_eq!(echo, message);
    }
}

/// Echoes until the client has gone.
fn serve(mut stream: impl Read + Write) {
    let mut buffer = [0; 1024];
    loop {
        let count = stream.read(&mut buffer).expect("the client is well behaved");
        if count == 0 {
            return;
        }
        stream.write_all(&buffer[..count]).expect("the client reads");
    }
}

fn osier(address: Address) {
    osier::run(|| {
        let listener = osier::net::TcpListener::bind("127.0.0.1:0").expect("a listener");
        address.send(listener.local_addr().expect("it is bound")).expect("the load waits");
        let serve = || {
            let (stream, _) = listener.accept().expect("a connection");
            stream.set_nodelay(true).expect("an option of every TCP socket");
            osier::spawn(move || serve(stream))
        };
        let connections: Vec<_> = (0..CONNECTIONS).map(|_| serve()).collect();
        connections.into_iter().for_each(|thread| thread.join().expect("it does not panic"));
    });
}

fn may(address: Address) {
    super::may();
    let server = move || {
        let listener = may::net::TcpListener::bind("127.0.0.1:0").expect("a listener");
        address.send(listener.local_addr().expect("it is bound")).expect("the load waits");
        let serve = || {
            let (stream, _) = listener.accept().expect("a connection");
            stream.set_nodelay(true).expect("an option of every TCP socket");
            // SAFETY: the body uses no thread-locals.
            unsafe { may::coroutine::spawn(move || serve(stream)) }
        };
        let connections: Vec<_> = (0..CONNECTIONS).map(|_| serve()).collect();
        connections.into_iter().for_each(|thread| thread.join().expect("it does not panic"));
    };
    // SAFETY: as above.
    unsafe { may::coroutine::spawn(server) }.join().expect("it does not panic");
}

fn tokio(address: Address) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    async fn serve(mut stream: tokio::net::TcpStream) {
        let mut buffer = [0; 1024];
        loop {
            let count = stream.read(&mut buffer).await.expect("the client is well behaved");
            if count == 0 {
                return;
            }
            stream.write_all(&buffer[..count]).await.expect("the client reads");
        }
    }
    super::tokio().block_on(async move {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a listener");
        address.send(listener.local_addr().expect("it is bound")).expect("the load waits");
        let mut connections = Vec::new();
        for _ in 0..CONNECTIONS {
            let (stream, _) = listener.accept().await.expect("a connection");
            stream.set_nodelay(true).expect("an option of every TCP socket");
            connections.push(tokio::spawn(serve(stream)));
        }
        for connection in connections {
            connection.await.expect("it does not panic");
        }
    });
}

fn os_threads(address: Address) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    address.send(listener.local_addr().expect("it is bound")).expect("the load waits");
    let serve = || {
        let (stream, _) = listener.accept().expect("a connection");
        stream.set_nodelay(true).expect("an option of every TCP socket");
        std::thread::spawn(move || serve(stream))
    };
    let connections: Vec<_> = (0..CONNECTIONS).map(|_| serve()).collect();
    connections.into_iter().for_each(|thread| thread.join().expect("it does not panic"));
}
