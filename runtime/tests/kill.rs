//! Kills: where they end a green thread, where they do not, and that destructors run.

mod common;

use common::{LONG, Log, MILLI, OnDrop, check, in_child, leaves_nothing, text};
use osier::sync::Semaphore;
use osier::thread::Killed;
use osier::time::{Duration, timeout};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Kills a green thread that has come to the wait in `wait`, and checks that the wait ended there, and destructors ran.
fn wait_is_ended_by_a_kill(wait: impl FnOnce() + Send + 'static) {
    check(|| {
        let unwound = Arc::new(AtomicBool::new(false));
        let theirs = unwound.clone();
        let thread = osier::spawn(move || {
            let _unwound = OnDrop::new(move || theirs.store(true, Ordering::Relaxed));
            wait();
            panic!("the wait has ended without a kill");
        });
        for _ in 0..3 {
            osier::yield_now();
        }
        assert!(!thread.is_finished(), "it waits");
        thread.kill();
        assert!(!thread.is_finished(), "a kill does not switch");
        let payload = thread.join().unwrap_err();
        assert!(payload.is::<Killed>(), "{}", common::message(&*payload));
        assert!(unwound.load(Ordering::Relaxed));
    });
}

#[test]
fn ends_a_sleep() {
    wait_is_ended_by_a_kill(|| osier::sleep(LONG));
}

#[test]
fn ends_a_sleep_for_ever() {
    wait_is_ended_by_a_kill(|| osier::sleep(Duration::MAX));
}

#[test]
fn ends_a_park() {
    wait_is_ended_by_a_kill(osier::thread::park);
}

#[test]
fn ends_a_join() {
    wait_is_ended_by_a_kill(|| {
        osier::spawn(|| osier::sleep(LONG)).join().unwrap();
    });
}

#[test]
fn ends_the_wait_for_a_semaphore() {
    wait_is_ended_by_a_kill(|| drop(Semaphore::new(0).acquire()));
}

#[test]
fn ends_the_wait_for_an_offloaded_call() {
    let (release, wait) = std::sync::mpsc::channel::<()>();
    wait_is_ended_by_a_kill(move || {
        osier::offload(move || wait.recv().unwrap_err());
    });
    drop(release);
}

#[test]
fn ends_a_scope_with_all_its_threads() {
    wait_is_ended_by_a_kill(|| {
        let mut places = [0; 3];
        osier::thread::scope(|scope| {
            for place in &mut places {
                scope.spawn(|| {
                    let _fill = OnDrop::new(|| *place = 1);
                    osier::sleep(LONG);
                });
            }
        });
    });
}

#[test]
fn ends_a_loop_of_yields() {
    wait_is_ended_by_a_kill(|| {
        loop {
            osier::yield_now();
        }
    });
}

#[test]
fn ends_a_wait_under_a_timeout_and_the_timeout_lets_it_through() {
    wait_is_ended_by_a_kill(|| {
        let _ = timeout(LONG, || timeout(2 * LONG, || osier::sleep(LONG)));
    });
}

#[test]
fn ends_a_loop_that_never_waits_since_every_129th_call_yields() {
    check(|| {
        let free = Arc::new(Semaphore::new(1));
        let theirs = free.clone();
        let calls = Arc::new(AtomicUsize::new(0));
        let counted = calls.clone();
        let busy = osier::spawn(move || {
            loop {
                drop(theirs.acquire());
                counted.fetch_add(1, Ordering::Relaxed);
            }
        });
        osier::yield_now();
        busy.kill();
        assert!(busy.join().unwrap_err().is::<Killed>());
        assert_eq!(calls.load(Ordering::Relaxed), 128);
        assert_eq!(free.available_permits(), 1);
    });
}

#[test]
fn before_the_start_nothing_runs_and_what_was_captured_is_dropped() {
    check(|| {
        let log = Log::new();
        let (captured, body) = (log.clone(), log.clone());
        let captured = OnDrop::new(move || captured.add("dropped"));
        let thread = osier::spawn_local(move || {
            let _captured = captured;
            body.add("ran");
        });
        thread.kill();
        assert!(thread.join().unwrap_err().is::<Killed>());
        assert_eq!(log.take(), ["dropped"]);
    });
}

#[test]
fn before_the_start_destructors_of_what_was_captured_may_wait() {
    check(|| {
        // Each waits for the one after it: were they to wait one on top of the other, the first could never go on.
        let turns: Vec<_> = (0..4).map(|_| Arc::new(Semaphore::new(0))).collect();
        let log = Log::new();
        let threads: Vec<_> = (0..3)
            .map(|n| {
                let (own, next, log) = (turns[n].clone(), turns[n + 1].clone(), log.clone());
                let captured = OnDrop::new(move || {
                    next.acquire().forget();
                    osier::sleep(MILLI);
                    own.add_permits(1);
                    log.add(n);
                });
                osier::spawn_local(move || drop(captured))
            })
            .collect();
        threads.iter().for_each(|thread| thread.kill());
        osier::yield_now();
        turns[3].add_permits(1);
        for thread in threads {
            assert!(thread.join().unwrap_err().is::<Killed>());
        }
        assert_eq!(log.take(), [2, 1, 0]);
    });
}

#[test]
fn is_sticky_and_a_body_that_returns_all_the_same_has_returned() {
    check(|| {
        let thread = osier::spawn(|| {
            let mut swallowed = 0;
            for _ in 0..5 {
                let caught = catch_unwind(AssertUnwindSafe(|| osier::sleep(LONG)));
                swallowed += u32::from(caught.is_err());
            }
            swallowed += u32::from(catch_unwind(osier::yield_now).is_err());
            swallowed += u32::from(catch_unwind(osier::thread::park).is_err());
            swallowed
        });
        osier::yield_now();
        thread.kill();
        assert_eq!(thread.join().unwrap(), 7);
    });
}

#[test]
fn twice_or_after_the_end_is_harmless() {
    check(|| {
        let (unwound, go_on) = (Arc::new(AtomicUsize::new(0)), Arc::new(Semaphore::new(0)));
        let (theirs, may_go_on) = (unwound.clone(), go_on.clone());
        let thread = osier::spawn(move || {
            let _count = OnDrop::new(move || {
                theirs.fetch_add(1, Ordering::Relaxed);
                may_go_on.acquire().forget();
            });
            osier::sleep(LONG);
        });
        osier::yield_now();
        thread.kill();
        thread.kill();
        osier::yield_now();
        thread.kill();
        let thread = thread.join_timeout(Duration::ZERO).expect_err("its destructor waits");
        let thread = thread.join_timeout(MILLI).expect_err("and is not ended by the second kill");
        let watched = thread.thread().clone();
        go_on.add_permits(1);
        assert!(thread.join().unwrap_err().is::<Killed>());
        watched.unpark();
        assert_eq!(unwound.load(Ordering::Relaxed), 1);

        let returned = osier::spawn(|| 3);
        osier::yield_now();
        returned.kill();
        assert_eq!(returned.join().unwrap(), 3);
    });
}

#[test]
fn from_another_os_thread() {
    check(|| {
        let parked = Arc::new(osier::spawn(osier::thread::park));
        let yielding = Arc::new(osier::spawn(|| {
            loop {
                osier::yield_now();
            }
        }));
        let unstarted = Arc::new(osier::spawn(|| panic!("killed before it started")));
        osier::thread::Thread::unpark(&osier::thread::current());
        let victims = [parked.clone(), yielding.clone()];
        unstarted.kill();
        std::thread::spawn(move || victims.iter().for_each(|victim| victim.kill())).join().unwrap();
        for victim in [parked, yielding] {
            while !victim.is_finished() {
                osier::yield_now();
            }
            assert!(Arc::into_inner(victim).unwrap().join().unwrap_err().is::<Killed>());
        }
        let unstarted: osier::thread::JoinHandle<()> = Arc::into_inner(unstarted).unwrap();
        assert!(unstarted.join().unwrap_err().is::<Killed>());
    });
}

#[test]
fn of_the_running_one_takes_effect_at_its_next_wait() {
    check(|| {
        let log = Log::new();
        let slot = Arc::new(std::sync::Mutex::new(None::<osier::thread::JoinHandle<()>>));
        let (theirs, own) = (log.clone(), slot.clone());
        // Only its `Send` half is spawned through `spawn`, so the log goes through a local one beside it.
        let watcher = osier::spawn_local(move || {
            osier::thread::park();
            theirs.add("unparked");
        });
        let wake = watcher.thread().clone();
        let suicidal = osier::spawn(move || {
            own.lock().unwrap().as_ref().unwrap().kill();
            wake.unpark();
            osier::sleep(LONG);
            unreachable!("the sleep is ended");
        });
        *slot.lock().unwrap() = Some(suicidal);
        watcher.join().unwrap();
        let suicidal = slot.lock().unwrap().take().unwrap();
        assert!(suicidal.join().unwrap_err().is::<Killed>());
        assert_eq!(log.take(), ["unparked"]);
    });
}

#[test]
fn a_shield_postpones_it_to_the_first_wait_after() {
    check(|| {
        let log = Log::new();
        let theirs = log.clone();
        let thread = osier::spawn_local(move || {
            osier::shield(|| {
                osier::sleep(2 * MILLI);
                theirs.add("slept");
                osier::yield_now();
                osier::shield(|| osier::sleep(MILLI));
                theirs.add("still shielded");
            });
            theirs.add("left the shield");
            osier::sleep(LONG);
            theirs.add("never");
        });
        osier::yield_now();
        thread.kill();
        assert!(thread.join().unwrap_err().is::<Killed>());
        assert_eq!(log.take(), ["slept", "still shielded", "left the shield"]);
    });
}

#[test]
fn what_a_killed_thread_spawns_into_its_scope_is_killed_too() {
    check(|| {
        let owner = osier::spawn(|| {
            osier::thread::scope(|scope| {
                scope.spawn(move || {
                    let _spawns = OnDrop::new(|| {
                        scope.spawn(|| osier::sleep(LONG));
                    });
                    osier::sleep(LONG);
                });
            });
        });
        osier::yield_now();
        osier::yield_now();
        owner.kill();
        let joined = owner.join_timeout(common::PATIENCE).expect("no thread of the scope is left over");
        assert!(joined.unwrap_err().is::<Killed>());
    });
}

#[test]
fn of_one_thread_of_a_scope_does_not_make_the_scope_panic() {
    check(|| {
        let sum = osier::thread::scope(|scope| {
            let killed = scope.spawn(|| osier::sleep(LONG));
            let joined = scope.spawn(|| 5);
            osier::yield_now();
            killed.kill();
            joined.join().unwrap()
        });
        assert_eq!(sum, 5);
    });
}

#[test]
fn poisons_no_lock_of_those_who_hold_it_elsewhere() {
    check(|| {
        let lock = Arc::new(std::sync::Mutex::new(0));
        let theirs = lock.clone();
        let thread = osier::spawn(move || {
            let _waits = OnDrop::new(|| osier::sleep(2 * MILLI));
            osier::sleep(LONG);
            drop(theirs);
        });
        osier::yield_now();
        thread.kill();
        osier::yield_now();
        *lock.lock().unwrap() += 1;
        thread.join().unwrap_err();
        assert!(!lock.is_poisoned());
    });
}

#[test]
fn makes_no_noise() {
    let output = in_child("makes_no_noise", || {
        leaves_nothing(|| {
            osier::run(|| {
                let threads: Vec<_> = (0..3).map(|_| osier::spawn(|| osier::sleep(LONG))).collect();
                osier::yield_now();
                threads.iter().for_each(|thread| thread.kill());
                threads.into_iter().for_each(|thread| drop(thread.join().unwrap_err()));
                assert!(timeout(MILLI, || osier::sleep(LONG)).is_err());
                osier::spawn(osier::thread::park);
                osier::yield_now();
            });
        });
    });
    assert!(output.status.success(), "{output:?}");
    assert_eq!(text(&output.stderr), "", "nobody has panicked");
}
