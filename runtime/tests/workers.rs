//! Several workers: closures that have not started go to who has nothing to do, green threads that have started stay.

mod common;

use common::{LONG, PATIENCE, check_with, in_child, message, panic_message, text};
use osier::thread::Killed;
use osier::time::{Duration, FakeClock, Instant, timeout};
use osier::{Builder, SeededRandom};
use std::cell::Cell;
use std::collections::HashSet;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Barrier};
use std::thread::ThreadId;

fn two() -> Builder {
    Builder::new().workers(2)
}

fn os_thread() -> ThreadId {
    std::thread::current().id()
}

/// Spins until `done`, as code that computes does: it does not let others of its worker run.
fn compute_until(done: impl Fn() -> bool) {
    let start = std::time::Instant::now();
    while !done() {
        assert!(start.elapsed() < PATIENCE, "nobody else comes to it");
        std::hint::spin_loop();
    }
}

#[test]
fn a_worker_that_computes_is_robbed_of_what_it_has_not_started() {
    for workers in [2, 3] {
        check_with(Builder::new().workers(workers), |runtime| {
            runtime.run(|| {
                let main = os_thread();
                for _ in 0..20 {
                    let done = Arc::new(AtomicUsize::new(0));
                    let threads: Vec<_> = (0..100)
                        .map(|_| {
                            let done = done.clone();
                            osier::spawn(move || {
                                done.fetch_add(1, Ordering::Relaxed);
                                os_thread()
                            })
                        })
                        .collect();
                    compute_until(|| done.load(Ordering::Relaxed) == 100);
                    for thread in threads {
                        assert_ne!(thread.join().unwrap(), main, "main's worker was computing");
                    }
                }
            });
        });
    }
}

/// Two bodies that wait for each other without letting go of their OS threads.
#[test]
fn two_workers_run_at_the_same_time() {
    check_with(two(), |runtime| {
        runtime.run(|| {
            let barrier = Arc::new(Barrier::new(2));
            let theirs = barrier.clone();
            let thread = osier::spawn(move || {
                theirs.wait();
            });
            barrier.wait();
            thread.join().unwrap();
        });
    });
}

#[test]
fn who_has_started_stays() {
    check_with(two(), |runtime| {
        runtime.run(|| {
            let threads: Vec<_> = (0..200)
                .map(|n: u64| {
                    osier::spawn(move || {
                        let here = os_thread();
                        let worker = osier::thread::worker();
                        // Not `Send`, and alive across each wait.
                        let counter = Rc::new(Cell::new(0));
                        for step in 0..20 {
                            let theirs = counter.clone();
                            let child = osier::spawn_local(move || {
                                theirs.set(theirs.get() + 1);
                                os_thread()
                            });
                            match (n + step) % 3 {
                                0 => osier::yield_now(),
                                1 => osier::sleep(Duration::from_micros(n * 7 % 100)),
                                _ => assert_eq!(osier::spawn(|| 5).join().unwrap(), 5),
                            }
                            assert_eq!(child.join().unwrap(), here, "what is local is not taken");
                            assert_eq!(os_thread(), here, "it has changed its OS thread");
                        }
                        assert_eq!(counter.get(), 20);
                        assert_eq!(osier::thread::worker(), worker);
                        here
                    })
                })
                .collect();
            for thread in threads {
                thread.join().unwrap();
            }
        });
    });
}

#[test]
fn a_named_worker_runs_it_and_nobody_else() {
    check_with(Builder::new().workers(3), |runtime| {
        let handle = runtime.handle();
        runtime.run(|| {
            assert_eq!(osier::thread::worker(), Some(0));
            let on = |index| osier::thread::Builder::new().worker(index);
            let mut os_threads = HashSet::new();
            for index in 0..3 {
                let spawned: Vec<_> = (0..50)
                    .map(|_| on(index).spawn(|| (osier::thread::worker(), os_thread())).unwrap())
                    .collect();
                let seen: HashSet<_> = spawned.into_iter().map(|thread| thread.join().unwrap()).collect();
                assert_eq!(seen.len(), 1);
                let (worker, os_thread) = seen.into_iter().next().unwrap();
                assert_eq!(worker, Some(index));
                os_threads.insert(os_thread);
            }
            assert_eq!(os_threads.len(), 3);
            // From one that is not the first, to another, and to itself.
            let from_1 = on(1).spawn(move || {
                let there = on(2).spawn(osier::thread::worker).unwrap().join().unwrap();
                let here = on(1).spawn_local(osier::thread::worker).unwrap().join().unwrap();
                (there, here)
            });
            assert_eq!(from_1.unwrap().join().unwrap(), (Some(2), Some(1)));
            let elsewhere = std::thread::spawn(move || {
                let thread = on(2).spawn_on(&handle, osier::thread::worker).unwrap();
                let refused = on(3).spawn_on(&handle, || ()).unwrap_err();
                (thread.join().unwrap(), refused.kind())
            });
            let elsewhere = osier::offload(|| elsewhere.join().unwrap());
            assert_eq!(elsewhere, (Some(2), std::io::ErrorKind::InvalidInput));
            let refused = on(3).spawn(|| ()).unwrap_err();
            assert_eq!(refused.kind(), std::io::ErrorKind::InvalidInput);
            assert_eq!(refused.to_string(), "there is no worker 3: the runtime has 3, counted from 0");
            let refused = on(1).spawn_local(|| ()).unwrap_err();
            assert_eq!(refused.kind(), std::io::ErrorKind::InvalidInput);
            let numbers = &[1, 2, 3];
            let sum = osier::thread::scope(|scope| {
                let threads =
                    (0..3).map(|index| on(index).spawn_scoped(scope, move || numbers[index]).unwrap());
                threads.collect::<Vec<_>>().into_iter().map(|thread| thread.join().unwrap()).sum::<i32>()
            });
            assert_eq!(sum, 6);
        });
        assert_eq!(osier::thread::worker(), None);
    });
}

#[test]
fn parks_joins_kills_and_timeouts_reach_across() {
    check_with(two(), |runtime| {
        runtime.run(|| {
            let on = |index| osier::thread::Builder::new().worker(index);
            for _ in 0..200 {
                let parked = on(1).spawn(osier::thread::park).unwrap();
                parked.thread().unpark();
                parked.join().unwrap();
                let killed = on(1).spawn(osier::thread::park).unwrap();
                killed.kill();
                assert!(killed.join().unwrap_err().is::<Killed>());
                let killed = on(1).spawn(osier::thread::park).unwrap();
                osier::yield_now();
                killed.kill();
                assert!(killed.join().unwrap_err().is::<Killed>());
            }
            let sleeper = on(1).spawn(|| osier::sleep(LONG)).unwrap();
            let sleeper = sleeper.join_timeout(Duration::from_millis(1)).unwrap_err();
            assert!(timeout(Duration::from_millis(1), || sleeper.join().unwrap()).is_err());
            let panicked = on(1).spawn(|| panic!("on worker 1")).unwrap().join().unwrap_err();
            assert_eq!(message(&*panicked), "on worker 1");
            // One that was taken is killed and joined as well.
            for _ in 0..200 {
                let thread = osier::spawn(osier::thread::park);
                thread.kill();
                assert!(thread.join().unwrap_err().is::<Killed>());
                let thread = osier::spawn(osier::thread::park);
                thread.thread().unpark();
                thread.join().unwrap();
            }
        });
    });
}

#[test]
fn one_that_was_killed_before_it_started_never_runs() {
    check_with(two(), |runtime| {
        runtime.run(|| {
            let ran = Arc::new(AtomicUsize::new(0));
            let dropped = Arc::new(());
            let threads: Vec<_> = (0..1000)
                .map(|_| {
                    let (ran, dropped) = (ran.clone(), dropped.clone());
                    // The killer races with a thief.
                    let thread = osier::spawn(move || {
                        osier::thread::park();
                        ran.fetch_add(1, Ordering::Relaxed);
                        drop(dropped);
                    });
                    thread.kill();
                    thread
                })
                .collect();
            for thread in threads {
                assert!(thread.join().unwrap_err().is::<Killed>());
            }
            assert_eq!(ran.load(Ordering::Relaxed), 0);
            assert_eq!(Arc::strong_count(&dropped), 1);
        });
    });
}

/// An OS thread spawns through a handle while the first worker computes and the second has nothing to do.
#[test]
fn what_comes_from_elsewhere_goes_to_whoever_has_time() {
    check_with(two(), |runtime| {
        let handle = runtime.handle();
        runtime.run(|| {
            for _ in 0..100 {
                let handle = handle.clone();
                let done = Arc::new(AtomicBool::new(false));
                let theirs = done.clone();
                let elsewhere = std::thread::spawn(move || {
                    handle.spawn(move || theirs.store(true, Ordering::Relaxed)).join().unwrap();
                });
                compute_until(|| done.load(Ordering::Relaxed));
                elsewhere.join().unwrap();
            }
        });
    });
}

#[test]
fn order_on_a_worker_is_first_in_first_out_among_those_that_are_not_taken() {
    check_with(two(), |runtime| {
        runtime.run(|| {
            // Worker 1 is kept from stealing.
            let release = Arc::new(AtomicBool::new(false));
            let theirs = release.clone();
            let (started, has_started) = mpsc::channel();
            let busy = osier::thread::Builder::new().worker(1).spawn(move || {
                started.send(()).unwrap();
                compute_until(|| theirs.load(Ordering::Relaxed));
            });
            has_started.recv().unwrap();
            let order = Arc::new(std::sync::Mutex::new(Vec::new()));
            let threads: Vec<_> = (0..100)
                .map(|n| {
                    let order = order.clone();
                    let body = move || order.lock().unwrap().push(n);
                    if n % 3 == 0 {
                        osier::thread::Builder::new().worker(0).spawn(body).unwrap()
                    } else {
                        osier::spawn(body)
                    }
                })
                .collect();
            threads.into_iter().for_each(|thread| thread.join().unwrap());
            assert_eq!(*order.lock().unwrap(), (0..100).collect::<Vec<_>>());
            release.store(true, Ordering::Relaxed);
            busy.unwrap().join().unwrap();
        });
    });
}

#[test]
fn a_runtime_is_used_again_and_ends_each_time() {
    check_with(two(), |runtime| {
        for round in 0..50 {
            let unwound = Arc::new(AtomicUsize::new(0));
            struct Counts(Arc<AtomicUsize>);
            impl Drop for Counts {
                fn drop(&mut self) {
                    osier::yield_now();
                    self.0.fetch_add(1, Ordering::Relaxed);
                }
            }
            let value = runtime.run(|| {
                for index in 0..2 {
                    for _ in 0..7 {
                        let counts = Counts(unwound.clone());
                        let builder = osier::thread::Builder::new().worker(index);
                        builder
                            .spawn(move || {
                                let _counts = counts;
                                osier::thread::park();
                            })
                            .unwrap();
                        let counts = Counts(unwound.clone());
                        osier::spawn(move || {
                            let _counts = counts;
                            osier::sleep(LONG);
                        });
                    }
                }
                round
            });
            assert_eq!(value, round);
            assert_eq!(unwound.load(Ordering::Relaxed), 28, "nothing outlives the call");
        }
    });
}

#[test]
fn the_end_waits_for_all_if_asked() {
    check_with(two().wait_all(true), |runtime| {
        for _ in 0..50 {
            let done = Arc::new(AtomicUsize::new(0));
            runtime.run(|| {
                for index in 0..2 {
                    let done = done.clone();
                    let builder = osier::thread::Builder::new().worker(index);
                    builder
                        .spawn(move || {
                            osier::yield_now();
                            osier::spawn(move || {
                                osier::sleep(Duration::from_micros(100));
                                done.fetch_add(1, Ordering::Relaxed);
                            });
                        })
                        .unwrap();
                }
            });
            assert_eq!(done.load(Ordering::Relaxed), 2);
        }
    });
}

#[test]
fn a_panic_in_main_is_rethrown_after_the_others_have_ended() {
    check_with(two(), |runtime| {
        let unwound = Arc::new(AtomicBool::new(false));
        let theirs = unwound.clone();
        let message = panic_message(|| {
            runtime.run(|| {
                let (started, has_started) = mpsc::channel();
                let builder = osier::thread::Builder::new().worker(1);
                builder
                    .spawn(move || {
                        let _unwound = common::OnDrop::new(|| theirs.store(true, Ordering::Relaxed));
                        started.send(()).unwrap();
                        osier::thread::park();
                    })
                    .unwrap();
                has_started.recv().unwrap();
                panic!("main");
            });
        });
        assert_eq!(message, "main");
        assert!(unwound.load(Ordering::Relaxed));
    });
}

#[test]
fn others_run_while_a_foreign_loop_drives_the_first() {
    check_with(two(), |runtime| {
        runtime.enter(|driver| {
            let done = Arc::new(AtomicBool::new(false));
            let theirs = done.clone();
            let thread = osier::spawn(move || theirs.store(true, Ordering::Relaxed));
            // Without a turn.
            compute_until(|| done.load(Ordering::Relaxed));
            let start = Instant::now();
            while !thread.is_finished() {
                driver.turn(Some(Duration::from_millis(1)));
                assert!(start.elapsed() < PATIENCE);
            }
            let local = osier::spawn_local(osier::thread::worker);
            assert_eq!(local.join().unwrap(), Some(0));
            let named = osier::thread::Builder::new().worker(1).spawn(|| {
                osier::sleep(Duration::from_millis(1));
                osier::thread::worker()
            });
            assert_eq!(named.unwrap().join().unwrap(), Some(1));
        });
    });
}

#[test]
fn a_turn_of_no_time_waits_for_no_other_worker_in_virtual_time() {
    check_with(two().clock(FakeClock::new()), |runtime| {
        runtime.enter(|driver| {
            let (computes, turned) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
            let (theirs, until) = (computes.clone(), turned.clone());
            let named = osier::thread::Builder::new().worker(1).spawn(move || {
                theirs.store(true, Ordering::Relaxed);
                compute_until(|| until.load(Ordering::Relaxed));
            });
            compute_until(|| computes.load(Ordering::Relaxed));
            driver.turn(Some(Duration::ZERO));
            osier::yield_now();
            turned.store(true, Ordering::Relaxed);
            named.unwrap().join().unwrap();
        });
    });
}

#[test]
fn settings_are_checked() {
    let error = Builder::new().workers(0).build().unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
    let error = two().policy(SeededRandom::new(1)).build().unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
    assert_eq!(error.to_string(), "one policy was given for 2 workers: `policies` gives each its own");
    check_with(two().policies(|worker| SeededRandom::new(worker as u64)), |runtime| {
        runtime.run(|| {
            let threads: Vec<_> = (0..1000).map(|n| osier::spawn(move || n)).collect();
            let sum: u32 = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
            assert_eq!(sum, 499_500);
        });
    });
}

#[test]
fn a_panic_on_another_worker_names_the_green_thread() {
    let output = in_child("a_panic_on_another_worker_names_the_green_thread", || {
        two().build().unwrap().run(|| {
            let builder = osier::thread::Builder::new().worker(1).name("miller".into());
            let _ = builder.spawn(|| panic!("no flour")).unwrap().join();
        });
    });
    assert!(output.status.success(), "{output:?}");
    let said = text(&output.stderr);
    assert!(said.contains("in green thread 'miller'") && said.contains("'osier-worker-1'"), "{said}");
}
