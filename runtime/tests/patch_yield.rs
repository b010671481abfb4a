//! `std::thread::yield_now` on green threads: it lets the others run where Rust code calls it, and answers as libc's.

mod patching;

use libc::c_int;
use osier::greenlet::{self, Greenlet};
use patching::{killed_on_spot, watchdog};
use std::cell::{Cell, RefCell};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

const BLOCKED: &str = "sched_yield by code that is not known to be Rust's";

unsafe extern "C" {
    fn thrd_yield();
}

fn blocked() -> u64 {
    osier::patch::report().blocking.iter().find(|(what, _)| *what == BLOCKED).unwrap().1
}

fn calls(name: &str) -> u64 {
    let shims = osier::patch::report().shims;
    shims.iter().find(|shim| shim.symbol.name() == name).unwrap().calls
}

/// Has a name of C's, and so is taken for C code.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn osier_test_yields_like_c(times: u32) -> u32 {
    let mut yielded = 0;
    for _ in 0..times {
        // In the function itself: a closure would have a name of Rust's.
        // SAFETY: no arguments.
        yielded += u32::from(unsafe { libc::sched_yield() } == 0);
    }
    yielded
}

/// As crates do that wait for a short time.
struct Backoff(Cell<u32>);

impl Backoff {
    #[inline]
    fn snooze(&self) {
        if self.0.get() < 7 {
            (0..1 << self.0.get()).for_each(|_| std::hint::spin_loop());
            self.0.set(self.0.get() + 1);
        } else {
            std::thread::yield_now();
        }
    }
}

/// A lock of which whoever waits for it yields.
#[derive(Default)]
struct SpinLock(AtomicBool);

impl SpinLock {
    fn lock(&self) {
        while self.0.swap(true, Ordering::Acquire) {
            std::thread::yield_now();
        }
    }

    fn unlock(&self) {
        self.0.store(false, Ordering::Release);
    }
}

/// Loops until a neighbour, which has not begun, has done something: each kind of loop.
fn each_loop_lets_the_neighbour_run() {
    type Loop = (&'static str, fn(&AtomicBool));
    let loops: [Loop; 6] = [
        ("yield_now", |done| {
            while !done.load(Ordering::Acquire) {
                std::thread::yield_now();
            }
        }),
        ("yield_now by a pointer", |done| {
            let yields: fn() = std::hint::black_box(std::thread::yield_now);
            while !done.load(Ordering::Acquire) {
                yields();
            }
        }),
        ("sched_yield", |done| {
            while !done.load(Ordering::Acquire) {
                // SAFETY: no arguments.
                assert_eq!(unsafe { libc::sched_yield() }, 0);
            }
        }),
        ("thrd_yield", |done| {
            while !done.load(Ordering::Acquire) {
                // SAFETY: no arguments.
                unsafe { thrd_yield() };
            }
        }),
        ("backoff", |done| {
            let backoff = Backoff(Cell::new(0));
            while !done.load(Ordering::Acquire) {
                backoff.snooze();
            }
        }),
        ("a C function's callback", |done| {
            extern "C" fn compare(_: *const libc::c_void, _: *const libc::c_void) -> c_int {
                std::thread::yield_now();
                0
            }
            while !done.load(Ordering::Acquire) {
                let mut two = [1_u8, 2];
                // SAFETY: two bytes.
                unsafe { libc::qsort(two.as_mut_ptr().cast(), 2, 1, Some(compare)) };
            }
        }),
    ];
    for (name, wait) in loops {
        let done = Arc::new(AtomicBool::new(false));
        let theirs = done.clone();
        let neighbour = osier::spawn(move || theirs.store(true, Ordering::Release));
        wait(&done);
        assert!(neighbour.is_finished() || done.load(Ordering::Acquire), "{name}");
        neighbour.join().unwrap();
    }
}

/// They take turns, as with the crate's own.
fn yields_alternate() {
    let log = Rc::new(RefCell::new(String::new()));
    let writers = ["a", "b", "c"].map(|letter| {
        let log = log.clone();
        osier::spawn_local(move || {
            for _ in 0..3 {
                log.borrow_mut().push_str(letter);
                std::thread::yield_now();
            }
        })
    });
    writers.into_iter().for_each(|writer| writer.join().unwrap());
    assert_eq!(*log.borrow(), "abcabcabc");
}

fn a_spin_lock_is_handed_on() {
    let shared = Arc::new((SpinLock::default(), AtomicU32::new(0)));
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let shared = shared.clone();
            osier::spawn(move || {
                for _ in 0..10 {
                    shared.0.lock();
                    let before = shared.1.load(Ordering::Relaxed);
                    // With the lock, for which the others wait.
                    std::thread::yield_now();
                    shared.1.store(before + 1, Ordering::Relaxed);
                    shared.0.unlock();
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(shared.1.load(Ordering::Relaxed), 40);
}

/// A loop ends that waits for a timer, for a descriptor and for another OS thread.
fn what_comes_from_outside_is_seen() {
    let done = |body: Box<dyn FnOnce()>| {
        let done = Rc::new(Cell::new(false));
        let theirs = done.clone();
        let neighbour = osier::spawn_local(move || {
            body();
            theirs.set(true);
        });
        while !done.get() {
            std::thread::yield_now();
        }
        neighbour.join().unwrap();
    };
    done(Box::new(|| std::thread::sleep(Duration::from_millis(5))));
    let (mut one, mut other) = UnixStream::pair().unwrap();
    let writes = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(5));
        other.write_all(b"x").unwrap();
    });
    done(Box::new(move || one.read_exact(&mut [0]).unwrap()));
    writes.join().unwrap();

    let set = Arc::new(AtomicBool::new(false));
    let theirs = set.clone();
    let sets = std::thread::spawn(move || theirs.store(true, Ordering::Release));
    while !set.load(Ordering::Acquire) {
        std::thread::yield_now();
    }
    sets.join().unwrap();
}

fn one_that_is_to_end_lets_others_run() {
    killed_on_spot("yield_now", std::thread::yield_now);
    let outcome = osier::time::timeout(Duration::from_millis(1), || {
        let start = Instant::now();
        while start.elapsed() < Duration::from_millis(5) {
            std::thread::yield_now();
        }
        osier::yield_now();
    });
    assert!(outcome.is_err(), "the wait after it did not unwind");

    let stubborn = osier::spawn(|| (0..1000).for_each(|_| std::thread::yield_now()));
    osier::yield_now();
    stubborn.kill();
    for _ in 0..100 {
        osier::yield_now();
        assert!(!stubborn.is_finished(), "each of its yields lets others run");
    }
    stubborn.join().unwrap();

    // In a destructor, while its stack unwinds.
    struct Yields(Rc<Cell<u32>>);
    impl Drop for Yields {
        fn drop(&mut self) {
            std::thread::yield_now();
            self.0.set(self.0.get() + 1);
        }
    }
    let dropped = Rc::new(Cell::new(0));
    let yields = Yields(dropped.clone());
    let unwinds = osier::spawn_local(move || {
        let _yields = yields;
        osier::thread::park();
    });
    osier::yield_now();
    unwinds.kill();
    osier::yield_now();
    assert_eq!(dropped.get(), 0, "it yields before");
    assert!(unwinds.join().is_err());
    assert_eq!(dropped.get(), 1);
}

fn a_greenlet_on_top_lets_others_run() {
    let ran = Rc::new(Cell::new(false));
    let theirs = ran.clone();
    let neighbour = osier::spawn_local(move || theirs.set(true));
    greenlet::scope(|| {
        let inner = Greenlet::new(|()| std::thread::yield_now());
        inner.switch(()).unwrap();
    });
    assert!(ran.get());
    neighbour.join().unwrap();
}

const FOR_THE_HOOK: &str = "for the hook";

/// Whether a neighbour has run, and what the hook has seen of that after its yields.
static HAS_RUN: AtomicBool = AtomicBool::new(false);
static SEEN: AtomicBool = AtomicBool::new(true);

/// Before the first runtime: so it runs inside of the runtime's hook.
fn set_a_hook_that_yields() {
    let previous = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if info.payload().downcast_ref::<&str>() != Some(&FOR_THE_HOOK) {
            return previous(info);
        }
        (0..10).for_each(|_| std::thread::yield_now());
        SEEN.store(HAS_RUN.load(Ordering::SeqCst), Ordering::SeqCst);
    }));
}

/// As none of its waits does.
fn a_panic_hook_lets_nobody_run() {
    let neighbour = osier::spawn(|| HAS_RUN.store(true, Ordering::SeqCst));
    std::panic::catch_unwind(|| std::panic::panic_any(FOR_THE_HOOK)).unwrap_err();
    assert!(!SEEN.load(Ordering::SeqCst));
    neighbour.join().unwrap();
}

/// As C code would see it; and no neighbour runs.
fn c_code_does_what_it_does_without_us() {
    let before = blocked();
    let neighbour = osier::spawn(|| ());
    assert_eq!(osier_test_yields_like_c(100), 100);
    assert!(!neighbour.is_finished(), "C code let others run");
    assert_eq!(blocked(), before + 100);
    neighbour.join().unwrap();
}

fn errno_is_left_alone() {
    // SAFETY: this OS thread's own variable.
    unsafe { *libc::__errno_location() = libc::EXDEV };
    std::thread::yield_now();
    let neighbour = osier::spawn(|| {
        // SAFETY: this OS thread's own variable.
        unsafe { *libc::__errno_location() = libc::EPERM };
    });
    // SAFETY: this OS thread's own variable.
    unsafe { *libc::__errno_location() = libc::EXDEV };
    std::thread::yield_now();
    assert_eq!(std::io::Error::last_os_error().raw_os_error(), Some(libc::EXDEV));
    neighbour.join().unwrap();
}

#[test]
fn yields() {
    watchdog();
    set_a_hook_that_yields();
    osier::run(|| {
        let neighbour = osier::spawn(|| ());
        (0..100).for_each(|_| std::thread::yield_now());
        assert!(!neighbour.is_finished(), "the group is not active");
        neighbour.join().unwrap();
    });
    assert_eq!((calls("sched_yield"), blocked()), (0, 0));
    osier::patch::group(osier::patch::Group::Sleep);
    for workers in [1, 2] {
        let runtime = osier::Builder::new().workers(workers).build().unwrap();
        runtime.run(|| {
            a_spin_lock_is_handed_on();
            what_comes_from_outside_is_seen();
        });
    }
    osier::run(|| {
        each_loop_lets_the_neighbour_run();
        yields_alternate();
        one_that_is_to_end_lets_others_run();
        a_greenlet_on_top_lets_others_run();
        a_panic_hook_lets_nobody_run();
        errno_is_left_alone();
        assert_eq!(blocked(), 0);
        c_code_does_what_it_does_without_us();
    });
    assert!(calls("sched_yield") > 100 && calls("thrd_yield") > 0);

    // Elsewhere it is libc's.
    let (before, seen) = (calls("sched_yield"), blocked());
    // SAFETY: this OS thread's own variable.
    unsafe { *libc::__errno_location() = libc::EXDEV };
    // SAFETY: no arguments.
    assert_eq!(unsafe { libc::sched_yield() }, 0);
    assert_eq!(std::io::Error::last_os_error().raw_os_error(), Some(libc::EXDEV));
    assert_eq!(osier_test_yields_like_c(1), 1);
    let runtime = osier::Builder::new().build().unwrap();
    runtime.enter(|_| {
        let neighbour = osier::spawn(|| ());
        std::thread::yield_now();
        assert!(!neighbour.is_finished(), "beside the green threads too");
    });
    assert_eq!((calls("sched_yield"), blocked()), (before, seen));
}
