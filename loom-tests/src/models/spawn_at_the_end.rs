//! A green thread is spawned from elsewhere, and joined there, while its runtime ends: it is started or given up, once, and who joins is told.

use super::inbox::{Inbox, Link, Linked, Push};
use crate::completion::Completion;
use crate::park::{Reason, Wake};
use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

pub const ONE_FATE: &str = "it is started or given up, once";
pub const SEEN: &str = "who has joined sees what became of it";

struct Task {
    link: Link<Task>,
    completion: Completion,
    /// How often it was started or given up; ordered by nothing but its end.
    fates: AtomicUsize,
}

impl Linked for Task {
    fn link(&self) -> &Link<Task> {
        &self.link
    }
}

impl Task {
    fn meet_its_fate(&self) {
        let fates = self.fates.load(Ordering::Relaxed);
        assert_eq!(fates, 0, "{ONE_FATE}");
        self.fates.store(fates + 1, Ordering::Relaxed);
        self.completion.finish();
    }
}

/// The model.
pub fn model() {
    let inbox = Arc::new(Inbox::<Task>::new());
    let theirs = inbox.clone();
    let worker = thread::spawn(move || {
        theirs.drain().for_each(|task| task.meet_its_fate());
        theirs.close().for_each(|task| task.meet_its_fate());
    });
    let task =
        Arc::new(Task { link: Link::new(), completion: Completion::new(), fates: AtomicUsize::new(0) });
    assert!(!task.completion.is_done());
    if inbox.push(task.clone()) == Push::Closed {
        task.meet_its_fate();
    }
    assert_eq!(task.completion.wait(Reason::Join(1), None), Ok(Wake::Unparked));
    assert_eq!(task.fates.load(Ordering::Relaxed), 1, "{SEEN}");
    worker.join().expect("workers do not panic");
}
