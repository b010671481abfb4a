//! A green thread that has no worker yet is unparked, or killed, while a worker takes it: the worker sees the mark, or is told.

use super::owner::Owner;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, Ordering};
use loom::thread;

pub const NOT_LOST: &str = "who takes it sees the mark, or is told of it";

struct Shared {
    owner: Owner<AtomicBool>,
    /// The mark: that it was killed, or the token of `thread::park`.
    mark: AtomicBool,
}

/// The model.
pub fn model() {
    let shared = Arc::new(Shared { owner: Owner::nobody(), mark: AtomicBool::new(false) });
    let theirs = shared.clone();
    let marker = thread::spawn(move || {
        theirs.mark.store(true, Ordering::Release);
        // The worker's inbox.
        let told = theirs.owner.after_mark();
        told.is_some_and(|inbox| !inbox.swap(true, Ordering::AcqRel))
    });
    let theirs = shared.clone();
    let worker = thread::spawn(move || {
        theirs.owner.settle(Arc::new(AtomicBool::new(false)));
        theirs.mark.load(Ordering::Acquire)
    });
    let told = marker.join().expect("markers do not panic");
    let seen = worker.join().expect("workers do not panic");
    assert!(told || seen, "{NOT_LOST}");
}
