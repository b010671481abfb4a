//! std's mutex and condition variable between green threads of two runtimes and OS threads.

mod common;
#[path = "common/stress.rs"]
mod stress;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, RwLock};
use stress::{Round, stress};

/// A bounded queue, with what has gone in and come out.
#[derive(Default)]
struct Queue {
    items: Mutex<VecDeque<u64>>,
    filled: Condvar,
    emptied: Condvar,
    total: AtomicU64,
}

const ROOM: usize = 2;

#[test]
fn nobody_waits_for_ever_and_nothing_is_lost() {
    osier::patch::all();
    stress(|random| {
        let mut round = Round::new();
        let queue = Arc::new(Queue::default());
        let lock = Arc::new(RwLock::new((0_u64, 0_u64)));
        let pairs = random.of(1..6);
        let each = random.of(1..80) as u64;
        for _ in 0..pairs {
            let theirs = queue.clone();
            round.actor(move |mut random| {
                for item in 0..each {
                    let mut items = theirs.items.lock().unwrap();
                    while items.len() == ROOM {
                        items = match random.one_in(4) {
                            true => theirs.emptied.wait_timeout(items, random.short()).unwrap().0,
                            false => theirs.emptied.wait(items).unwrap(),
                        };
                    }
                    items.push_back(item);
                    // Often held across a switch.
                    random.dawdle();
                    drop(items);
                    theirs.filled.notify_one();
                }
            });
            let theirs = queue.clone();
            round.actor(move |mut random| {
                for _ in 0..each {
                    let mut items = theirs.items.lock().unwrap();
                    let item = loop {
                        if let Some(item) = items.pop_front() {
                            break item;
                        }
                        items = theirs.filled.wait(items).unwrap();
                    };
                    random.dawdle();
                    drop(items);
                    theirs.emptied.notify_one();
                    theirs.total.fetch_add(item, Ordering::Relaxed);
                }
            });
            let theirs = lock.clone();
            round.mortal(move |mut random| {
                for _ in 0..each {
                    if random.one_in(3) {
                        let mut both = theirs.write().unwrap();
                        both.0 += 1;
                        both.1 += 1;
                    } else {
                        let both = *theirs.read().unwrap();
                        assert_eq!(both.0, both.1);
                    }
                    random.dawdle();
                }
            });
        }
        round.check(move || {
            assert!(queue.items.lock().unwrap().is_empty());
            assert_eq!(queue.total.load(Ordering::Relaxed), pairs as u64 * each * (each - 1) / 2);
        });
        round
    });
}
