//! Two OS threads push, the worker drains: each item comes out once, those of one pusher in their order, with all that the
//! pusher did before.

use super::inbox::{Inbox, Link, Linked, Push};
use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, Ordering};
use loom::thread;

pub const ONCE: &str = "each item comes out once";
pub const IN_ORDER: &str = "the items of one pusher come out in the order in which they were pushed";
pub const VISIBLE: &str = "what a pusher did before its push is seen by the worker";

struct Item {
    link: Link<Item>,
    /// Which pusher, and the how manieth of its items.
    name: (usize, usize),
    /// Set by its pusher, which orders it by nothing but the push.
    written: AtomicBool,
}

impl Linked for Item {
    fn link(&self) -> &Link<Item> {
        &self.link
    }
}

/// `count` items of `pusher`. Made before the threads are, so that what a push publishes is the push, not the item.
fn items(pusher: usize, count: usize) -> Vec<Arc<Item>> {
    let item = |number| Item { link: Link::new(), name: (pusher, number), written: AtomicBool::new(false) };
    let items: Vec<_> = (0..count).map(|number| Arc::new(item(number))).collect();
    // An item is made when it is first used: here, where it is refused.
    let elsewhere = Inbox::new();
    drop(elsewhere.close());
    for item in &items {
        assert_eq!(elsewhere.push(item.clone()), Push::Closed);
    }
    items
}

fn push(inbox: &Inbox<Item>, items: Vec<Arc<Item>>) {
    for item in items {
        item.written.store(true, Ordering::Relaxed);
        assert_eq!(inbox.push(item), Push::Done, "the worker is awake");
    }
}

/// Empties the inbox, and notes who came out.
fn drain(inbox: &Inbox<Item>, seen: &mut Vec<(usize, usize)>) {
    for item in inbox.drain() {
        assert!(item.written.load(Ordering::Relaxed), "{VISIBLE}");
        seen.push(item.name);
    }
}

/// The model.
pub fn model() {
    let inbox = Arc::new(Inbox::new());
    let (first, second) = (items(0, 2), items(1, 1));
    let theirs = inbox.clone();
    let pusher = thread::spawn(move || push(&theirs, second));
    let theirs = inbox.clone();
    let worker = thread::spawn(move || {
        let mut seen = Vec::new();
        drain(&theirs, &mut seen);
        drain(&theirs, &mut seen);
        seen
    });
    push(&inbox, first);
    pusher.join().expect("pushers do not panic");
    let mut seen = worker.join().expect("the worker does not panic");
    drain(&inbox, &mut seen);
    assert!(seen.iter().filter(|(pusher, _)| *pusher == 0).is_sorted(), "{IN_ORDER}");
    seen.sort_unstable();
    assert_eq!(seen, [(0, 0), (0, 1), (1, 0)], "{ONCE}");
}
