//! Deadlocks that several workers take part in, and traffic that is none.

mod common;

use common::{Log, MILLI, check_with};
use osier::sync::Semaphore;
use osier::thread::JoinHandle;
use osier::time::{Duration, Instant};
use osier::{Builder, Deadlock};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

type Handles = Arc<Mutex<Vec<Option<JoinHandle<()>>>>>;

fn two() -> Builder {
    Builder::new().workers(2)
}

/// Green threads on two workers that join each other in a circle, once all have been given their handles.
fn circle_across(runtime: &osier::Runtime, bystanders: u32) -> Result<(), Deadlock> {
    runtime.try_run(|| {
        let handles: Handles = Arc::default();
        let go = Arc::new(Semaphore::new(0));
        for n in 0..4 {
            let (handles, go, theirs) = (handles.clone(), go.clone(), handles.clone());
            let builder = osier::thread::Builder::new().worker(n % 2).name(format!("circle {n}"));
            let thread = builder.spawn(move || {
                go.acquire().forget();
                let next = theirs.lock().unwrap()[(n + 1) % 4].take().unwrap();
                next.join().unwrap();
            });
            handles.lock().unwrap().push(Some(thread.unwrap()));
        }
        for n in 0..bystanders {
            let builder = osier::thread::Builder::new().worker(n as usize % 2).name(format!("bystander {n}"));
            builder.spawn(osier::thread::park).unwrap();
        }
        go.add_permits(4);
        osier::thread::park();
    })
}

#[test]
fn a_circle_across_workers_is_found_and_lists_everybody() {
    check_with(two(), |runtime| {
        for bystanders in [0, 5] {
            let deadlock = circle_across(runtime, bystanders).unwrap_err();
            assert_eq!(deadlock.waiting().len(), 5 + bystanders as usize, "{deadlock}");
            let circle: Vec<_> = deadlock.circle().map(|waiting| waiting.name.clone().unwrap()).collect();
            let start = circle.iter().position(|name| name == "circle 0").unwrap();
            let in_order: Vec<_> = (0..4).map(|n| circle[(start + n) % 4].as_str()).collect();
            assert_eq!(in_order, ["circle 0", "circle 1", "circle 2", "circle 3"]);
        }
        assert_eq!(runtime.run(|| osier::spawn(|| 5).join().unwrap()), 5, "and the runtime goes on");
    });
}

/// The mutex is held on one worker, and wanted on the other.
#[test]
fn a_circle_of_locks_across_workers_is_found() {
    check_with(two(), |runtime| {
        let deadlock = runtime.try_run(|| {
            let locks = Arc::new([osier::sync::Mutex::new(()), osier::sync::Mutex::new(())]);
            let both = Arc::new(std::sync::Barrier::new(2));
            let threads: Vec<_> = (0..2)
                .map(|n| {
                    let (locks, both) = (locks.clone(), both.clone());
                    let builder = osier::thread::Builder::new().worker(n).name(format!("philosopher {n}"));
                    let thread = builder.spawn(move || {
                        let _left = locks[n].lock().unwrap();
                        both.wait();
                        let _right = locks[1 - n].lock().unwrap();
                    });
                    thread.unwrap()
                })
                .collect();
            threads.into_iter().for_each(|thread| drop(thread.join()));
        });
        let deadlock = deadlock.unwrap_err();
        assert_eq!(deadlock.circle().count(), 2, "{deadlock}");
        assert!(deadlock.to_string().contains("which green thread"), "{deadlock}");
    });
}

#[test]
fn the_wait_for_all_runs_into_one_too() {
    check_with(two().wait_all(true), |runtime| {
        let outcome = runtime.try_run(|| {
            let handles: Handles = Arc::default();
            let go = Arc::new(Semaphore::new(0));
            for n in 0..2 {
                let (handles, go, theirs) = (handles.clone(), go.clone(), handles.clone());
                let thread = osier::thread::Builder::new().worker(1).spawn(move || {
                    go.acquire().forget();
                    let other = theirs.lock().unwrap()[1 - n].take().unwrap();
                    other.join().unwrap();
                });
                handles.lock().unwrap().push(Some(thread.unwrap()));
            }
            go.add_permits(2);
        });
        assert_eq!(outcome.unwrap_err().circle().count(), 2);
    });
}

/// Other OS threads of the process could wake somebody: the hook is told, once each time, of everybody.
#[test]
fn while_others_could_wake_somebody_only_the_hook_is_told() {
    let told = Log::new();
    let (sender, stuck) = std::sync::mpsc::channel();
    let theirs = told.clone();
    let builder = two().on_stuck(move |deadlock| {
        theirs.add(deadlock.to_string());
        sender.send(()).unwrap();
    });
    check_with(builder, |runtime| {
        runtime.run(|| {
            let on_1 = osier::thread::Builder::new().worker(1).name("on the other".into());
            let thread = on_1.spawn(|| (0..2).for_each(|_| osier::thread::park())).unwrap();
            let theirs = thread.thread().clone();
            let os_thread = std::thread::spawn(move || {
                for _ in 0..2 {
                    stuck.recv().unwrap();
                    theirs.unpark();
                }
            });
            thread.join().unwrap();
            os_thread.join().unwrap();
        });
    });
    let told = told.take();
    assert_eq!(told.len(), 2, "once each time: {told:?}");
    assert!(told.iter().all(|told| told.contains("'main'") && told.contains("'on the other'")), "{told:?}");
}

/// Green threads that wake each other across workers all the time, so that each of the workers sleeps again and again.
#[test]
fn traffic_between_workers_is_no_deadlock() {
    for workers in [2, 3] {
        check_with(Builder::new().workers(workers).on_stuck(|stuck| panic!("{stuck}")), |runtime| {
            runtime.run(|| {
                let over = Arc::new(AtomicBool::new(false));
                let rounds = Arc::new(AtomicU64::new(0));
                let balls: Arc<Vec<_>> = Arc::new((0..workers).map(|_| Semaphore::new(0)).collect());
                let players: Vec<_> = (0..workers)
                    .map(|n| {
                        let (over, rounds, balls) = (over.clone(), rounds.clone(), balls.clone());
                        let player = osier::thread::Builder::new().worker(n).spawn(move || {
                            while !over.load(Ordering::Relaxed) {
                                balls[n].acquire().forget();
                                rounds.fetch_add(1, Ordering::Relaxed);
                                balls[(n + 1) % workers].add_permits(1);
                            }
                            // The ball may have come once more, unseen.
                            balls[(n + 1) % workers].add_permits(1);
                        });
                        player.unwrap()
                    })
                    .collect();
                balls[0].add_permits(1);
                // Keeps time with a sleep on a worker that has nobody else who waits for a time, and not all the while.
                let start = Instant::now();
                while start.elapsed() < Duration::from_millis(600) {
                    let before = rounds.load(Ordering::Relaxed);
                    while rounds.load(Ordering::Relaxed) < before + 1000 {
                        let player = players[1].thread().clone();
                        player.unpark();
                        osier::yield_now();
                    }
                }
                over.store(true, Ordering::Relaxed);
                players.into_iter().for_each(|player| player.join().unwrap());
            });
        });
    }
}

/// The same with an OS thread in between: whenever it has the ball nobody can run, for less than it takes to be looked into.
#[test]
fn traffic_with_an_os_thread_is_no_deadlock() {
    let given = Arc::new(Mutex::new(std::time::Instant::now()));
    let last = given.clone();
    // On a busy machine the OS thread may have it for longer: then it is looked into.
    let may_be_told = move || last.lock().unwrap().elapsed() >= 50 * MILLI;
    check_with(two().on_stuck(move |stuck| assert!(may_be_told(), "{stuck}")), |runtime| {
        runtime.run(|| {
            let (ours, theirs) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
            let (to_us, to_them) = (ours.clone(), theirs.clone());
            let os_thread = std::thread::spawn(move || {
                let start = std::time::Instant::now();
                let mut rounds = 0;
                while start.elapsed() < 600 * MILLI || rounds <= 100 {
                    theirs.acquire().forget();
                    to_us.add_permits(1);
                    rounds += 1;
                }
                rounds
            });
            let player = osier::thread::Builder::new().worker(1).spawn(move || {
                loop {
                    *given.lock().unwrap() = std::time::Instant::now();
                    to_them.add_permits(1);
                    ours.acquire().forget();
                }
            });
            let player = player.unwrap();
            let (done, is_done) = (Arc::new(Semaphore::new(0)), os_thread);
            let theirs = done.clone();
            let waiter = std::thread::spawn(move || {
                let rounds = is_done.join().unwrap();
                theirs.add_permits(1);
                rounds
            });
            done.acquire().forget();
            assert!(waiter.join().unwrap() > 100);
            player.kill();
            player.join().unwrap_err();
        });
    });
}
