//! Locks of std's and of C that are waited for and that nobody can give back: the process ends with a report that says who waits for
//! what, on one worker and on two, while OS threads that are not the runtime's wait for each other, as those of the test harness do.

mod common;

use common::{in_child, text};
use osier::{Builder, Deadlock};
use std::cell::{RefCell, UnsafeCell};
use std::mem::MaybeUninit;
use std::os::unix::process::ExitStatusExt;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, RwLock};

const FUTEX: &str = "waits for the futex at";
const PTHREAD: &str = "waits for the pthread mutex at";
const BARRIER: &str = "waits for the pthread barrier at";

/// Runs `body` with everything patched.
fn run(workers: usize, body: fn()) -> Result<(), Deadlock> {
    osier::patch::all();
    Builder::new().workers(workers).build().unwrap().try_run(body)
}

/// Runs `body` in a process of its own, which must abort, and say of each of these who waits for what.
fn aborts(name: &str, workers: usize, body: fn(), says: &[(&str, &str)]) {
    let output = in_child(name, || {
        // A silent hang ends the process, by a signal: an OS thread that sleeps could bring something.
        // SAFETY: no pointers.
        unsafe { libc::alarm(300) };
        let ended = run(workers, body);
        panic!("it has come to an end: {ended:?}");
    });
    let said = text(&output.stderr);
    assert_eq!(output.status.signal(), Some(libc::SIGABRT), "{said}");
    for part in ["deadlock: no green thread can run", "a kill does not end a wait for a lock of std or C"] {
        assert!(said.contains(part), "{said}");
    }
    for (name, waits) in says {
        let line = said.lines().find(|line| line.contains(&format!("green thread '{name}'")));
        assert!(line.is_some_and(|line| line.contains(waits)), "{name}: {said}");
    }
}

/// A test on one worker and one on two.
macro_rules! aborts {
    ($($name:ident: $body:expr, $says:expr;)*) => {
        $(mod $name {
            use super::*;

            #[test]
            fn on_one_worker() {
                aborts(concat!(stringify!($name), "::on_one_worker"), 1, $body, &$says);
            }

            #[test]
            fn on_two_workers() {
                aborts(concat!(stringify!($name), "::on_two_workers"), 2, $body, &$says);
            }
        })*
    };
}

aborts! {
    a_mutex_locked_twice: locked_twice, [("main", FUTEX)];
    two_mutexes_crosswise: crosswise, [("main", FUTEX), ("second", FUTEX)];
    a_lock_to_write_while_it_is_read: read_and_written, [("main", FUTEX)];
    nobody_notifies: never_notified, [("main", FUTEX)];
    a_mutex_of_c_locked_twice: locked_twice_in_c, [("main", PTHREAD)];
    a_recursive_mutex_of_a_neighbour: recursive_in_c, [("second", PTHREAD)];
    a_lock_of_an_os_thread_that_is_parked: held_elsewhere, [("main", FUTEX)];
    a_barrier_of_c_for_one_more: one_too_few, [("main", BARRIER), ("second", BARRIER)];
    a_barrier_of_c_at_the_end: left_at_the_end, [("second", BARRIER)];
}

fn locked_twice() {
    let mutex = Mutex::new(());
    let _first = mutex.lock().unwrap();
    let _second = mutex.lock().unwrap();
}

fn spawn(body: impl FnOnce() + 'static) -> osier::thread::LocalJoinHandle<()> {
    osier::thread::Builder::new().name("second".into()).spawn_local(body).unwrap()
}

fn crosswise() {
    let one = Arc::new(Mutex::new(()));
    let other = Arc::new(Mutex::new(()));
    let held = one.lock().unwrap();
    let (first, second) = (one.clone(), other.clone());
    let thread = spawn(move || {
        let _held = second.lock().unwrap();
        let _never = first.lock().unwrap();
    });
    osier::yield_now();
    let _never = other.lock().unwrap();
    drop(held);
    thread.join().unwrap();
}

fn read_and_written() {
    let lock = RwLock::new(());
    let _read = lock.read().unwrap();
    let _written = lock.write().unwrap();
}

fn never_notified() {
    let (mutex, condvar) = (Mutex::new(()), Condvar::new());
    let _never = condvar.wait(mutex.lock().unwrap());
}

fn held_elsewhere() {
    let mutex = Arc::new(Mutex::new(()));
    let (theirs, has_it) = (mutex.clone(), Arc::new(AtomicBool::new(false)));
    let told = has_it.clone();
    std::thread::spawn(move || {
        let _held = theirs.lock().unwrap();
        told.store(true, Ordering::Release);
        loop {
            std::thread::park();
        }
    });
    while !has_it.load(Ordering::Acquire) {
        osier::yield_now();
    }
    let _never = mutex.lock().unwrap();
}

struct CMutex(UnsafeCell<MaybeUninit<libc::pthread_mutex_t>>);

impl CMutex {
    fn new(kind: i32) -> Rc<CMutex> {
        let mutex = Rc::new(CMutex(UnsafeCell::new(MaybeUninit::zeroed())));
        let mut attributes = MaybeUninit::uninit();
        // SAFETY: valid for a write.
        assert_eq!(unsafe { libc::pthread_mutexattr_init(attributes.as_mut_ptr()) }, 0);
        // SAFETY: made just now.
        assert_eq!(unsafe { libc::pthread_mutexattr_settype(attributes.as_mut_ptr(), kind) }, 0);
        // SAFETY: both are valid.
        assert_eq!(unsafe { libc::pthread_mutex_init(mutex.0.get().cast(), attributes.as_ptr()) }, 0);
        mutex
    }

    fn lock(&self) -> i32 {
        // SAFETY: it is valid.
        unsafe { libc::pthread_mutex_lock(self.0.get().cast()) }
    }
}

fn locked_twice_in_c() {
    let mutex = CMutex::new(libc::PTHREAD_MUTEX_NORMAL);
    assert_eq!(mutex.lock(), 0);
    mutex.lock();
}

/// libc would let the other one lock it.
fn recursive_in_c() {
    let mutex = CMutex::new(libc::PTHREAD_MUTEX_RECURSIVE);
    assert_eq!((mutex.lock(), mutex.lock()), (0, 0));
    let theirs = mutex.clone();
    spawn(move || assert_eq!(theirs.lock(), 0)).join().unwrap();
}

/// A wait at a barrier of C for so many.
fn barrier(count: u32) -> impl Fn() + Clone + 'static {
    let barrier = Box::leak(Box::new(UnsafeCell::new(MaybeUninit::<libc::pthread_barrier_t>::zeroed())));
    let barrier = &*barrier;
    // SAFETY: valid for a write.
    assert_eq!(unsafe { libc::pthread_barrier_init(barrier.get().cast(), std::ptr::null(), count) }, 0);
    // SAFETY: it is valid.
    move || assert!(unsafe { libc::pthread_barrier_wait(barrier.get().cast()) } <= 0)
}

fn one_too_few() {
    let wait = barrier(3);
    let second = spawn(wait.clone());
    wait();
    second.join().unwrap();
}

fn left_at_the_end() {
    spawn(barrier(2));
    osier::yield_now();
}

/// An OS thread that waits for something outside of the process could bring anything: then only the hook is told.
#[test]
fn while_an_os_thread_may_bring_something_the_hook_is_told() {
    let output = in_child("while_an_os_thread_may_bring_something_the_hook_is_told", || {
        // SAFETY: no pointers.
        unsafe { libc::alarm(300) };
        osier::patch::all();
        let (reader, writer) = std::io::pipe().unwrap();
        let shared = Arc::new((Mutex::new(false), Condvar::new()));
        let theirs = shared.clone();
        let os_thread = std::thread::spawn(move || {
            let mut reader = reader;
            std::io::Read::read_exact(&mut reader, &mut [0]).unwrap();
            *theirs.0.lock().unwrap() = true;
            theirs.1.notify_all();
        });
        let told = Rc::new(RefCell::new(Vec::new()));
        let report = told.clone();
        let builder = Builder::new().on_stuck(move |deadlock| {
            report.borrow_mut().push(deadlock.to_string());
            std::io::Write::write_all(&mut &writer, b"x").unwrap();
        });
        builder.build().unwrap().run(|| {
            let held = shared.1.wait_while(shared.0.lock().unwrap(), |is_told| !*is_told);
            assert!(*held.unwrap());
        });
        os_thread.join().unwrap();
        let told = told.take();
        assert!(told[0].contains("'main' (2) waits for the futex at"), "{told:?}");
    });
    assert!(output.status.success(), "{}", text(&output.stderr));
}
