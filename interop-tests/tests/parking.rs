//! parking_lot, which waits in a thread-local of the OS thread, and rayon, which does so too.

use parking_lot::Mutex;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

/// Green threads of one OS thread.
const THREADS: usize = 100;

/// Runs the named test in a process of its own, which does `body`; gives whether it has succeeded, and what it has said.
fn in_child(test: &str, body: fn()) -> (bool, String) {
    const CHILD: &str = "OSIER_TEST_CHILD";
    if std::env::var_os(CHILD).is_some() {
        body();
        std::process::exit(0);
    }
    // A silent hang ends the test.
    let mut command = Command::new("timeout");
    command.arg("60").arg(std::env::current_exe().unwrap()).args(["--exact", test, "--nocapture"]);
    let output = command.env(CHILD, "").output().unwrap();
    (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
}

fn each<T: 'static>(f: impl Fn(usize) -> T + Clone + 'static) -> Vec<T> {
    let threads: Vec<_> = (0..THREADS)
        .map(|number| {
            let f = f.clone();
            osier::spawn_local(move || f(number))
        })
        .collect();
    threads.into_iter().map(|thread| thread.join().unwrap()).collect()
}

/// A lock that is held across a wait.
fn increment(count: &Mutex<usize>) {
    let mut count = count.lock();
    let before = *count;
    std::thread::sleep(Duration::from_micros(200));
    *count = before + 1;
}

#[test]
fn several_that_wait_for_parking_lot_are_reported() {
    let (success, report) = in_child("several_that_wait_for_parking_lot_are_reported", || {
        osier::patch::all();
        osier::run(|| {
            let count = Arc::new(Mutex::new(0));
            each(move |_| increment(&count));
        });
    });
    assert!(!success, "{report}");
    for part in ["wait for the same word in a thread-local", "parking::increment"] {
        assert!(report.contains(part), "{part} is missing: {report}");
    }
}

/// parking_lot's locks as most use them, without a wait while they are held, by green threads and OS threads: nothing is to be said.
#[test]
fn locks_that_are_held_for_a_moment() {
    let (success, report) = in_child("locks_that_are_held_for_a_moment", || {
        osier::patch::all();
        let count = Arc::new(Mutex::new(0_usize));
        let others: Vec<_> = (0..2)
            .map(|_| {
                let count = count.clone();
                std::thread::spawn(move || (0..50_000).for_each(|_| *count.lock() += 1))
            })
            .collect();
        let theirs = count.clone();
        osier::run(|| {
            each(move |_| {
                for _ in 0..200 {
                    *theirs.lock() += 1;
                    osier::yield_now();
                }
            });
        });
        others.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(*count.lock(), 100_000 + 200 * THREADS);
    });
    assert!(success, "{report}");
}

#[test]
fn rayon_computes_for_one_after_the_other() {
    let (success, report) = in_child("rayon_computes_for_one_after_the_other", || {
        osier::patch::all();
        let pool = Arc::new(rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap());
        let sums = osier::run(|| {
            each(move |number| {
                let (left, right) = pool.install(|| rayon::join(|| (0..=number).sum::<usize>(), || number));
                left + right
            })
        });
        let expected = (0..THREADS).map(|number| number * (number + 1) / 2 + number);
        assert_eq!(sums, expected.collect::<Vec<_>>());
    });
    assert!(success, "{report}");
}
