//! A worker offers a closure and goes on to its marker in the run queue, while a thief gets up and takes the closure, or does not. Worker
//! 0 looks meanwhile.

use super::inbox::{Inbox, Link, Linked};
use super::stillness::{Pulse, Sleeper, stillness};
use super::theft::Offers;
use loom::sync::Arc;
use loom::thread;

pub const ON_ITS_WAY: &str = "nobody is called still while a closure waits, or is being taken";

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
    offers: Offers<()>,
}

impl Sleeper for Worker {
    fn is_asleep(&self) -> bool {
        self.inbox.is_asleep()
    }

    fn pulse(&self) -> &Pulse {
        &self.pulse
    }
}

impl Worker {
    fn fall_asleep(&self) {
        self.pulse.publish(true, u64::MAX);
        assert!(self.inbox.sleep(), "nobody pushes");
    }
}

/// The model.
pub fn model() {
    let worker = || Worker { inbox: Inbox::new(), pulse: Pulse::new(), offers: Offers::new() };
    let workers: Vec<_> = (0..3).map(|_| Arc::new(worker())).collect();
    for worker in &workers {
        // Makes them.
        worker.fall_asleep();
        let _ = worker.offers.push(());
        assert_eq!(worker.offers.take_oldest(), Some(()));
    }
    assert_eq!(stillness(&workers, 0, true, || true), Some(0));
    // The thief is worker 1, so that it is looked at first; the owner is up.
    let (thief, owner) = (workers[1].clone(), workers[2].clone());
    assert_eq!(owner.inbox.drain().count(), 0);
    let victim = owner.clone();
    let robbing = thread::spawn(move || {
        assert_eq!(thief.inbox.drain().count(), 0);
        if victim.offers.take_oldest().is_some() {
            thief.pulse.count_turn();
        }
        thief.fall_asleep();
    });
    let owning = thread::spawn(move || {
        let number = owner.offers.push(()).expect("nobody closes it");
        owner.pulse.count_turn();
        if owner.offers.take(number).is_some() {
            owner.pulse.count_turn();
        }
        owner.fall_asleep();
    });
    let looking = thread::spawn(move || stillness(&workers, 0, true, || true));
    let turns = looking.join().expect("workers do not panic");
    assert!(turns.is_none() || turns == Some(2), "{ON_ITS_WAY}");
    robbing.join().expect("workers do not panic");
    owning.join().expect("workers do not panic");
}
