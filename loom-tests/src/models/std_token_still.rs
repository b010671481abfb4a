//! A green thread waits for std's token on a worker that gets up for no reason, and one on another worker gives it and falls asleep, while worker 0
//! looks whether all are still.

use super::inbox::{Inbox, Link, Linked, Push};
use super::std_token::{NOTIFIED, PARKED, StdToken};
use super::stillness::{Pulse, Sleeper, stillness};
use super::theft::Idlers;
use crate::primitive::AtomicU32;
use loom::sync::Arc;
use loom::sync::atomic::Ordering;
use loom::thread;
use std::cell::Cell;

pub const ON_ITS_WAY: &str = "nobody is called still while a token lies there";
pub const NOT_LOST: &str = "who waits for the token is woken, or told";

struct Item {
    link: Link<Item>,
}

impl Linked for Item {
    fn link(&self) -> &Link<Item> {
        &self.link
    }
}

struct Worker {
    inbox: Inbox<Item>,
    pulse: Pulse,
}

impl Sleeper for Worker {
    fn is_asleep(&self) -> bool {
        self.inbox.is_asleep()
    }

    fn pulse(&self) -> &Pulse {
        &self.pulse
    }
}

loom::thread_local! {
    static WOKEN: Cell<bool> = Cell::new(false);
}

/// The model.
pub fn model() {
    let worker = || Arc::new(Worker { inbox: Inbox::new(), pulse: Pulse::new() });
    let workers = vec![worker(), worker(), worker()];
    for worker in &workers {
        // Makes them.
        worker.pulse.publish(true, u64::MAX);
        assert!(worker.inbox.sleep());
    }
    assert_eq!(stillness(&workers, 0, true, || true), Some(0));
    let word = Arc::new(AtomicU32::new(PARKED));
    let _ = word.load(Ordering::Relaxed);
    let (giver, waiter) = (workers[1].clone(), workers[2].clone());
    assert_eq!(giver.inbox.drain().count(), 0);
    assert_eq!(waiter.inbox.drain().count(), 0);
    let idlers = Idlers::new(1);
    idlers.announce(0);
    let (told, given) = (waiter.clone(), word.clone());
    let giving = thread::spawn(move || {
        // As std's unpark, and the shim for the futex.
        if given.swap(NOTIFIED, Ordering::Release) == PARKED {
            let pushed = told.inbox.push(Arc::new(Item { link: Link::new() }));
            assert_ne!(pushed, Push::Closed);
        }
        giver.pulse.count_turn();
        idlers.announce(0);
        assert!(giver.inbox.sleep());
    });
    let waiting = thread::spawn(move || {
        let token = StdToken::new();
        // SAFETY: the word lives as long as this closure, which `token` does not leave.
        let waits = unsafe { token.watch(&word, |_| WOKEN.with(|woken| woken.set(true))) };
        if !waits {
            // It runs on, and its worker is up.
            return true;
        }
        // Twice, and both times it gets up for no reason, if for any.
        let mut woken = false;
        for _ in 0..2 {
            if token.fall_asleep() {
                waiter.inbox.sleep();
            }
            woken |= waiter.inbox.drain().count() > 0;
            token.wake_up();
            token.look();
            woken |= WOKEN.with(Cell::get);
            if woken {
                waiter.pulse.count_turn();
                break;
            }
        }
        if token.fall_asleep() && waiter.inbox.sleep() && !woken {
            // Now it sleeps until it is told.
            return false;
        }
        true
    });
    let waiters = workers[2].clone();
    let looking = thread::spawn(move || stillness(&workers, 0, true, || true));
    let turns = looking.join().expect("workers do not panic");
    assert_ne!(turns, Some(1), "{ON_ITS_WAY}");
    giving.join().expect("workers do not panic");
    let over = waiting.join().expect("workers do not panic");
    assert!(over || !waiters.inbox.is_asleep(), "{NOT_LOST}");
}
