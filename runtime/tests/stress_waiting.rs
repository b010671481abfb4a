//! Stress of semaphores, events and wait groups: no permit is lost or held twice, nobody misses an event, nobody goes too early.

mod common;
#[path = "common/stress.rs"]
mod stress;

use osier::sync::{Event, Semaphore, WaitGroup};
use osier::time::timeout;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use stress::{Round, stress};

#[test]
fn permits_are_neither_lost_nor_held_twice() {
    stress(|random| {
        let permits = random.of(1..4);
        let semaphore = Arc::new(Semaphore::new(permits));
        let held = Arc::new(AtomicUsize::new(0));
        let mut round = Round::new();
        for _ in 0..random.of(2..10) {
            let (semaphore, held) = (semaphore.clone(), held.clone());
            round.mortal(move |mut random| {
                /// Counts as held until it is dropped, which may be by a kill.
                struct Held<'a>(&'a AtomicUsize, usize);
                impl Drop for Held<'_> {
                    fn drop(&mut self) {
                        self.0.fetch_sub(self.1, Ordering::SeqCst);
                    }
                }
                for _ in 0..30 {
                    let wants = random.of(1..permits + 1);
                    random.dawdle();
                    let (permit, wants) = match random.of(0..4) {
                        0 => (semaphore.try_acquire(), 1),
                        1 => (semaphore.acquire_timeout(random.short()), 1),
                        2 => (timeout(random.short(), || semaphore.acquire_many(wants)).ok(), wants),
                        _ => (Some(semaphore.acquire_many(wants)), wants),
                    };
                    if let Some(_permit) = permit {
                        let before = held.fetch_add(wants, Ordering::SeqCst);
                        let _held = Held(&held, wants);
                        assert!(before + wants <= permits, "{before} and {wants} of {permits} are held");
                        random.dawdle();
                    }
                }
            });
        }
        round.check(move || {
            assert_eq!(held.load(Ordering::SeqCst), 0);
            assert_eq!(semaphore.available_permits(), permits);
            assert!(semaphore.try_acquire().is_some(), "nobody is left in the queue");
        });
        round
    });
}

/// The event is set and cleared at once, again and again, until all waits have ended.
#[test]
fn nobody_misses_an_event() {
    stress(|random| {
        let event = Arc::new(Event::new());
        let sets = Arc::new(AtomicUsize::new(0));
        let waiting = Arc::new(AtomicUsize::new(0));
        let mut round = Round::new();
        for _ in 0..random.of(1..8) {
            let (event, sets) = (event.clone(), sets.clone());
            let here = Here::new(&waiting);
            round.mortal(move |mut random| {
                let _here = here;
                for _ in 0..30 {
                    random.dawdle();
                    let woken = match random.of(0..3) {
                        0 => event.wait_timeout(random.short()),
                        1 => timeout(random.short(), || event.wait()).is_ok(),
                        _ => {
                            event.wait();
                            true
                        }
                    };
                    assert!(!woken || sets.load(Ordering::SeqCst) > 0, "woken by nobody");
                }
            });
        }
        round.actor(move |mut random| {
            while waiting.load(Ordering::SeqCst) > 0 {
                sets.fetch_add(1, Ordering::SeqCst);
                event.set();
                if random.one_in(2) {
                    random.dawdle();
                }
                event.clear();
                osier::sleep(random.short());
            }
        });
        round
    });
}

/// Counts as there until it is dropped.
struct Here(Arc<AtomicUsize>);

impl Here {
    fn new(count: &Arc<AtomicUsize>) -> Here {
        count.fetch_add(1, Ordering::SeqCst);
        Here(count.clone())
    }
}

impl Drop for Here {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[test]
fn a_wait_group_is_over_when_all_have_left() {
    stress(|random| {
        let group = WaitGroup::new();
        let members = Arc::new(AtomicUsize::new(0));
        let mut round = Round::new();
        for _ in 0..random.of(0..6) {
            // Dropped in this order, also if it is killed before it has started: it is gone before it leaves the group.
            let both = (Here::new(&members), group.clone());
            round.mortal(move |mut random| {
                let _both = both;
                (0..10).for_each(|_| random.dawdle());
            });
        }
        for _ in 0..random.of(1..5) {
            let (group, members) = (group.clone(), members.clone());
            round.mortal(move |mut random| {
                let mut group = group;
                loop {
                    random.dawdle();
                    if random.one_in(2) {
                        group.wait();
                        break;
                    }
                    match group.wait_timeout(random.short()) {
                        Ok(()) => break,
                        Err(again) => group = again,
                    }
                }
                assert_eq!(members.load(Ordering::SeqCst), 0, "some have not left");
            });
        }
        round
    });
}
