//! Two give orders to a worker that goes to sleep: it hears of both, and of what belongs to them.

use super::orders::{KILL, Orders, REPORT};
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::sync::{Arc, Notify};
use loom::thread;

pub const SEEN: &str = "who has taken an order sees what belongs to it";

struct Worker {
    orders: Orders,
    /// The number of the request that a report is to answer.
    request: AtomicUsize,
    eventfd: Notify,
}

impl Worker {
    fn order(&self, what: usize) {
        self.orders.give(what);
        self.eventfd.notify();
    }
}

/// The model.
pub fn model() {
    let worker =
        Arc::new(Worker { orders: Orders::none(), request: AtomicUsize::new(0), eventfd: Notify::new() });
    assert_eq!(worker.orders.take(), 0);
    let theirs = worker.clone();
    let other = thread::spawn(move || theirs.order(KILL));
    let theirs = worker.clone();
    let thread = thread::spawn(move || {
        let mut taken = 0;
        loop {
            let now = theirs.orders.take();
            if now & REPORT != 0 {
                assert_eq!(theirs.request.load(Ordering::Relaxed), 1, "{SEEN}");
            }
            taken += now;
            if taken == KILL + REPORT {
                return;
            }
            theirs.eventfd.wait();
        }
    });
    worker.request.store(1, Ordering::Relaxed);
    worker.order(REPORT);
    other.join().expect("workers do not panic");
    thread.join().expect("workers do not panic");
}
