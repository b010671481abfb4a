//! Exits with 0 if unmodified std, and C code, is cooperative on green threads, in whichever way this program was linked.

use std::cell::{Cell, RefCell};
use std::ffi::c_int;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, ToSocketAddrs};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::{Arc, Barrier, Mutex};
use std::time::Duration;

fn main() -> ExitCode {
    osier::patch::all();
    let strays: Vec<_> = osier::patch::symbols().iter().filter(|symbol| !symbol.is_linked()).collect();
    if !strays.is_empty() {
        eprintln!("shared libraries get these from libc: {strays:?}");
        return ExitCode::FAILURE;
    }
    watchdog();
    // SAFETY: constants of calls.c.
    let (object, library) = unsafe { (&calls_of_object, &calls_of_library) };
    let checks: [(&str, &dyn Fn() -> bool); 9] = [
        ("sleep", &sleepers_take_turns),
        ("net", &|| matches!(both_ends_talk(), Ok(true))),
        ("locks", &locks_are_handed_on),
        ("dns", &names),
        ("yields", &yields),
        ("yields of an object of C", &|| lets_nobody_run(|times| (object.yield_often)(times))),
        ("yields of a shared library of C", &|| lets_nobody_run(|times| (library.yield_often)(times))),
        ("an object of C", &|| matches!(c_waits(object), Ok(true))),
        ("a shared library of C", &|| matches!(c_waits(library), Ok(true))),
    ];
    let mut all_passed = true;
    for (name, check) in checks {
        let passed = check();
        println!("{name}: {}", if passed { "cooperative" } else { "FAILS" });
        all_passed &= passed;
    }
    if all_passed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Most of the checks would never end were a call to block the OS thread.
fn watchdog() {
    std::thread::spawn(|| {
        std::thread::sleep(Duration::from_secs(60));
        eprintln!("the OS thread is blocked");
        std::process::exit(2);
    });
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

/// A server and a client of std's on one OS thread.
fn both_ends_talk() -> std::io::Result<bool> {
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

/// A mutex that the neighbour waits for, and a barrier (a mutex and a condition variable), at which it waits for us.
fn locks_are_handed_on() -> bool {
    osier::run(|| {
        let shared = Arc::new((Mutex::new(0), Barrier::new(2)));
        let Ok(mut count) = shared.0.lock() else { return false };
        let theirs = shared.clone();
        let neighbour = osier::spawn(move || {
            let seen = theirs.0.lock().map(|count| *count);
            theirs.1.wait();
            seen.ok()
        });
        osier::yield_now();
        *count = 1;
        drop(count);
        shared.1.wait();
        matches!(neighbour.join(), Ok(Some(1)))
    })
}

/// Rust code lets others run, unless the program has none of the names that it is known by.
fn yields() -> bool {
    let stds = |times| {
        (0..times).for_each(|_| std::thread::yield_now());
        1
    };
    if cfg!(stripped) { lets_nobody_run(stds) } else { yielders_take_turns() }
}

/// Each waits for the other, by yielding.
fn yielders_take_turns() -> bool {
    osier::run(|| {
        let turn = Rc::new(Cell::new(0));
        let theirs = turn.clone();
        let wait_for = |turn: &Cell<u32>, mine| {
            while turn.get() < mine {
                std::thread::yield_now();
            }
            turn.set(mine + 1);
        };
        let neighbour =
            osier::spawn_local(move || [0, 2, 4].iter().for_each(|mine| wait_for(&theirs, *mine)));
        [1, 3, 5].iter().for_each(|mine| wait_for(&turn, *mine));
        neighbour.join().is_ok() && turn.get() == 6
    })
}

/// What C code does when it yields, and what is taken for that.
fn lets_nobody_run(yield_often: impl FnOnce(c_int) -> c_int) -> bool {
    osier::run(|| {
        let neighbour = osier::spawn(|| ());
        yield_often(100) == 1 && !neighbour.is_finished()
    })
}

/// A name is looked up while a neighbour runs.
fn names() -> bool {
    osier::run(|| {
        let neighbour = osier::spawn(osier::yield_now);
        let found = ("localhost", 80).to_socket_addrs().is_ok_and(|mut found| found.next().is_some());
        found && neighbour.is_finished()
    })
}

/// Functions of calls.c. Each gives 1 if all went well.
#[repr(C)]
struct Calls {
    wait_for_input: extern "C" fn(c_int) -> c_int,
    receive_byte: extern "C" fn(c_int) -> c_int,
    receive_checked: extern "C" fn(c_int) -> c_int,
    lock: extern "C" fn(c_int) -> c_int,
    unlock: extern "C" fn(c_int) -> c_int,
    yield_often: extern "C" fn(c_int) -> c_int,
}

unsafe extern "C" {
    static calls_of_object: Calls;
    static calls_of_library: Calls;
}

/// A neighbour waits in C four times, while this one goes on.
fn c_waits(calls: &'static Calls) -> std::io::Result<bool> {
    osier::run(|| {
        let (mut ours, theirs) = UnixStream::pair()?;
        let done = Rc::new(Cell::new(0));
        if (calls.lock)(-1) != 1 {
            return Ok(false);
        }
        let counts = done.clone();
        let neighbour = osier::spawn_local(move || {
            let receives = [calls.receive_byte, calls.receive_checked];
            for call in receives.into_iter().chain([calls.wait_for_input, calls.lock, calls.unlock]) {
                if call(theirs.as_raw_fd()) == 1 {
                    counts.set(counts.get() + 1);
                }
            }
        });
        let is_waiting_after = |count| {
            while done.get() < count && !neighbour.is_finished() {
                osier::yield_now();
            }
            (0..10).for_each(|_| osier::yield_now());
            done.get() == count
        };
        let mut has_waited = true;
        for count in 0..3 {
            has_waited &= is_waiting_after(count);
            ours.write_all(b"1")?;
        }
        has_waited &= is_waiting_after(3);
        let unlocked = (calls.unlock)(-1) == 1;
        let ended = neighbour.join().is_ok() && done.get() == 5;
        Ok(has_waited && unlocked && ended)
    })
}
