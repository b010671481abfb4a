//! The wait group: over when all members have left, however they do.

mod common;

use common::{LONG, MILLI, check, check_with};
use osier::Builder;
use osier::sync::WaitGroup;
use osier::time::{Duration, FakeClock, timeout};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

#[test]
fn it_is_over_when_the_last_member_leaves_however_it_does() {
    check(|| {
        let group = WaitGroup::new();
        assert_eq!(format!("{:?}", group.clone()), "WaitGroup { members: 2, .. }");
        let member = group.clone();
        let returns = osier::spawn(move || drop(member));
        let member = group.clone();
        let killed = osier::spawn(move || {
            let _member = member;
            osier::thread::park();
        });
        let member = group.clone();
        let never_starts = osier::spawn(move || drop(member));
        never_starts.kill();
        let waits = osier::spawn_local(move || group.wait());
        osier::yield_now();
        assert!(returns.is_finished() && !waits.is_finished());
        killed.kill();
        waits.join_timeout(LONG).unwrap().unwrap();
    });
    WaitGroup::new().wait();
}

#[test]
fn all_who_wait_are_woken_at_once() {
    check(|| {
        let group = WaitGroup::new();
        let waiting: Vec<_> = (0..5)
            .map(|_| {
                let group = group.clone();
                osier::spawn(move || group.wait())
            })
            .collect();
        osier::yield_now();
        assert!(waiting.iter().all(|thread| !thread.is_finished()));
        drop(group);
        waiting.into_iter().for_each(|thread| thread.join_timeout(LONG).unwrap().unwrap());
    });
}

#[test]
fn one_who_is_late_is_a_member_again_and_one_who_is_killed_is_not() {
    const SECOND: Duration = Duration::from_secs(1);
    check_with(Builder::new().clock(FakeClock::new()), |runtime| {
        runtime.run(|| {
            let group = WaitGroup::new();
            let member = group.clone();
            let group = group.wait_timeout(SECOND).unwrap_err();
            let waits = osier::spawn_local(move || member.wait());
            osier::yield_now();
            assert!(!waits.is_finished(), "it is a member as before");
            drop(group);
            waits.join().unwrap();

            let group = WaitGroup::new();
            let theirs = group.clone();
            let killed = osier::spawn_local(move || theirs.wait());
            let theirs = group.clone();
            let late = osier::spawn_local(move || timeout(SECOND, || theirs.wait()).is_err());
            osier::yield_now();
            killed.kill();
            killed.join().unwrap_err();
            assert!(late.join().unwrap());
            group.wait_timeout(Duration::ZERO).unwrap();

            // Both deadlines pass at once, and the older one leaves before the other has run: that was in time.
            let group = WaitGroup::new();
            let member = group.clone();
            osier::spawn_local(move || {
                osier::sleep(SECOND);
                drop(member);
            });
            let late = osier::spawn_local(move || group.wait_timeout(SECOND));
            late.join().unwrap().unwrap();
        });
    });
}

#[test]
fn between_green_threads_of_two_runtimes_and_os_threads() {
    check(|| {
        for _ in 0..50 {
            let group = WaitGroup::new();
            let left = Arc::new(AtomicUsize::new(0));
            let leaves = |group: &WaitGroup| {
                let (member, left) = (group.clone(), left.clone());
                move || {
                    osier::yield_now();
                    left.fetch_add(1, Ordering::SeqCst);
                    drop(member);
                }
            };
            let (there, elsewhere, waits) = (leaves(&group), leaves(&group), group.clone());
            let os_threads = [
                std::thread::spawn(there),
                std::thread::spawn(move || osier::run(|| osier::spawn(elsewhere).join().unwrap())),
                std::thread::spawn(move || waits.wait()),
            ];
            osier::spawn(leaves(&group));
            group.wait();
            assert_eq!(left.load(Ordering::SeqCst), 3);
            for thread in os_threads {
                while !thread.is_finished() {
                    osier::sleep(MILLI / 10);
                }
                thread.join().unwrap();
            }
        }
    });
}
