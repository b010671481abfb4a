//! A green thread is killed from elsewhere while a worker takes it, and waits in it for nothing but that, or has it end first: it ends
//! once, whoever joins it is told, and who is killed sees what its killer did.

use super::inbox::{Inbox, Link, Linked, Push};
use super::kill_mark::KillMark;
use super::owner::Owner;
use crate::completion::Completion;
use crate::park::{Reason, Wake};
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::sync::{Arc, Notify};
use loom::thread;

pub const SEEN: &str = "who is killed sees what its killer did before";
pub const JOINED: &str = "who has joined sees how it ended";

struct Task {
    link: Link<Task>,
    mark: KillMark,
    owner: Owner<Worker>,
    completion: Completion,
    /// What the killer writes before.
    reason: AtomicUsize,
    /// Ordered by nothing but its end: 1 for killed.
    outcome: AtomicUsize,
}

impl Linked for Task {
    fn link(&self) -> &Link<Task> {
        &self.link
    }
}

struct Worker {
    inbox: Inbox<Task>,
    eventfd: Notify,
}

fn kill(task: &Arc<Task>) {
    if task.mark.set()
        && let Some(worker) = task.owner.after_mark()
        && worker.inbox.push(task.clone()) == Push::MustWake
    {
        worker.eventfd.notify();
    }
}

fn finish(task: &Task, killed: bool) {
    if killed {
        assert_eq!(task.reason.load(Ordering::Relaxed), 1, "{SEEN}");
    }
    task.outcome.store(1 + usize::from(killed), Ordering::Relaxed);
    task.completion.finish();
}

fn new_task() -> Arc<Task> {
    let task = Arc::new(Task {
        link: Link::new(),
        mark: KillMark::new(),
        owner: Owner::nobody(),
        completion: Completion::new(),
        reason: AtomicUsize::new(0),
        outcome: AtomicUsize::new(0),
    });
    // Makes them.
    assert!(!task.mark.is_set() && task.owner.after_mark().is_none() && !task.completion.is_done());
    task
}

fn explore(waits: bool) {
    let task = new_task();
    let theirs = task.clone();
    let killer = thread::spawn(move || {
        theirs.reason.store(1, Ordering::Relaxed);
        kill(&theirs);
    });
    let theirs = task.clone();
    let worker = thread::spawn(move || {
        let worker = Arc::new(Worker { inbox: Inbox::new(), eventfd: Notify::new() });
        theirs.owner.settle(worker.clone());
        // Before it starts; then as often as it is told.
        let mut killed = theirs.mark.is_set();
        while waits && !killed {
            if worker.inbox.sleep() {
                worker.eventfd.wait();
            }
            killed = worker.inbox.drain().any(|task| task.mark.is_set());
        }
        finish(&theirs, killed);
        // One who is told of late is done.
        let late = worker.inbox.close().all(|task| task.completion.is_done());
        assert!(late, "{JOINED}");
    });
    assert_eq!(task.completion.wait(Reason::Join(1), None), Ok(Wake::Unparked));
    assert!(task.outcome.load(Ordering::Relaxed) > usize::from(waits), "{JOINED}");
    killer.join().expect("killers do not panic");
    worker.join().expect("workers do not panic");
}

/// It ends by itself.
pub fn model() {
    explore(false);
}

/// It waits until it is killed.
pub fn model_of_a_wait() {
    explore(true);
}
