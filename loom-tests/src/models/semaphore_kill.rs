//! A permit is given back while the one that waits for it is killed: it comes to the next one, and nobody is in twice.

use super::semaphore::{Semaphore, SemaphorePermit};
use crate::park::{self, until_killed};
use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

pub const ALONE: &str = "one permit lets one in";
pub const VISIBLE: &str = "who gets a permit sees what its last holder did";
pub const NOTHING_LOST: &str = "all permits are there in the end";

struct Shared {
    semaphore: Semaphore,
    /// Who was in, counted with no ordering but the permits'.
    visits: AtomicUsize,
    /// Who is in now. Of std: a count for the model's own use, which orders nothing.
    inside: std::sync::atomic::AtomicUsize,
}

impl Shared {
    fn visit(&self, permit: SemaphorePermit<'_>) {
        assert_eq!(self.inside.fetch_add(1, Ordering::Relaxed), 0, "{ALONE}");
        let visits = self.visits.load(Ordering::Relaxed);
        self.visits.store(visits + 1, Ordering::Relaxed);
        self.inside.fetch_sub(1, Ordering::Relaxed);
        drop(permit);
    }
}

/// The model.
pub fn model() {
    let shared = Arc::new(Shared {
        semaphore: Semaphore::new(1),
        visits: AtomicUsize::new(0),
        inside: std::sync::atomic::AtomicUsize::new(0),
    });
    let held = shared.semaphore.acquire();
    let theirs = shared.clone();
    let (victim, waiter) = park::spawn(move || {
        let permit = until_killed(|| theirs.semaphore.acquire());
        permit.map(|permit| theirs.visit(permit)).is_ok()
    });
    let killer = thread::spawn(move || victim.kill());
    shared.visit(held);
    let permit = shared.semaphore.acquire();
    shared.visit(permit);
    killer.join().expect("killers do not panic");
    let visited = waiter.join().expect("waiters do not panic");
    assert_eq!(shared.visits.load(Ordering::Relaxed), 2 + usize::from(visited), "{VISIBLE}");
    assert_eq!(shared.semaphore.available_permits(), 1, "{NOTHING_LOST}");
}
