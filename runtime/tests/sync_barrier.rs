//! The barrier: nobody goes on before all have come, and one that is killed has not come.

mod common;

use common::{MILLI, PATIENCE, check, check_with};
use osier::Builder;
use osier::sync::Barrier;
use osier::time::timeout;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

#[test]
fn all_go_on_when_the_last_has_come_while_a_neighbour_goes_on() {
    check(|| {
        let (barrier, came) = (Rc::new(Barrier::new(4)), Rc::new(AtomicUsize::new(0)));
        let rounds = Rc::new(AtomicUsize::new(0));
        let theirs = rounds.clone();
        let neighbour = osier::spawn_local(move || {
            loop {
                theirs.fetch_add(1, Ordering::Relaxed);
                osier::yield_now();
            }
        });
        let threads: Vec<_> = (0..4)
            .map(|n| {
                let (barrier, came) = (barrier.clone(), came.clone());
                osier::spawn_local(move || {
                    let mut led = 0;
                    for round in 1..=5 {
                        (0..n).for_each(|_| osier::yield_now());
                        came.fetch_add(1, Ordering::Relaxed);
                        led += usize::from(barrier.wait().is_leader());
                        assert!(came.load(Ordering::Relaxed) >= 4 * round, "one has not come");
                    }
                    led
                })
            })
            .collect();
        let led: usize = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
        assert_eq!(led, 5, "one leader each time");
        assert!(rounds.load(Ordering::Relaxed) > 5);
        neighbour.kill();
    });
}

#[test]
fn for_none_and_for_one_nobody_waits() {
    assert!(Barrier::new(0).wait().is_leader());
    assert!(Barrier::new(1).wait().is_leader());
}

#[test]
fn one_that_is_killed_or_late_has_not_come() {
    check(|| {
        let barrier = Rc::new(Barrier::new(2));
        let theirs = barrier.clone();
        let killed = osier::spawn_local(move || theirs.wait().is_leader());
        osier::yield_now();
        killed.kill();
        killed.join().unwrap_err();
        timeout(MILLI, || barrier.wait().is_leader()).unwrap_err();
        let theirs = barrier.clone();
        let first = osier::spawn_local(move || theirs.wait().is_leader());
        osier::yield_now();
        assert!(!first.is_finished(), "it goes on with one that has gone");
        assert!(barrier.wait().is_leader());
        assert!(!first.join_timeout(PATIENCE).unwrap().unwrap());
        // All have come, and one is killed before it can run: it has come, and is woken; the others go on.
        let theirs = barrier.clone();
        let killed = osier::spawn_local(move || {
            theirs.wait();
            osier::yield_now();
        });
        osier::yield_now();
        assert!(barrier.wait().is_leader());
        killed.kill();
        killed.join().unwrap_err();
        let theirs = barrier.clone();
        let other = osier::spawn_local(move || theirs.wait().is_leader());
        assert!(barrier.wait().is_leader() != other.join().unwrap());
    });
}

#[test]
fn it_is_written_as_std_writes_it() {
    let (ours, theirs) = (Barrier::new(1), std::sync::Barrier::new(1));
    assert_eq!(format!("{ours:?} {:?}", ours.wait()), format!("{theirs:?} {:?}", theirs.wait()));
}

#[test]
fn who_waits_at_it_is_named_in_a_report() {
    let (told, heard) = std::sync::mpsc::channel();
    let builder = Builder::new().on_stuck(move |stuck| told.send(stuck.to_string()).unwrap());
    check_with(builder, |runtime| {
        runtime.run(|| {
            let barrier = Arc::new(Barrier::new(2));
            let theirs = barrier.clone();
            let os_thread = std::thread::spawn(move || {
                let report = heard.recv().unwrap();
                theirs.wait();
                report
            });
            barrier.wait();
            let report = os_thread.join().unwrap();
            assert!(report.contains("waits for the others at the barrier at 0x"), "{report}");
        });
    });
}

#[test]
fn between_green_threads_of_two_runtimes_and_os_threads() {
    const MEMBERS: usize = 6;
    check(|| {
        let (barrier, came) = (Arc::new(Barrier::new(MEMBERS)), Arc::new(AtomicUsize::new(0)));
        let member = || {
            let (barrier, came) = (barrier.clone(), came.clone());
            move || {
                for round in 1..=100 {
                    came.fetch_add(1, Ordering::Relaxed);
                    barrier.wait();
                    assert!(came.load(Ordering::Relaxed) >= MEMBERS * round);
                }
            }
        };
        let there = [member(), member()];
        let os_threads = [
            std::thread::spawn(member()),
            std::thread::spawn(member()),
            std::thread::spawn(move || {
                osier::run(|| there.map(osier::spawn).map(|thread| thread.join().unwrap()));
            }),
        ];
        [osier::spawn(member()), osier::spawn(member())]
            .into_iter()
            .for_each(|thread| thread.join().unwrap());
        os_threads.into_iter().for_each(|thread| osier::offload(|| thread.join().unwrap()));
        assert_eq!(came.load(Ordering::Relaxed), MEMBERS * 100);
    });
}
