//! Deadlocks in std's locks, in a process with one OS thread: that of `main`, since this file has no test harness. Each case runs
//! in a process of its own.

use std::process::{Command, Output};
use std::sync::{Arc, Condvar, Mutex};

/// Its name, what its process does, and what must have become of that.
type Case = (&'static str, fn(), fn(&Output, &str));

const CASES: [Case; 3] = [
    ("a_lock_held_by_one_that_joins_its_waiter", held_by_one_that_joins, |output, report| {
        assert!(output.status.success(), "{report}");
    }),
    ("a_lock_taken_twice", taken_twice, |output, report| {
        assert!(!output.status.success(), "{report}");
        assert!(report.contains("deadlock: no green thread can run"), "{report}");
        assert!(report.contains("green thread 'greedy'"), "{report}");
        assert!(report.contains("waits for the futex at"), "{report}");
    }),
    ("nobody_will_notify", nobody_will_notify, |output, report| {
        assert!(!output.status.success(), "{report}");
        assert!(report.contains("a kill does not end a wait for a lock of std or C"), "{report}");
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
        let output = timed.arg("30").arg(std::env::current_exe().unwrap()).arg(name).output().unwrap();
        let report = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_ne!(output.status.code(), Some(124), "{name} hangs: {report}");
        check(&output, &report);
    }
}

fn held_by_one_that_joins() {
    let runtime = osier::Builder::new().build().unwrap();
    let deadlock = runtime
        .try_run(|| {
            let mutex = Arc::new(Mutex::new(()));
            let held = mutex.lock().unwrap();
            let theirs = mutex.clone();
            let hungry = osier::thread::Builder::new().name("hungry".into());
            let hungry = hungry.spawn(move || drop(theirs.lock())).unwrap();
            let _ = hungry.join();
            drop(held);
        })
        .unwrap_err();
    let text = deadlock.to_string();
    assert!(text.contains("green thread 'hungry'"), "{text}");
    assert!(text.contains("waits for the futex at"), "{text}");
    // The one that joined has been unwound, which gave the lock to the other.
    assert_eq!(runtime.run(|| 42), 42);
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

fn nobody_will_notify() {
    let shared = Arc::new((Mutex::new(()), Condvar::new()));
    osier::run(|| {
        osier::spawn(move || drop(shared.1.wait(shared.0.lock().unwrap())));
        osier::yield_now();
    });
}
