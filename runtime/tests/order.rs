//! First in, first out: spawned, yielding and woken green threads run in the order in which they became ready.

mod common;

use common::{Log, check};
use osier::time::Duration;

#[test]
fn spawned_threads_run_in_the_order_of_their_spawn() {
    let order = check(|| {
        let log = Log::new();
        for n in 0..100 {
            let log = log.clone();
            osier::spawn_local(move || log.add(n));
        }
        osier::yield_now();
        log.take()
    });
    assert_eq!(order, (0..100).collect::<Vec<_>>());
}

#[test]
fn spawn_never_switches() {
    check(|| {
        let log = Log::new();
        let theirs = log.clone();
        let thread = osier::spawn_local(move || theirs.add("spawned"));
        log.add("spawner");
        assert!(!thread.is_finished());
        thread.join().unwrap();
        assert_eq!(log.take(), ["spawner", "spawned"]);
    });
}

#[test]
fn yields_take_turns() {
    let order = check(|| {
        let log = Log::new();
        let threads: Vec<_> = (0..3)
            .map(|n| {
                let log = log.clone();
                osier::spawn_local(move || {
                    for round in 0..3 {
                        log.add((round, n));
                        osier::yield_now();
                    }
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        log.take()
    });
    let expected: Vec<_> = (0..3).flat_map(|round| (0..3).map(move |n| (round, n))).collect();
    assert_eq!(order, expected);
}

#[test]
fn a_sleep_of_zero_yields_and_one_into_the_past_too() {
    check(|| {
        let log = Log::new();
        let theirs = log.clone();
        osier::spawn_local(move || theirs.add("first"));
        osier::sleep(Duration::ZERO);
        log.add("after sleep");
        let theirs = log.clone();
        osier::spawn_local(move || theirs.add("second"));
        osier::thread::sleep_until(osier::time::Instant::now());
        log.add("after sleep_until");
        assert_eq!(log.take(), ["first", "after sleep", "second", "after sleep_until"]);
    });
}

#[test]
fn those_who_are_woken_go_behind_those_who_are_ready() {
    check(|| {
        let log = Log::new();
        let parked = {
            let log = log.clone();
            osier::spawn_local(move || {
                osier::thread::park();
                log.add("woken");
            })
        };
        osier::yield_now();
        let theirs = log.clone();
        osier::spawn_local(move || theirs.add("ready"));
        parked.thread().unpark();
        parked.join().unwrap();
        assert_eq!(log.take(), ["ready", "woken"]);
    });
}

#[test]
fn on_an_os_thread_yield_sleep_and_park_do_as_std_does() {
    osier::yield_now();
    let start = std::time::Instant::now();
    osier::sleep(common::MILLI);
    osier::thread::park_timeout(common::MILLI);
    assert!(start.elapsed() >= 2 * common::MILLI);
    let me = osier::thread::current();
    let waker = std::thread::spawn(move || me.unpark());
    osier::thread::park();
    waker.join().unwrap();
}
