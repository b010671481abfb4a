//! Deadlocks in std's locks, in a process with one OS thread: that of `main`, since this file has no test harness. Each case runs
//! in a process of its own.

use std::io::Write;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier, Condvar, Mutex};
use std::time::Duration;

/// Its name, what its process does, and what must have become of that.
type Case = (&'static str, fn(), fn(&Output, &str));

const CASES: [Case; 10] = [
    ("an_os_thread_that_is_slow_to_sleep_hides_no_deadlock", || slow_to_sleep(1), assert_found_late),
    ("an_os_thread_that_is_slow_to_sleep_hides_none_of_two_workers", || slow_to_sleep(2), assert_found_late),
    ("an_unpark_during_the_look_is_heard", unparked_during_the_look, |output, report| {
        assert!(output.status.success(), "{report}");
    }),
    ("a_lock_held_by_one_that_joins_its_waiter", held_by_one_that_joins, |output, report| {
        assert!(output.status.success(), "{report}");
    }),
    ("a_lock_taken_twice", taken_twice, |output, report| {
        assert!(!output.status.success(), "{report}");
        assert!(report.contains("deadlock: no green thread can run"), "{report}");
        assert!(report.contains("green thread 'greedy'"), "{report}");
        assert!(report.contains("waits for the futex at"), "{report}");
        assert!(report.contains("taken_twice"), "the stack is missing: {report}");
    }),
    ("two_locks_in_opposite_order_on_two_workers", opposite_order, |output, report| {
        assert!(!output.status.success(), "{report}");
        // Each function stands on the stack of one of the two.
        for part in ["green thread 'baker'", "green thread 'miller'", "first_flour", "first_bread"] {
            assert!(report.contains(part), "{part} is missing: {report}");
        }
    }),
    ("nobody_will_notify", nobody_will_notify, |output, report| {
        assert!(!output.status.success(), "{report}");
        assert!(report.contains("a kill does not end a wait for a lock of std or C"), "{report}");
        assert!(report.contains("nobody_will_notify"), "the stack is missing: {report}");
    }),
    ("a_child_that_patches_wakes_its_own", child_that_patches, |output, report| {
        assert!(output.status.success(), "{report}");
    }),
    ("libraries_are_not_told_that_there_is_one_thread", not_single_threaded, |output, report| {
        assert!(output.status.success(), "{report}");
    }),
    ("no_os_thread_for_the_stacks", taken_twice, |output, report| {
        assert!(!output.status.success(), "{report}");
        assert!(report.contains("deadlock: no green thread can run"), "{report}");
        assert!(report.contains("green thread 'greedy' (3): its stack cannot be told: "), "{report}");
    }),
];

fn main() {
    let case = std::env::args().nth(1);
    if let Some((_, case, _)) = CASES.iter().find(|(name, ..)| case.as_deref() == Some(name)) {
        osier::patch::all();
        return case();
    }
    // As the harness would: a word selects the cases that contain it.
    let wanted = std::env::args().skip(1).find(|argument| !argument.starts_with('-')).unwrap_or_default();
    for (name, _, check) in CASES.iter().filter(|(name, ..)| name.contains(&wanted)) {
        // A silent hang ends this test.
        let mut timed = Command::new("timeout");
        if *name == "no_os_thread_for_the_stacks" {
            // No OS thread of std's can be started: none has so much memory for its stack.
            timed.env("RUST_MIN_STACK", (1_u64 << 60).to_string());
        }
        let output = timed.arg("300").arg(std::env::current_exe().unwrap()).arg(name).output().unwrap();
        let report = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_ne!(output.status.code(), Some(124), "{name} hangs: {report}");
        check(&output, &report);
    }
}

/// The look at who waits takes longer the more there are: an OS thread that ends in the middle of it has given the token to main
/// before, and has woken nobody for that.
fn unparked_during_the_look() {
    let look = Duration::from_millis(50);
    for workers in [1, 2] {
        osier::Builder::new().workers(workers).build().unwrap().run(|| {
            let waiting: Vec<_> = (0..3000).map(|_| osier::spawn(osier::thread::park)).collect();
            for round in 0..40 {
                osier::yield_now();
                let is_woken = Arc::new(AtomicBool::new(false));
                let (theirs, me) = (is_woken.clone(), std::thread::current());
                std::thread::spawn(move || {
                    std::thread::sleep(look + Duration::from_micros(200 * round));
                    theirs.store(true, Ordering::Release);
                    me.unpark();
                });
                while !is_woken.load(Ordering::Acquire) {
                    std::thread::park();
                }
            }
            waiting.iter().for_each(osier::thread::JoinHandle::kill);
        });
    }
}

/// One that sleeps until somebody wakes it counts for nothing; if it was on its way to that at the first look, a later one finds it so.
fn slow_to_sleep(workers: usize) {
    let tells = |_: &osier::Deadlock| _ = writeln!(std::io::stderr(), "the hook is told");
    let builder = osier::Builder::new().workers(workers).on_stuck(tells);
    builder.build().unwrap().run(|| {
        std::thread::spawn(|| {
            std::thread::sleep(Duration::from_millis(600));
            loop {
                std::thread::park();
            }
        });
        loop {
            std::thread::park();
        }
    });
}

fn assert_found_late(output: &Output, report: &str) {
    assert!(!output.status.success(), "{report}");
    assert_eq!(report.matches("the hook is told").count(), 1, "{report}");
    assert!(report.contains("deadlock: no green thread can run"), "{report}");
}

fn held_by_one_that_joins() {
    let runtime = osier::Builder::new().build().unwrap();
    let deadlock = runtime
        .try_run(|| {
            let mutex = Arc::new(Mutex::new(()));
            let held = mutex.lock().unwrap();
            let theirs = mutex.clone();
            let hungry = osier::thread::Builder::new().name("hungry".into());
            let hungry = hungry.spawn(move || wait_for_the_lock(&theirs)).unwrap();
            let _ = join_with_the_lock(hungry);
            drop(held);
        })
        .unwrap_err();
    let text = deadlock.to_string();
    assert!(text.contains("green thread 'hungry'"), "{text}");
    assert!(text.contains("waits for the futex at"), "{text}");
    for function in ["wait_for_the_lock", "join_with_the_lock"] {
        assert!(text.contains(function), "the stack of {function} is missing: {text}");
    }
    // The one that joined has been unwound, which gave the lock to the other.
    assert_eq!(runtime.run(|| 42), 42);
}

#[inline(never)]
fn wait_for_the_lock(mutex: &Mutex<()>) {
    drop(mutex.lock());
}

#[inline(never)]
fn join_with_the_lock(thread: osier::thread::JoinHandle<()>) -> bool {
    thread.join().is_err()
}

fn taken_twice() {
    osier::run(|| {
        let greedy = osier::thread::Builder::new().name("greedy".into());
        let mutex = Mutex::new(());
        let taken = greedy.spawn(move || {
            let _first = mutex.lock().unwrap();
            let _second = mutex.lock().unwrap();
        });
        taken.unwrap().join().unwrap();
    });
}

fn opposite_order() {
    struct Mill {
        bread: Mutex<()>,
        flour: Mutex<()>,
        both: Barrier,
    }
    #[inline(never)]
    fn first_bread(mill: &Mill) {
        let bread = mill.bread.lock().unwrap();
        mill.both.wait();
        drop((mill.flour.lock(), bread));
    }
    #[inline(never)]
    fn first_flour(mill: &Mill) {
        let flour = mill.flour.lock().unwrap();
        mill.both.wait();
        drop((mill.bread.lock(), flour));
    }
    let runtime = osier::Builder::new().workers(2).build().unwrap();
    runtime.run(|| {
        let mill = Mill { bread: Mutex::new(()), flour: Mutex::new(()), both: Barrier::new(2) };
        let (mill, spawn) = (Arc::new(mill), |name: &str, worker, body: fn(&Mill), mill: Arc<Mill>| {
            let builder = osier::thread::Builder::new().name(name.into()).worker(worker);
            builder.spawn(move || body(&mill)).unwrap()
        });
        let baker = spawn("baker", 0, first_bread, mill.clone());
        let miller = spawn("miller", 1, first_flour, mill);
        baker.join().unwrap();
        miller.join().unwrap();
    });
}

fn nobody_will_notify() {
    let shared = Arc::new((Mutex::new(()), Condvar::new()));
    osier::run(|| {
        osier::spawn(move || drop(shared.1.wait(shared.0.lock().unwrap())));
        osier::yield_now();
    });
}

/// The parent's green threads wait for the same lock, and came first.
fn child_that_patches() {
    osier::run(|| {
        let mutex = Arc::new(Mutex::new(()));
        let mut held = Some(mutex.lock().unwrap());
        let wait = || {
            let theirs = mutex.clone();
            osier::spawn(move || wait_for_the_lock(&theirs))
        };
        let waiting = [wait(), wait()];
        osier::yield_now();
        let child = osier::multiprocess::Process::spawn(|| {
            osier::patch::all();
            let waits = wait();
            osier::yield_now();
            held.take();
            waits.join().unwrap();
        });
        assert!(child.unwrap().join().unwrap().success(), "the child's waiter was not woken");
        drop(held);
        waiting.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

/// C++'s library takes green threads for one that calls itself when it is told so.
fn not_single_threaded() {
    // SAFETY: a string that ends with a zero byte.
    let variable = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"__libc_single_threaded".as_ptr()) };
    assert_eq!(std::fs::read_dir("/proc/self/task").unwrap().count(), 1);
    // SAFETY: a `char` of glibc's, which has it since 2.32.
    assert!(variable.is_null() || unsafe { *variable.cast::<u8>() } == 0);
}
