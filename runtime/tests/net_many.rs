//! Ten thousand connections that talk at once, on one OS thread. One test, since descriptors and OS threads are the process's;
//! the clients run in a second process, which has descriptors of its own.
#![expect(unsafe_code, reason = "sets a resource limit")]

mod common;

use common::descriptors;
use osier::net::{TcpListener, TcpStream};
use osier::sync::Semaphore;
use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::sync::Arc;

const CONNECTIONS: usize = 10_000;
const ROUNDS: u64 = 3;

/// Names the server's port to the second process.
const PORT: &str = "OSIER_TEST_PORT";

/// Allows as many descriptors as it may, and says how many connections these are enough for.
fn room() -> usize {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is valid for the answer.
    assert_eq!(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) }, 0);
    limit.rlim_cur = limit.rlim_max;
    // SAFETY: `limit` is valid.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) }, 0);
    usize::try_from(limit.rlim_max).unwrap_or(usize::MAX).saturating_sub(100).min(CONNECTIONS)
}

fn clients(port: u16, connections: usize) {
    let connected = Arc::new(Semaphore::new(0));
    let may_talk = Arc::new(Semaphore::new(0));
    // More than the listener's backlog at once would only make the kernel try again seconds later.
    let may_connect = Arc::new(Semaphore::new(100));
    let clients: Vec<_> = (0..connections as u64)
        .map(|number| {
            let (connected, may_talk, may_connect) =
                (connected.clone(), may_talk.clone(), may_connect.clone());
            osier::spawn(move || {
                let permit = may_connect.acquire();
                let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
                drop(permit);
                connected.add_permits(1);
                may_talk.acquire().forget();
                for round in 0..ROUNDS {
                    let sent = (number << 8 | round).to_be_bytes();
                    stream.write_all(&sent).unwrap();
                    let mut got = [0; 8];
                    stream.read_exact(&mut got).unwrap();
                    assert_eq!(got, sent);
                }
            })
        })
        .collect();
    connected.acquire_many(connections).forget();
    may_talk.add_permits(connections);
    for client in clients {
        client.join().unwrap();
    }
}

#[test]
fn ten_thousand_connections_talk_at_once_on_one_os_thread() {
    let connections = room();
    if let Ok(port) = std::env::var(PORT) {
        return osier::run(|| clients(port.parse().unwrap(), connections));
    }
    let os_threads = || std::fs::read_dir("/proc/self/task").unwrap().count();
    let before = (os_threads(), descriptors());
    let status = osier::run(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .arg("--exact")
            .arg("ten_thousand_connections_talk_at_once_on_one_os_thread")
            .env(PORT, port.to_string())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let servers: Vec<_> = (0..connections)
            .map(|_| {
                let (mut stream, _) = listener.accept().unwrap();
                osier::spawn(move || {
                    let mut buf = [0; 64];
                    loop {
                        match stream.read(&mut buf).unwrap() {
                            0 => return,
                            count => stream.write_all(&buf[..count]).unwrap(),
                        }
                    }
                })
            })
            .collect();
        assert_eq!(os_threads(), before.0, "an OS thread was started");
        for server in servers {
            server.join().unwrap();
        }
        child.wait().unwrap()
    });
    assert!(status.success());
    assert_eq!((os_threads(), descriptors()), before);
}
