//! Nobody starves: neither timers nor wake-ups from outside behind loops of yields, nor neighbours behind calls that succeed
//! at once.

mod common;

use common::{LONG, MILLI, check};
use osier::sync::Semaphore;
use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

/// Runs `body` beside so many green threads that do nothing but yield.
fn beside_loops_of_yields(count: usize, body: impl FnOnce()) {
    check(|| {
        for _ in 0..count {
            osier::spawn(|| {
                loop {
                    osier::yield_now();
                }
            });
        }
        body();
    });
}

#[test]
fn timers_go_on_beside_loops_of_yields() {
    for count in [1, 500] {
        beside_loops_of_yields(count, || {
            for _ in 0..5 {
                osier::sleep(MILLI);
            }
            assert!(osier::time::timeout(MILLI, osier::thread::park).is_err());
        });
    }
}

#[test]
fn wakes_from_other_os_threads_arrive_beside_loops_of_yields() {
    for count in [1, 500] {
        beside_loops_of_yields(count, || {
            let semaphore = Arc::new(Semaphore::new(0));
            let theirs = semaphore.clone();
            let me = osier::thread::current();
            let os_thread = std::thread::spawn(move || {
                theirs.add_permits(1);
                me.unpark();
            });
            semaphore.acquire().forget();
            osier::thread::park();
            assert_eq!(osier::offload(|| 7), 7);
            os_thread.join().unwrap();
        });
    }
}

/// `call` succeeds without waiting; a neighbour must run about once in 128 of them.
fn lets_a_neighbour_run(call: impl Fn() + 'static) {
    check(|| {
        let calls = Rc::new(Cell::new(0_u32));
        let (longest, counted) = (Rc::new(Cell::new(0)), calls.clone());
        let worst = longest.clone();
        let neighbour = osier::spawn_local(move || {
            let mut last = counted.get();
            loop {
                osier::yield_now();
                worst.set(worst.get().max(counted.get() - last));
                last = counted.get();
            }
        });
        let busy = osier::spawn_local(move || {
            for _ in 0..100_000 {
                call();
                calls.set(calls.get() + 1);
            }
        });
        busy.join().unwrap();
        neighbour.kill();
        assert!((1..=129).contains(&longest.get()), "{} calls in a row", longest.get());
    });
}

#[test]
fn permits_that_are_there_at_once() {
    let semaphore = Semaphore::new(1);
    lets_a_neighbour_run(move || drop(semaphore.acquire()));
}

#[test]
fn parks_that_return_at_once() {
    lets_a_neighbour_run(|| {
        osier::thread::current().unpark();
        osier::thread::park();
    });
}

#[test]
fn try_calls_never_switch() {
    check(|| {
        let ran = Rc::new(Cell::new(false));
        let theirs = ran.clone();
        let neighbour = osier::spawn_local(move || theirs.set(true));
        let semaphore = Semaphore::new(1);
        for _ in 0..10_000 {
            drop(semaphore.try_acquire().unwrap());
            assert!(!neighbour.is_finished());
        }
        assert!(!ran.get());
    });
}

/// They catch their kill and wait again, over and over: the end of the runtime can still say so.
#[test]
fn those_who_swallow_their_kill_keep_nobody_from_running() {
    check(|| {
        for wait in [osier::yield_now as fn(), || osier::sleep(LONG), || osier::thread::park()] {
            let stubborn = osier::spawn_local(move || {
                for _ in 0..1_000_000 {
                    if std::panic::catch_unwind(wait).is_ok() {
                        continue;
                    }
                    if STOP.get() {
                        return;
                    }
                }
                panic!("nobody else has run");
            });
            thread_local! {
                static STOP: Cell<bool> = const { Cell::new(false) };
            }
            STOP.set(false);
            osier::yield_now();
            stubborn.kill();
            for _ in 0..100 {
                osier::yield_now();
            }
            STOP.set(true);
            stubborn.join().unwrap();
        }
    });
}
