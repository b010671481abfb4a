//! A worker takes in one that was spawned from elsewhere while worker 0 seals and counts.

use super::tally::{Seal, Tally};
use loom::sync::Arc;
use loom::thread;

pub const COUNTED: &str = "whoever was taken in is counted by the one who has sealed";

/// The model.
pub fn model() {
    let shared = Arc::new((Tally::new(), Seal::open()));
    // Makes them.
    shared.1.reopen();
    assert_eq!(Tally::live(core::iter::once(&shared.0)), 0);
    let theirs = shared.clone();
    let worker = thread::spawn(move || {
        theirs.0.count_birth();
        theirs.1.admits()
    });
    shared.1.close();
    let live = Tally::live(core::iter::once(&shared.0));
    let admitted = worker.join().expect("workers do not panic");
    assert!(!admitted || live == 1, "{COUNTED}");
}
