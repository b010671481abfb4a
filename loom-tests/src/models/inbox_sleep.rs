//! Two OS threads push, the worker drains and goes to sleep when there is nothing: it never sleeps on an item, and one sleep
//! costs one wake-up.

use super::inbox::{Inbox, Link, Linked, Push};
use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use loom::sync::{Arc, Notify};
use loom::thread;

pub const AWAKE: &str = "the worker does not sleep while there is an item that nobody will wake it for";
pub const NOTHING_LOST: &str = "what was pushed reaches the worker";
pub const ONE_WAKE: &str = "a sleep ends with one wake-up at most";

/// How many push, one item each.
const PUSHERS: usize = 2;

struct Item {
    link: Link<Item>,
}

impl Linked for Item {
    fn link(&self) -> &Link<Item> {
        &self.link
    }
}

/// A worker as far as its sleep is concerned.
struct Worker {
    inbox: Inbox<Item>,
    /// What the worker sleeps on. May also wake it for no reason.
    eventfd: Notify,
    /// Set before each write to `eventfd`: tells a wake-up from one for no reason.
    told: AtomicBool,
    /// How often a pusher was told to wake the worker.
    wakes: AtomicUsize,
    /// Set when all pushes are over: no wake-up will come but the one that says so.
    over: AtomicBool,
}

impl Worker {
    fn push(&self) {
        match self.inbox.push(Arc::new(Item { link: Link::new() })) {
            Push::Done => {}
            Push::MustWake => {
                self.wakes.fetch_add(1, Ordering::Relaxed);
                self.told.store(true, Ordering::Release);
                self.eventfd.notify();
            }
            Push::Closed => panic!("nobody has closed the inbox"),
        }
    }

    /// Drains and sleeps until all has come. Gives how often it announced that it sleeps.
    fn run(&self) -> usize {
        let mut received = 0;
        let mut sleeps = 0;
        loop {
            received += self.inbox.drain().count();
            if received == PUSHERS {
                return sleeps;
            }
            if self.over.load(Ordering::Acquire) {
                received += self.inbox.drain().count();
                assert_eq!(received, PUSHERS, "{NOTHING_LOST}");
                return sleeps;
            }
            if !self.inbox.sleep() {
                continue;
            }
            sleeps += 1;
            self.eventfd.wait();
            // In this order: when all is over, every `told` has been set.
            let over = self.over.load(Ordering::Acquire);
            let told = self.told.swap(false, Ordering::AcqRel);
            if over && !told {
                // A real worker would sleep on.
                assert_eq!(self.inbox.drain().count(), 0, "{AWAKE}");
                assert_eq!(received, PUSHERS, "{NOTHING_LOST}");
                return sleeps;
            }
        }
    }
}

/// The model.
pub fn model() {
    let worker = Arc::new(Worker {
        inbox: Inbox::new(),
        eventfd: Notify::new(),
        told: AtomicBool::new(false),
        wakes: AtomicUsize::new(0),
        over: AtomicBool::new(false),
    });
    let theirs = worker.clone();
    let pusher = thread::spawn(move || theirs.push());
    let theirs = worker.clone();
    let thread = thread::spawn(move || theirs.run());
    worker.push();
    pusher.join().expect("pushers do not panic");
    worker.over.store(true, Ordering::Release);
    worker.eventfd.notify();
    let sleeps = thread.join().expect("the worker does not panic");
    assert!(worker.wakes.load(Ordering::Relaxed) <= sleeps, "{ONE_WAKE}");
}
