//! What a child has of a runtime when somebody calls libc's `fork` in it. No test harness, whose OS threads a child would be without;
//! each case runs in a process of its own.
#![expect(unsafe_code, reason = "forks")]

use osier::Builder;
use osier::net::{TcpListener, TcpStream};
use std::cell::RefCell;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;
use std::time::Duration;

const CASES: [(&str, fn()); 10] = [
    ("the_child_has_the_one_that_forked_and_nobody_else", nobody_else),
    ("the_child_ends_with_the_one_that_forked", ends),
    ("a_child_of_a_destructor_ends_with_that", destructors),
    ("a_child_of_a_report_runs_nobody", reports),
    ("the_child_may_have_a_runtime_of_its_own", a_runtime_of_its_own),
    ("what_the_child_closes_the_parent_still_waits_for", closes),
    ("a_child_of_a_foreign_loop_runs_nobody", foreign_loop),
    ("a_runtime_is_of_the_process_that_made_it", made_before),
    ("a_handle_is_of_no_use_in_the_child", handles),
    ("with_several_workers_too", several_workers),
];

fn main() {
    let case = std::env::args().nth(1);
    if let Some((_, case)) = CASES.iter().find(|(name, _)| case.as_deref() == Some(name)) {
        return case();
    }
    // As the harness would: a word selects the cases that contain it.
    let wanted = std::env::args().skip(1).find(|argument| !argument.starts_with('-')).unwrap_or_default();
    for (name, _) in CASES.iter().filter(|(name, _)| name.contains(&wanted)) {
        let mut timed = Command::new("timeout");
        let status = timed.arg("120").arg(std::env::current_exe().unwrap()).arg(name).status().unwrap();
        assert!(status.success(), "{name}: {status}");
    }
}

/// Forks; the child runs `f` and goes on from here if that returns, with `false`. In the parent, it must have ended so.
#[must_use = "the child goes on, too"]
fn parent_of(f: impl FnOnce(), expected: i32) -> bool {
    // SAFETY: the processes that do so have one OS thread, or the child makes system calls alone.
    let child = unsafe { libc::fork() };
    assert!(child >= 0);
    if child == 0 {
        f();
        return false;
    }
    let mut status = 0;
    // SAFETY: `status` is valid for a write.
    assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
    assert_eq!(status, expected);
    true
}

const DONE: i32 = 0;
const PANICKED: i32 = 101 << 8;

/// Writes a byte when it is dropped.
struct Tells(UnixStream);

impl Drop for Tells {
    fn drop(&mut self) {
        self.0.write_all(b"x").unwrap();
    }
}

fn nobody_else() {
    let (told, mut listens) = UnixStream::pair().unwrap();
    osier::run(|| {
        let tells = |told: &UnixStream| Tells(told.try_clone().unwrap());
        let parked = tells(&told);
        let parked = osier::spawn(move || {
            osier::thread::park();
            drop(parked);
        });
        osier::yield_now();
        let ready = tells(&told);
        let ready = osier::spawn(move || drop(ready));
        let calls = || {
            osier::yield_now();
            osier::sleep(Duration::from_millis(1));
            std::thread::sleep(Duration::from_millis(1));
            assert!(osier::time::timeout(Duration::from_millis(1), osier::thread::park).is_err());
            assert_eq!(*osier::sync::Mutex::new(5).lock().unwrap(), 5);
        };
        if !parent_of(calls, DONE) {
            return;
        }
        listens.set_nonblocking(true).unwrap();
        assert!(listens.read(&mut [0]).is_err(), "in the child somebody has run, or was unwound");
        // Here they go on.
        parked.thread().unpark();
        parked.join().unwrap();
        ready.join().unwrap();
        listens.read_exact(&mut [0; 2]).unwrap();
    });
}

fn ends() {
    osier::run(|| {
        let mut threads = Vec::new();
        threads.push(osier::spawn(|| _ = parent_of(|| (), DONE)));
        threads.push(osier::spawn(|| _ = parent_of(|| panic!("in the child"), PANICKED)));
        let builder = osier::thread::Builder::new().name("scoped".into());
        osier::thread::scope(|scope| {
            builder.spawn_scoped(scope, || _ = parent_of(|| (), DONE)).unwrap();
        });
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        let _ = parent_of(|| osier::process::exit(7), 7 << 8);
    });
    assert_eq!(osier::run(|| 1), 1);
}

/// What is dropped after the body has returned, or instead of running it.
fn destructors() {
    struct Forks;
    impl Drop for Forks {
        fn drop(&mut self) {
            let _ = parent_of(|| (), DONE);
        }
    }
    osier::local! {
        static LOCAL: RefCell<Option<Forks>> = const { RefCell::new(None) };
    }
    let (told, mut listens) = UnixStream::pair().unwrap();
    osier::run(|| {
        let forks = Forks;
        let killed = osier::spawn(move || drop(forks));
        killed.kill();
        drop(osier::spawn(|| Forks));
        let has_local = osier::spawn(|| LOCAL.set(Some(Forks)));
        let ready = Tells(told);
        let ready = osier::spawn(move || {
            (0..9).for_each(|_| osier::yield_now());
            drop(ready);
        });
        assert!(killed.join().is_err());
        has_local.join().unwrap();
        ready.join().unwrap();
    });
    let mut bytes = Vec::new();
    listens.read_to_end(&mut bytes).unwrap();
    assert_eq!(bytes, b"x", "in a child somebody has run");
}

/// Who reports is called in the middle of what the runtime does.
fn reports() {
    let (told, mut listens) = UnixStream::pair().unwrap();
    let builder = Builder::new().shutdown_grace(Duration::from_millis(1), |left| {
        assert_eq!(left.len(), 1);
        let _ = parent_of(|| (), DONE);
    });
    builder.build().unwrap().run(|| {
        let tells = Tells(told);
        osier::spawn(move || {
            osier::shield(|| osier::sleep(Duration::from_millis(50)));
            drop(tells);
        });
        osier::yield_now();
    });
    let mut bytes = Vec::new();
    listens.read_to_end(&mut bytes).unwrap();
    assert_eq!(bytes, b"x", "in the child somebody has run");
}

fn greet() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    osier::spawn(move || listener.accept().unwrap().0.write_all(b"hello").unwrap());
    let mut text = String::new();
    TcpStream::connect(address).unwrap().read_to_string(&mut text).unwrap();
    text
}

fn a_runtime_of_its_own() {
    osier::run(|| {
        let neighbour = osier::spawn(osier::thread::park);
        osier::yield_now();
        let runs = || {
            assert!(catch_unwind(|| osier::spawn(|| ())).is_err(), "there is none at first");
            assert_eq!(osier::run(greet), "hello");
            // Once more, and a fork in that.
            osier::run(|| _ = parent_of(|| assert_eq!(osier::run(greet), "hello"), DONE));
        };
        if parent_of(runs, DONE) {
            assert_eq!(greet(), "hello", "and the parent is as before");
            neighbour.thread().unpark();
            neighbour.join().unwrap();
        }
    });
}

fn closes() {
    osier::run(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let mut near = TcpStream::connect(address).unwrap();
        let mut far = listener.accept().unwrap().0;
        // One that has waited is known to the reactor.
        let reads = osier::spawn(move || {
            far.read_exact(&mut [0]).unwrap();
            far
        });
        osier::yield_now();
        near.write_all(b"1").unwrap();
        let far = reads.join().unwrap();
        let mut both = Some((near, far));
        if !parent_of(|| drop(both.take()), DONE) {
            return;
        }
        let (mut near, mut far) = both.take().unwrap();
        let waits = osier::spawn(move || far.read_exact(&mut [0]).unwrap());
        osier::yield_now();
        near.write_all(b"2").unwrap();
        osier::time::timeout(Duration::from_secs(10), || waits.join()).expect("it waits for ever").unwrap();
    });
}

fn foreign_loop() {
    let runtime = Builder::new().build().unwrap();
    runtime.enter(|driver| {
        let (told, mut listens) = UnixStream::pair().unwrap();
        let tells = Tells(told);
        let ready = osier::spawn(move || drop(tells));
        let turns = || {
            let refused = catch_unwind(AssertUnwindSafe(|| driver.turn(None)));
            assert!(refused.is_err());
            osier::sleep(Duration::from_millis(1));
        };
        if parent_of(turns, DONE) {
            listens.set_nonblocking(true).unwrap();
            assert!(listens.read(&mut [0]).is_err(), "it has run in the child, or was dropped there");
            ready.join().unwrap();
            listens.read_exact(&mut [0]).unwrap();
        }
    });
    let panics = catch_unwind(AssertUnwindSafe(|| {
        runtime.enter(|_| {
            let _ = parent_of(|| panic!("in the child"), PANICKED);
        });
    }));
    assert!(panics.is_ok());
}

fn made_before() {
    let runtime = Builder::new().build().unwrap();
    let refused = || {
        let refused = catch_unwind(AssertUnwindSafe(|| runtime.run(|| ()))).unwrap_err();
        let why = refused.downcast_ref::<&str>().unwrap();
        std::process::exit(i32::from(!why.contains("the runtime is the parent process's")));
    };
    if parent_of(refused, DONE) {
        assert_eq!(runtime.run(|| 2), 2);
    }
}

fn handles() {
    osier::run(|| {
        let parked = osier::spawn(osier::thread::park);
        osier::yield_now();
        let uses = || {
            // Neither reaches the parent's.
            parked.thread().unpark();
            parked.kill();
        };
        if !parent_of(uses, DONE) {
            return;
        }
        (0..3).for_each(|_| osier::yield_now());
        assert!(!parked.is_finished());
        parked.thread().unpark();
        parked.join().unwrap();
    });
}

/// What has several OS threads may only execute another program or exit in the child; a wait blocks there.
fn several_workers() {
    let runtime = Builder::new().workers(2).build().unwrap();
    runtime.run(|| {
        let fork_on = |worker: usize| {
            let forks = osier::thread::Builder::new().worker(worker).spawn(|| {
                if !parent_of(|| osier::sleep(Duration::from_millis(1)), DONE) {
                    return;
                }
                let executes = || {
                    let path = c"/bin/sh";
                    let arguments = [path.as_ptr(), c"-c".as_ptr(), c"exit 3".as_ptr(), std::ptr::null()];
                    // SAFETY: strings, and an array that ends with null.
                    unsafe { libc::execv(path.as_ptr(), arguments.as_ptr()) };
                };
                let _ = parent_of(executes, 3 << 8);
            });
            forks.unwrap().join().unwrap();
        };
        fork_on(0);
        fork_on(1);
    });
    assert_eq!(runtime.run(|| 3), 3);
}
