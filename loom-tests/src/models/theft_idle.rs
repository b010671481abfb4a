//! A worker that computes offers two closures while another one goes to sleep: the other one takes them, or is called, and is
//! called once for each of its sleeps.

use super::theft::{Idlers, Offers};
use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use loom::sync::{Arc, Notify};
use loom::thread;

pub const TAKEN: &str = "no closure waits beside a worker that sleeps";
pub const ONE_CALL: &str = "a sleep is ended by one call at most";

struct Shared {
    offers: Offers<usize>,
    idlers: Idlers,
    /// What the idle worker sleeps on. May also wake it for no reason.
    eventfd: Notify,
    /// Set before each write to `eventfd`: tells a call from waking up for no reason.
    told: AtomicBool,
    calls: AtomicUsize,
    /// Set when nothing more will be offered.
    over: AtomicBool,
}

impl Shared {
    /// As the worker that computes and takes nothing itself.
    fn offer(&self, closure: usize) {
        assert!(self.offers.push(closure).is_ok(), "it is open");
        if let Some(worker) = self.idlers.call() {
            assert_eq!(worker, 0);
            self.calls.fetch_add(1, Ordering::Relaxed);
            self.told.store(true, Ordering::Release);
            self.eventfd.notify();
        }
    }

    /// As the other one. Gives what it has taken, and how often it slept.
    fn work(&self) -> (usize, usize) {
        let (mut taken, mut sleeps) = (0, 0);
        loop {
            taken += std::iter::from_fn(|| self.offers.take_oldest()).sum::<usize>();
            if taken == 11 {
                return (taken, sleeps);
            }
            self.idlers.announce(0);
            sleeps += 1;
            let mut done = false;
            if self.offers.is_empty() {
                self.eventfd.wait();
                let over = self.over.load(Ordering::Acquire);
                // It was woken for the end only: a real worker would sleep on.
                done = over && !self.told.swap(false, Ordering::AcqRel);
            }
            self.idlers.withdraw(0);
            if done {
                return (taken, sleeps);
            }
        }
    }
}

/// The model.
pub fn model() {
    let shared = Arc::new(Shared {
        offers: Offers::new(),
        idlers: Idlers::new(1),
        eventfd: Notify::new(),
        told: AtomicBool::new(false),
        calls: AtomicUsize::new(0),
        over: AtomicBool::new(false),
    });
    // Makes them.
    assert_eq!(shared.idlers.call(), None);
    shared.idlers.announce(0);
    let _ = shared.idlers.call();
    shared.idlers.withdraw(0);
    assert_eq!(shared.offers.push(0), Ok(0));
    assert_eq!(shared.offers.take(0), Some(0));
    let theirs = shared.clone();
    let idle = thread::spawn(move || theirs.work());
    shared.offer(1);
    shared.offer(10);
    shared.over.store(true, Ordering::Release);
    shared.eventfd.notify();
    let (taken, sleeps) = idle.join().expect("workers do not panic");
    assert_eq!(taken, 11, "{TAKEN}");
    assert!(shared.calls.load(Ordering::Relaxed) <= sleeps, "{ONE_CALL}");
}
