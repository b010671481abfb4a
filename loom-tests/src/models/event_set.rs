//! An event is set while two wait for it, the deadline of one of whom passes: both are woken, and see what came before.

use super::event::Event;
use crate::park;
use core::time::Duration;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

pub const VISIBLE: &str = "who was woken sees what came before the set";

struct Shared {
    event: Event,
    /// Set before the event, and ordered by nothing but that.
    written: AtomicUsize,
}

/// The model.
pub fn model() {
    let shared = Arc::new(Shared { event: Event::new(), written: AtomicUsize::new(0) });
    // Makes it.
    assert!(!shared.event.is_set());
    let theirs = shared.clone();
    let (victim, waiter) = park::spawn(move || {
        if theirs.event.wait_timeout(Duration::from_secs(1)) {
            assert_eq!(theirs.written.load(Ordering::Relaxed), 1, "{VISIBLE}");
        }
    });
    let theirs = shared.clone();
    let other = thread::spawn(move || {
        victim.let_time_pass();
        theirs.event.wait();
        assert_eq!(theirs.written.load(Ordering::Relaxed), 1, "{VISIBLE}");
    });
    shared.written.store(1, Ordering::Relaxed);
    shared.event.set();
    waiter.join().expect("waiters do not panic");
    other.join().expect("waiters do not panic");
}
