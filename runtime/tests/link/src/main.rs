//! Exits with 0 if unmodified std is cooperative on green threads, in whichever way this program was linked.

use std::cell::RefCell;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, ToSocketAddrs};
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

fn main() -> ExitCode {
    osier::patch::all();
    let strays: Vec<_> = osier::patch::symbols().iter().filter(|symbol| !symbol.is_linked()).collect();
    if !strays.is_empty() {
        eprintln!("shared libraries get these from libc: {strays:?}");
        return ExitCode::FAILURE;
    }
    let checks = [("sleep", sleepers_take_turns()), ("net", matches!(both_ends_talk(), Ok(true))), ("dns", names())];
    for (name, passed) in checks {
        println!("{name}: {}", if passed { "cooperative" } else { "BLOCKS" });
    }
    if checks.iter().all(|(_, passed)| *passed) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The one that sleeps longer begins first and ends last; were its sleep to block, the other would begin after it.
fn sleepers_take_turns() -> bool {
    let log = Rc::new(RefCell::new(Vec::new()));
    osier::run(|| {
        let sleeper = |name: &'static str, millis| {
            let log = log.clone();
            osier::thread::spawn_local(move || {
                log.borrow_mut().push((name, "begins"));
                std::thread::sleep(Duration::from_millis(millis));
                log.borrow_mut().push((name, "ends"));
            })
        };
        for handle in [sleeper("long", 50), sleeper("short", 1)] {
            let _ = handle.join();
        }
    });
    *log.borrow() == [("long", "begins"), ("short", "begins"), ("short", "ends"), ("long", "ends")]
}

/// A server and a client of std's on one OS thread. Were one of them to block it, this would never end: a watchdog ends it.
fn both_ends_talk() -> std::io::Result<bool> {
    std::thread::spawn(|| {
        std::thread::sleep(Duration::from_secs(60));
        eprintln!("std's sockets block the OS thread");
        std::process::exit(2);
    });
    osier::run(|| {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let server = osier::spawn(move || -> std::io::Result<()> {
            let (mut stream, _) = listener.accept()?;
            let mut text = [0; 5];
            stream.read_exact(&mut text)?;
            stream.write_all(&text)
        });
        let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(30))?;
        // The server waits in `read` by now.
        std::thread::sleep(Duration::from_millis(5));
        stream.write_all(b"hello")?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        Ok(matches!(server.join(), Ok(Ok(()))) && text == "hello")
    })
}

/// A name is looked up while a neighbour runs.
fn names() -> bool {
    osier::run(|| {
        let neighbour = osier::spawn(|| osier::yield_now());
        let found = ("localhost", 80).to_socket_addrs().is_ok_and(|mut found| found.next().is_some());
        found && neighbour.is_finished()
    })
}
