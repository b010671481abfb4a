//! Who is there: all green threads of a runtime, whatever they do and on whichever worker.

mod common;

use common::{LONG, MILLI, PATIENCE, check, check_with};
use osier::Builder;
use osier::sync::Event;
use osier::thread::{Killed, ThreadId, active_count, enumerate};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

fn ids() -> Vec<ThreadId> {
    enumerate().iter().map(osier::thread::Thread::id).collect()
}

#[test]
fn all_who_have_not_ended_are_there_once_the_oldest_first() {
    check(|| {
        let main = osier::thread::current().id();
        assert_eq!((ids(), active_count()), (vec![main], 1));
        let parked = osier::spawn(osier::thread::park);
        let sleeps = osier::spawn(|| osier::sleep(LONG));
        let ends = osier::spawn(|| ());
        osier::yield_now();
        let unstarted = osier::spawn(|| (ids(), active_count()));
        let there = vec![main, parked.thread().id(), sleeps.thread().id(), unstarted.thread().id()];
        assert_eq!((ids(), active_count()), (there.clone(), 4));
        assert!(ends.is_finished());
        sleeps.kill();
        // It has not run since, so it has not ended.
        assert_eq!(unstarted.join().unwrap(), (there, 4));
        assert!(sleeps.join().unwrap_err().is::<Killed>());
        parked.thread().unpark();
        parked.join().unwrap();
        assert_eq!((ids(), active_count()), (vec![main], 1));
    });
    assert_eq!((ids(), active_count()), (vec![], 0), "there is no runtime");
}

#[test]
fn green_threads_of_all_workers_are_there() {
    check_with(Builder::new().workers(3), |runtime| {
        runtime.run(|| {
            let started = Arc::new(Event::new());
            let threads: Vec<_> = (0..100)
                .map(|n| {
                    let started = started.clone();
                    let builder = osier::thread::Builder::new().worker(n % 3);
                    builder.spawn(move || {
                        if n % 2 == 0 {
                            started.wait();
                        }
                        osier::thread::park();
                    })
                })
                .map(Result::unwrap)
                .collect();
            started.set();
            let mut expected = vec![osier::thread::current().id()];
            expected.extend(threads.iter().map(|thread| thread.thread().id()));
            let check = |found: Vec<ThreadId>| {
                assert_eq!(found.len(), expected.len());
                assert!(expected.iter().all(|id| found.contains(id)));
            };
            check(ids());
            // Several ask at once, on different workers.
            let ask: Vec<_> = (0..3)
                .map(|worker| osier::thread::Builder::new().worker(worker).spawn(ids).unwrap())
                .collect();
            for thread in ask {
                let found = thread.join_timeout(LONG).unwrap().unwrap();
                assert!(expected.iter().all(|id| found.contains(id)));
            }
            assert_eq!(active_count(), 101);
        });
    });
}

#[test]
fn nobody_is_missed_who_is_taken_by_another_worker_meanwhile() {
    check_with(Builder::new().workers(3), |runtime| {
        runtime.run(|| {
            for _ in 0..200 {
                let threads: Vec<_> = (0..10).map(|_| osier::spawn(osier::thread::park)).collect();
                for _ in 0..3 {
                    let found = ids();
                    assert!(threads.iter().all(|thread| found.contains(&thread.thread().id())));
                }
                threads.iter().for_each(|thread| thread.thread().unpark());
                threads.into_iter().for_each(|thread| thread.join().unwrap());
            }
            assert_eq!(enumerate().len(), 1);
        });
    });
}

/// A neighbour goes on while one waits for a worker that computes, and a kill ends that wait.
#[test]
fn one_who_waits_for_a_busy_worker_lets_others_run_and_can_be_killed() {
    check_with(Builder::new().workers(2), |runtime| {
        runtime.run(|| {
            let (busy, over) = (Arc::new(Event::new()), Arc::new(AtomicBool::new(false)));
            let (theirs, ends) = (busy.clone(), over.clone());
            let computes = osier::thread::Builder::new().worker(1).spawn(move || {
                theirs.set();
                let start = std::time::Instant::now();
                while !ends.load(Ordering::SeqCst) {
                    assert!(start.elapsed() < PATIENCE);
                    std::hint::spin_loop();
                }
            });
            busy.wait();
            let asks = |_| osier::thread::Builder::new().worker(0).spawn(|| enumerate().len()).unwrap();
            let [first, second] = [(), ()].map(asks);
            // This one goes on.
            osier::sleep(MILLI);
            assert!(!first.is_finished() && !second.is_finished());
            first.kill();
            assert!(first.join().unwrap_err().is::<Killed>());
            over.store(true, Ordering::SeqCst);
            assert!(second.join().unwrap() >= 2);
            computes.unwrap().join().unwrap();
        });
    });
}
