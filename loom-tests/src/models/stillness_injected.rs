//! An OS thread that is none of the runtime's has spawned a green thread; a worker gets up and takes it, and worker 0 looks meanwhile.

use super::inbox::{Inbox, Link, Linked};
use super::stillness::{Pulse, Sleeper, still_as_reported, stillness};
use super::theft::Offers;
use loom::sync::Arc;
use loom::thread::{self, JoinHandle};

pub const ON_ITS_WAY: &str =
    "nobody is called still while somebody waits to be taken in, or is being taken in";
pub const HAS_CHANGED: &str = "a report does not hold any more once somebody was taken in";

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

impl Worker {
    fn fall_asleep(&self) {
        self.pulse.publish(true, u64::MAX);
        assert!(self.inbox.sleep(), "nobody pushes");
    }
}

/// Worker 0 and one that takes what was left.
fn crew() -> (Vec<Arc<Worker>>, Arc<Offers<()>>, JoinHandle<()>) {
    let worker = || Arc::new(Worker { inbox: Inbox::new(), pulse: Pulse::new() });
    let workers = vec![worker(), worker()];
    workers.iter().for_each(|worker| worker.fall_asleep());
    let injected = Arc::new(Offers::new());
    assert_eq!(stillness(&workers, 0, true, || injected.is_empty()), Some(0));
    assert_eq!(injected.push(()), Ok(0));
    let (worker, theirs) = (workers[1].clone(), injected.clone());
    let taking = thread::spawn(move || {
        assert_eq!(worker.inbox.drain().count(), 0);
        assert_eq!(theirs.take_oldest(), Some(()));
        worker.pulse.count_turn();
        worker.fall_asleep();
    });
    (workers, injected, taking)
}

/// While worker 0 looks whether all are still.
pub fn model() {
    let (workers, injected, taking) = crew();
    let looking = thread::spawn(move || stillness(&workers, 0, true, || injected.is_empty()));
    let turns = looking.join().expect("workers do not panic");
    assert_ne!(turns, Some(0), "{ON_ITS_WAY}");
    taking.join().expect("workers do not panic");
}

/// While worker 0 looks whether reports still hold.
pub fn model_of_reports() {
    let (workers, injected, taking) = crew();
    let looking =
        thread::spawn(move || still_as_reported(&workers, [(1, 0)].into_iter(), || injected.is_empty()));
    assert!(!looking.join().expect("workers do not panic"), "{HAS_CHANGED}");
    taking.join().expect("workers do not panic");
}
