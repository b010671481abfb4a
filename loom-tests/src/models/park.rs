//! `thread::park` and `unpark`: two threads give one its permit, which sees what they did before, and a permit serves once.

use super::permit::Permit;
use crate::park::{self, Reason, Unparker, Wake};
use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, Ordering};
use loom::thread;
use std::sync::atomic::AtomicUsize;

pub const VISIBLE: &str = "what came before an unpark is seen after a park";
pub const ONCE: &str = "a permit serves once";

struct Shared {
    permit: Permit,
    /// Set by each giver, and ordered by nothing but its permit.
    written: [AtomicBool; 2],
    /// Permits that were given. Of std: a count for the model's own use, which orders nothing.
    given: AtomicUsize,
}

fn give(shared: &Shared, taker: &Unparker, giver: usize) {
    shared.written[giver].store(true, Ordering::Relaxed);
    shared.given.fetch_add(1, Ordering::Relaxed);
    shared.permit.give();
    taker.unpark();
}

/// As `thread::park`.
fn take(shared: &Shared) {
    while !shared.permit.take() {
        assert_eq!(park::park(Reason::Park, None), Ok(Wake::Unparked));
    }
}

/// The model.
pub fn model() {
    let written = [AtomicBool::new(false), AtomicBool::new(false)];
    let shared = Arc::new(Shared { permit: Permit::new(), written, given: AtomicUsize::new(0) });
    assert!(!shared.permit.take());
    let taker = Unparker::current();
    let givers = [0, 1].map(|giver| {
        let (theirs, taker) = (shared.clone(), taker.clone());
        thread::spawn(move || give(&theirs, &taker, giver))
    });
    take(&shared);
    let seen = [0, 1].map(|giver| shared.written[giver].load(Ordering::Relaxed));
    assert!(seen.contains(&true), "{VISIBLE}");
    if seen == [true; 2] {
        // Both permits may have been given before one was taken.
        return givers.into_iter().for_each(|giver| giver.join().expect("givers do not panic"));
    }
    take(&shared);
    let seen = [0, 1].map(|giver| shared.written[giver].load(Ordering::Relaxed));
    assert_eq!(shared.given.load(Ordering::Relaxed), 2, "{ONCE}");
    assert_eq!(seen, [true; 2], "{VISIBLE}");
    givers.into_iter().for_each(|giver| giver.join().expect("givers do not panic"));
}
