//! A green thread that only uses std's channels in a loop, or yields like C code, and lets nobody run: it ends with a report. One that
//! computes does not.
#![expect(unsafe_code, reason = "forks")]

mod common;

use common::{in_child, text};
use std::hint::black_box;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

/// Each look is at a hundredth of this, and comes with a tick of the machine's.
const LIMIT: Duration = Duration::from_millis(1000);

/// What a child prints in which `body` runs in a runtime; it must end with a report, and not by itself.
fn reported(name: &str, body: fn()) -> String {
    let output = in_child(name, || {
        osier::patch::std_park_limit(Some(LIMIT));
        osier::patch::all();
        std::thread::spawn(|| {
            std::thread::sleep(Duration::from_secs(300));
            std::process::exit(101);
        });
        osier::run(body);
    });
    let report = text(&output.stderr);
    assert_ne!(output.status.code(), Some(101), "hangs: {report}");
    assert!(!output.status.success(), "{report}");
    report
}

#[test]
fn one_that_sends_until_its_neighbour_is_gone_is_reported() {
    let report = reported("one_that_sends_until_its_neighbour_is_gone_is_reported", || {
        let (sender, receiver) = channel();
        osier::spawn(move || receiver.recv());
        while sender.send(1).is_ok() {}
    });
    for part in ["green thread 'main'", "nothing but use std's channels", "3std4sync4mpmc", "4send"] {
        assert!(report.contains(part), "{part} is missing: {report}");
    }
}

#[test]
fn so_is_one_of_a_child_that_is_patched_again() {
    let report = reported("so_is_one_of_a_child_that_is_patched_again", || {
        // SAFETY: in the child the other OS threads hold nothing that is used there.
        let child = unsafe { libc::fork() };
        if child == 0 {
            osier::patch::all();
            osier::run(|| {
                let (sender, receiver) = channel();
                osier::spawn(move || receiver.recv());
                while sender.send(1).is_ok() {}
            });
        }
        let mut status = 0;
        // SAFETY: valid for a write.
        assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
        assert_eq!(libc::WTERMSIG(status), libc::SIGABRT);
        std::process::abort();
    });
    assert!(report.contains("nothing but use std's channels"), "{report}");
}

#[test]
fn one_that_asks_until_its_neighbour_answers_is_reported() {
    let report = reported("one_that_asks_until_its_neighbour_answers_is_reported", || {
        let (ask, asked) = channel();
        let (answer, answers) = channel::<i32>();
        let asks = osier::thread::Builder::new().name("asks".into()).spawn(move || {
            while answers.try_recv().is_err() {
                ask.send(()).unwrap();
            }
        });
        for () in asked {
            answer.send(1).unwrap();
        }
        asks.unwrap().join().unwrap();
    });
    assert!(report.contains("green thread 'asks'"), "{report}");
}

/// Has a name of C's, and so is taken for C code, whose yields let no green thread run.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn osier_test_yields_until(done: &AtomicBool) {
    while !done.load(Ordering::Acquire) {
        // SAFETY: no arguments.
        unsafe { libc::sched_yield() };
    }
}

#[test]
fn one_that_yields_like_c_until_its_neighbour_has_run_is_reported() {
    let report = reported("one_that_yields_like_c_until_its_neighbour_has_run_is_reported", || {
        let done = Arc::new(AtomicBool::new(false));
        let theirs = done.clone();
        osier::spawn(move || theirs.store(true, Ordering::Release));
        osier_test_yields_until(&done);
    });
    for part in ["green thread 'main'", "nothing but call `sched_yield`", "osier_test_yields_until"] {
        assert!(report.contains(part), "{part} is missing: {report}");
    }
}

#[test]
fn so_is_one_whose_neighbour_has_slept_long_enough() {
    let report = reported("so_is_one_whose_neighbour_has_slept_long_enough", || {
        let done = Arc::new(AtomicBool::new(false));
        let theirs = done.clone();
        osier::spawn(move || {
            std::thread::sleep(Duration::from_millis(1));
            theirs.store(true, Ordering::Release);
        });
        osier::yield_now();
        osier_test_yields_until(&done);
    });
    assert!(report.contains("osier_test_yields_until"), "{report}");
}

#[test]
fn so_is_one_whose_neighbour_has_something_to_read() {
    let report = reported("so_is_one_whose_neighbour_has_something_to_read", || {
        let done = Arc::new(AtomicBool::new(false));
        let theirs = done.clone();
        let (mut one, mut other) = UnixStream::pair().unwrap();
        osier::spawn(move || {
            one.read_exact(&mut [0]).unwrap();
            theirs.store(true, Ordering::Release);
        });
        osier::yield_now();
        other.write_all(b"x").unwrap();
        osier_test_yields_until(&done);
    });
    assert!(report.contains("osier_test_yields_until"), "{report}");
}

#[test]
fn who_yields_for_another_os_thread_or_starves_nobody_is_left_alone() {
    let output = in_child("who_yields_for_another_os_thread_or_starves_nobody_is_left_alone", || {
        osier::patch::std_park_limit(Some(LIMIT));
        osier::patch::all();
        let wait = || {
            let done = Arc::new(AtomicBool::new(false));
            let theirs = done.clone();
            let other = std::thread::spawn(move || {
                busy(|| ());
                busy(|| ());
                theirs.store(true, Ordering::Release);
            });
            osier_test_yields_until(&done);
            other.join().unwrap();
        };
        // Nobody else could run.
        osier::run(|| {
            let (_open, mut silent) = UnixStream::pair().unwrap();
            let reads = osier::spawn(move || silent.read(&mut [0]));
            let sleeps = osier::spawn(|| std::thread::sleep(Duration::from_secs(3600)));
            osier::yield_now();
            wait();
            reads.kill();
            sleeps.kill();
        });
        // One could, but an OS thread runs meanwhile, and that is who it waits for.
        osier::run(|| {
            let starves = osier::spawn(|| ());
            let done = Arc::new(AtomicBool::new(false));
            let (theirs, used) = (done.clone(), processor_time());
            let other = std::thread::spawn(move || {
                // On a machine that has much to do who yields uses little.
                let start = Instant::now();
                while used() < 2 * LIMIT && start.elapsed() < 10 * LIMIT {}
                theirs.store(true, Ordering::Release);
            });
            osier_test_yields_until(&done);
            assert!(!starves.is_finished());
            other.join().unwrap();
            starves.join().unwrap();
        });
        // Others can.
        osier::run(|| {
            let others = osier::spawn(|| {
                loop {
                    osier::yield_now();
                }
            });
            busy(std::thread::yield_now);
            others.kill();
        });
    });
    assert!(output.status.success(), "{}", text(&output.stderr));
}

/// Tells how much processor time this OS thread has used.
fn processor_time() -> impl Fn() -> Duration + Send {
    let mut clock = 0;
    // SAFETY: this OS thread; valid for a write.
    assert_eq!(unsafe { libc::pthread_getcpuclockid(libc::pthread_self(), &mut clock) }, 0);
    move || {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: valid for a write.
        assert_eq!(unsafe { libc::clock_gettime(clock, &mut time) }, 0);
        Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
    }
}

/// Goes on for twice the limit.
fn busy(mut step: impl FnMut()) {
    let start = Instant::now();
    while start.elapsed() < 2 * LIMIT {
        (0..1000).for_each(|_| step());
    }
}

#[test]
fn who_computes_or_starves_nobody_is_left_alone() {
    let output = in_child("who_computes_or_starves_nobody_is_left_alone", || {
        osier::patch::std_park_limit(Some(LIMIT));
        osier::patch::all();
        osier::run(|| {
            let (sender, receiver) = channel();
            // Nobody else could run.
            busy(|| {
                sender.send(1).unwrap();
                receiver.recv().unwrap();
            });
            // Others could, and it computes.
            let waits = osier::spawn(|| ());
            let mut number = 1_u64;
            busy(|| number = black_box(number.wrapping_mul(3)));
            assert!(!waits.is_finished());
            // As before, and now and then it sends.
            busy(|| number = black_box(number.wrapping_mul(3)));
            sender.send(1).unwrap();
            waits.join().unwrap();
            // It lets them run.
            let others = osier::spawn(|| {
                loop {
                    osier::yield_now();
                }
            });
            busy(|| {
                sender.send(1).unwrap();
                receiver.recv().unwrap();
                osier::yield_now();
            });
            others.kill();
        });
    });
    assert!(output.status.success(), "{}", text(&output.stderr));
}

#[test]
fn an_os_thread_that_ends_takes_its_timer_with_it() {
    let output = in_child("an_os_thread_that_ends_takes_its_timer_with_it", || {
        let timers = || {
            let timers = std::fs::read_to_string("/proc/self/timers").unwrap();
            timers.lines().filter(|line| line.starts_with("ID:")).count()
        };
        osier::patch::all();
        let runtime = osier::Builder::new().workers(3).build().unwrap();
        for _ in 0..20 {
            runtime.run(|| osier::spawn(|| ()).join().unwrap());
        }
        assert_eq!(timers(), 1, "that of this OS thread");
    });
    assert!(output.status.success(), "{}", text(&output.stderr));
}
