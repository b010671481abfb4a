//! A permit is given back while the deadline of the one that waits for it passes, and a wake-up that was meant for an earlier wait of
//! that thread comes in between: it has the permit, or it does not.

use super::semaphore::{Semaphore, SemaphorePermit};
use crate::park;
use core::time::Duration;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, Ordering};
use loom::thread;

pub const NOTHING_LOST: &str = "all permits are there in the end";
pub const NOTHING_MADE: &str = "nobody has a permit that was not given";

/// The model.
pub fn model() {
    let given = Arc::new(AtomicBool::new(false));
    let semaphore = Arc::new(Semaphore::new(2));
    let held = semaphore.acquire_many(2);
    let (theirs, was_given) = (semaphore.clone(), given.clone());
    let (victim, waiter) = park::spawn(move || {
        let got = theirs.acquire_timeout(Duration::from_secs(1));
        assert!(got.is_none() || was_given.load(Ordering::Relaxed), "{NOTHING_MADE}");
        got.map(SemaphorePermit::forget).is_some()
    });
    let time = thread::spawn(move || {
        victim.unpark_for_nothing();
        victim.let_time_pass();
    });
    given.store(true, Ordering::Relaxed);
    drop(held);
    time.join().expect("time does not panic");
    let got = waiter.join().expect("waiters do not panic");
    assert_eq!(semaphore.available_permits(), 2 - usize::from(got), "{NOTHING_LOST}");
}
