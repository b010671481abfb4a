//! An OS thread outside wakes a green thread and ends, as does one of the offload pool that was idle, while worker 0 looks whether there is anybody
//! outside.

use super::inbox::{Inbox, Link, Linked, Push};
use super::stillness::{Pulse, Sleeper, look_outside, still_as_reported};
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::sync::{Arc, Mutex};
use loom::thread;

pub const LAST_ACT: &str = "what an OS thread does before it ends is seen by who misses it";

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

/// The model.
pub fn model() {
    let workers = [Arc::new(Worker { inbox: Inbox::new(), pulse: Pulse::new() })];
    workers[0].pulse.publish(true, u64::MAX);
    assert!(workers[0].inbox.sleep());
    // The worker does not get up: a busy machine.
    let still = || still_as_reported(&workers, [(0, 0)].into_iter(), || true);
    assert!(still());
    // OS threads of the pool, and those of the process that are no workers.
    let (pool, all) = (Arc::new(Mutex::new(1)), Arc::new(AtomicUsize::new(2)));
    let theirs = all.clone();
    let (worker, outside) = (workers[0].clone(), all.clone());
    let outside = thread::spawn(move || {
        assert_eq!(worker.inbox.push(Arc::new(Item { link: Link::new() })), Push::MustWake);
        // Release: pairs with the fence after it was counted; all that the kernel promises.
        outside.fetch_sub(1, Ordering::Release);
    });
    let idle = pool.clone();
    let idle = thread::spawn(move || {
        // The pool counts it before it ends.
        *idle.lock().expect("nobody panics") = 0;
        theirs.fetch_sub(1, Ordering::Release);
    });
    let counted = || Some(*pool.lock().expect("nobody panics"));
    let alone = look_outside(counted, |pool| all.load(Ordering::Relaxed) == pool, still);
    assert_ne!(alone, Some(true), "{LAST_ACT}");
    outside.join().expect("OS threads do not panic");
    idle.join().expect("OS threads do not panic");
}
