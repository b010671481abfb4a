//! Waits for a word in a thread-local, as parking_lot and rayon make them: one place for each OS thread.

mod common;
mod patching;

use common::{in_child, text};
use patching::watchdog;
use std::ptr::null;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use std::time::{Duration, Instant};

thread_local! {
    /// 1 while this OS thread is to wait.
    static WORD: AtomicU32 = const { AtomicU32::new(0) };
}

const MILLI: Duration = Duration::from_millis(1);

/// Where this OS thread waits; it is to be woken there from now on.
fn place() -> usize {
    WORD.with(|word| {
        word.store(1, Ordering::Relaxed);
        word.as_ptr().expose_provenance()
    })
}

fn futex(place: usize, operation: libc::c_int, value: u32, limit: *const libc::timespec) -> libc::c_long {
    // SAFETY: the place of an OS thread that lives; the time is null or valid.
    unsafe { libc::syscall(libc::SYS_futex, place, operation | libc::FUTEX_PRIVATE_FLAG, value, limit) }
}

fn word(place: usize) -> &'static AtomicU32 {
    // SAFETY: the place of an OS thread that lives.
    unsafe { &*std::ptr::with_exposed_provenance(place) }
}

/// Waits in this place.
fn wait(place: usize) {
    while word(place).load(Ordering::Acquire) == 1 {
        futex(place, libc::FUTEX_WAIT, 1, null());
    }
}

/// Ends the wait in this place.
fn wake(place: usize) {
    word(place).store(0, Ordering::Release);
    futex(place, libc::FUTEX_WAKE, 1, null());
}

#[test]
fn one_at_a_time_is_parked() {
    osier::patch::all();
    watchdog();
    osier::run(|| {
        for _ in 0..3 {
            let mine = place();
            let ends = osier::spawn(move || {
                osier::sleep(MILLI);
                wake(mine);
            });
            wait(mine);
            ends.join().unwrap();
        }
        let mine = place();
        let (start, limit) = (Instant::now(), libc::timespec { tv_sec: 0, tv_nsec: 2_000_000 });
        assert_eq!(futex(mine, libc::FUTEX_WAIT, 1, &limit), -1);
        assert_eq!(std::io::Error::last_os_error().raw_os_error(), Some(libc::ETIMEDOUT));
        assert!(start.elapsed() >= 2 * MILLI);
        assert_eq!(futex(mine, libc::FUTEX_WAIT, 0, null()), -1);
        assert_eq!(std::io::Error::last_os_error().raw_os_error(), Some(libc::EAGAIN));
    });
}

/// Work that runs on another OS thread, for several green threads: none comes to wait before the one before has gone on.
#[test]
fn several_wait_for_an_os_thread_that_runs() {
    osier::patch::all();
    watchdog();
    let (asked, done) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let (theirs, is_done) = (asked.clone(), done.clone());
    let pool = std::thread::spawn(move || {
        while !is_done.load(Ordering::Acquire) {
            let place = theirs.swap(0, Ordering::AcqRel);
            if place != 0 {
                let start = Instant::now();
                // Longer than is waited for one that does not run.
                while start.elapsed() < 70 * MILLI {
                    std::hint::spin_loop();
                }
                wake(place);
            }
        }
    });
    osier::run(|| {
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let asked = asked.clone();
                osier::spawn(move || {
                    let mine = place();
                    assert_eq!(asked.swap(mine, Ordering::AcqRel), 0, "the one before has gone on");
                    wait(mine);
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
    done.store(true, Ordering::Release);
    pool.join().unwrap();
}

/// A lock of std's that lies in a thread-local is one as any other: who has it across a wait lets several come.
#[test]
fn any_number_wait_for_a_lock_of_stds() {
    thread_local! {
        static MUTEX: Mutex<u32> = const { Mutex::new(0) };
        static RW_LOCK: RwLock<u32> = const { RwLock::new(0) };
    }
    osier::patch::all();
    watchdog();
    // An OS thread that has nothing to do with it.
    let done = Arc::new(AtomicBool::new(false));
    let is_done = done.clone();
    let runs = std::thread::spawn(move || {
        while !is_done.load(Ordering::Acquire) {
            std::hint::spin_loop();
        }
    });
    osier::run(|| {
        let all = |body: fn()| {
            let threads: Vec<_> = (0..4).map(|_| osier::spawn(body)).collect();
            threads.into_iter().for_each(|thread| thread.join().unwrap());
        };
        all(|| {
            MUTEX.with(|mutex| {
                let mut count = mutex.lock().unwrap();
                osier::sleep(MILLI);
                *count += 1;
            });
        });
        all(|| {
            RW_LOCK.with(|lock| {
                let mut count = lock.write().unwrap();
                osier::sleep(MILLI);
                *count += 1;
                drop(count);
                assert!(*lock.read().unwrap() > 0);
            });
        });
        let counts = (MUTEX.with(|mutex| *mutex.lock().unwrap()), RW_LOCK.with(|lock| *lock.read().unwrap()));
        assert_eq!(counts, (4, 4));
    });
    done.store(true, Ordering::Release);
    runs.join().unwrap();
}

#[test]
fn two_at_once_are_reported_with_both_stacks() {
    let output = in_child("two_at_once_are_reported_with_both_stacks", || {
        osier::patch::all();
        watchdog();
        osier::run(|| {
            let spawn =
                |name: &str, body: fn()| osier::thread::Builder::new().name(name.into()).spawn(body).unwrap();
            let first = spawn("baker", knead);
            let second = spawn("miller", grind);
            first.join().unwrap();
            second.join().unwrap();
        });
    });
    let report = text(&output.stderr);
    assert!(!output.status.success(), "{report}");
    assert_ne!(output.status.code(), Some(101), "hangs: {report}");
    for part in [
        "two green threads of one OS thread wait for the same word in a thread-local",
        "green thread 'baker'",
        "green thread 'miller'",
        "knead",
        "grind",
    ] {
        assert!(report.contains(part), "{part} is missing: {report}");
    }
}

#[inline(never)]
fn knead() {
    wait(place());
    // No tail call, so that it stands on the stack; and another number than below, so that the two are not made one.
    std::hint::black_box(1);
}

#[inline(never)]
fn grind() {
    wait(place());
    std::hint::black_box(2);
}
