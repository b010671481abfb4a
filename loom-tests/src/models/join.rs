//! A green thread ends while an OS thread joins it, with a deadline that passes meanwhile, and another one joins it for as long as it
//! takes: both see its result, and nobody is left behind.

use super::completion::Completion;
use crate::clock::Instant;
use crate::park::{self, Reason, Wake};
use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

pub const SEES_THE_RESULT: &str = "who has joined sees what the green thread did";
pub const OVER: &str = "a join that was not late ends when it is over";

struct Shared {
    completion: Completion,
    /// Left by the green thread, and ordered by nothing but its end.
    result: AtomicUsize,
}

fn join(shared: &Shared, deadline: Option<Instant>) {
    if shared.completion.wait(Reason::Join(1), deadline) == Ok(Wake::Unparked) {
        assert!(shared.completion.is_done(), "{OVER}");
        assert_eq!(shared.result.load(Ordering::Relaxed), 1, "{SEES_THE_RESULT}");
    } else {
        assert!(deadline.is_some(), "{OVER}");
    }
}

/// The model.
pub fn model() {
    let shared = Arc::new(Shared { completion: Completion::new(), result: AtomicUsize::new(0) });
    assert!(!shared.completion.is_done());
    let theirs = shared.clone();
    let (victim, joiner) = park::spawn(move || join(&theirs, Some(Instant::now())));
    let theirs = shared.clone();
    let worker = thread::spawn(move || {
        theirs.result.store(1, Ordering::Relaxed);
        victim.let_time_pass();
        theirs.completion.finish();
    });
    join(&shared, None);
    joiner.join().expect("joiners do not panic");
    worker.join().expect("the worker does not panic");
}
