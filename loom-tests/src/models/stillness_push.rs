//! A worker sends work to another one that sleeps, and goes to sleep; that one gets up and runs it. Worker 0 falls asleep
//! meanwhile.

use super::inbox::{Inbox, Link, Linked, Push};
use super::stillness::{Pulse, Sleeper, Wanted, announced, stillness};
use loom::sync::Arc;
use loom::sync::Notify;
use loom::sync::atomic::{AtomicBool, Ordering};
use loom::thread;

pub const ON_ITS_WAY: &str = "nobody is called still while something is on its way";
pub const FOUND: &str = "worker 0 sees or is told that all are still";

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
    /// May also wake it for no reason.
    eventfd: Notify,
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
    fn announce_sleep(&self, stuck: bool) -> bool {
        self.pulse.publish(stuck, u64::MAX);
        self.inbox.sleep()
    }
}

/// Worker 0, which is the thread of the model, the one that sends, and the one that receives.
fn crew() -> Vec<Arc<Worker>> {
    let worker = || Worker { inbox: Inbox::new(), pulse: Pulse::new(), eventfd: Notify::new() };
    let workers: Vec<_> = (0..3).map(|_| Arc::new(worker())).collect();
    for worker in &workers {
        // Makes them.
        worker.pulse.publish(true, worker.pulse.deadline());
        let _ = (worker.pulse.turns(), worker.inbox.is_asleep());
    }
    assert_eq!(stillness(&workers[..1], 0, true, || true), Some(0));
    workers
}

/// As the green thread of the one that sends.
fn send(receiver: &Worker) {
    match receiver.inbox.push(Arc::new(Item { link: Link::new() })) {
        Push::Done => {}
        Push::MustWake => receiver.eventfd.notify(),
        Push::Closed => panic!("nobody has closed the inbox"),
    }
}

/// Gets up and runs what has come. Whether anything had.
fn get_up(worker: &Worker) -> bool {
    let ran = worker.inbox.drain().count() > 0;
    if ran {
        worker.pulse.count_turn();
    }
    ran
}

/// The sender is found asleep before its deadline, or after it, but not still in between. Both get up by themselves, the receiver at any time.
pub fn model() {
    let workers = crew();
    for worker in &workers[1..] {
        assert!(worker.announce_sleep(false));
    }
    let (sender, receiver) = (workers[1].clone(), workers[2].clone());
    let sending = thread::spawn(move || {
        assert!(!get_up(&sender));
        send(&receiver);
        sender.pulse.count_turn();
        assert!(sender.announce_sleep(false));
    });
    let receiver = workers[2].clone();
    let receiving = thread::spawn(move || {
        get_up(&receiver);
        // Fails if something has come since.
        receiver.announce_sleep(false);
    });
    let looking = thread::spawn(move || stillness(&workers, 0, false, || true));
    let turns = looking.join().expect("workers do not panic");
    assert_ne!(turns, Some(1), "{ON_ITS_WAY}");
    sending.join().expect("workers do not panic");
    receiving.join().expect("workers do not panic");
}

/// All fall asleep in the end, and nobody else comes.
pub fn model_of_the_end() {
    let workers = crew();
    assert!(workers[2].announce_sleep(true));
    let wanted = Arc::new(Wanted::new());
    wanted.begin();
    wanted.await_stillness(true);
    assert_eq!(wanted.noticed(), u64::MAX);
    let told = Arc::new(AtomicBool::new(false));
    let crew = Arc::new(workers);
    let falls_asleep = {
        let (crew, wanted, told) = (crew.clone(), wanted.clone(), told.clone());
        move |me: usize| {
            if !crew[me].announce_sleep(true) {
                return false;
            }
            if wanted.is_met(&crew, me, false, || 1, || true) {
                told.store(true, Ordering::Release);
            }
            true
        }
    };
    let (theirs, sleep) = (crew.clone(), falls_asleep.clone());
    let sending = thread::spawn(move || {
        send(&theirs[2]);
        theirs[1].pulse.count_turn();
        assert!(sleep(1));
    });
    let theirs = crew.clone();
    let receiving = thread::spawn(move || {
        theirs[2].eventfd.wait();
        while !get_up(&theirs[2]) {
            if falls_asleep(2) {
                theirs[2].eventfd.wait();
            }
        }
        assert!(falls_asleep(2));
    });
    assert!(crew[0].announce_sleep(true));
    announced();
    let seen = stillness(&crew, 0, true, || true);
    assert!(seen.is_none() || seen == Some(2), "{ON_ITS_WAY}");
    sending.join().expect("workers do not panic");
    receiving.join().expect("workers do not panic");
    assert!(seen.is_some() || told.load(Ordering::Acquire), "{FOUND}");
}
