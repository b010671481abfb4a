//! A closure is offered while worker 0 leaves its OS thread to a foreign loop.

use super::theft::{Idlers, Offers};
use loom::sync::Arc;
use loom::thread;

pub const NOT_LEFT: &str = "worker 0 sees the closure, or is called";

/// The model.
pub fn model() {
    let shared = Arc::new((Offers::new(), Idlers::new(1)));
    // Makes them.
    shared.1.first_returns();
    assert_eq!(shared.1.call(), None);
    assert_eq!(shared.0.push(()), Ok(0));
    assert_eq!(shared.0.take_oldest(), Some(()));
    let theirs = shared.clone();
    let offering = thread::spawn(move || {
        assert_eq!(theirs.0.push(()), Ok(1));
        theirs.1.call() == Some(0)
    });
    let theirs = shared.clone();
    let leaving = thread::spawn(move || {
        theirs.1.first_leaves();
        !theirs.0.is_empty()
    });
    let called = offering.join().expect("workers do not panic");
    let seen = leaving.join().expect("workers do not panic");
    assert!(called || seen, "{NOT_LEFT}");
}
