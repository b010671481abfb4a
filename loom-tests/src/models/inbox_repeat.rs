//! Two OS threads push the same item, as two that unpark the same green thread do: it stands in the inbox once, and when it has
//! come out for the last time, the worker has seen what both did before.

use super::inbox::{Inbox, Link, Linked, Push};
use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, Ordering};
use loom::thread;

pub const VISIBLE: &str = "what a pusher did before it found the item queued is seen by the worker";
pub const AGAIN: &str = "an item that came out can be pushed again";
pub const COUNT: &str = "an item comes out, and no more often than it was pushed";

struct Item {
    link: Link<Item>,
    /// Set by each pusher, which orders it by nothing but the push.
    written: [AtomicBool; 2],
}

impl Linked for Item {
    fn link(&self) -> &Link<Item> {
        &self.link
    }
}

/// Pushes `item` as `pusher`.
fn push(inbox: &Inbox<Item>, item: Arc<Item>, pusher: usize) {
    item.written[pusher].store(true, Ordering::Relaxed);
    assert_eq!(inbox.push(item), Push::Done, "the worker is awake");
}

/// For each time that the item comes out: whose writes were seen then.
fn drain(inbox: &Inbox<Item>) -> Vec<[bool; 2]> {
    inbox.drain().map(|item| [0, 1].map(|pusher| item.written[pusher].load(Ordering::Relaxed))).collect()
}

/// The model.
pub fn model() {
    let inbox = Arc::new(Inbox::new());
    let item =
        Arc::new(Item { link: Link::new(), written: [AtomicBool::new(false), AtomicBool::new(false)] });
    // The item is made when it is first used: here, where it is refused.
    let elsewhere = Inbox::new();
    drop(elsewhere.close());
    assert_eq!(elsewhere.push(item.clone()), Push::Closed);
    let (theirs, same) = (inbox.clone(), item.clone());
    let pusher = thread::spawn(move || push(&theirs, same, 1));
    let theirs = inbox.clone();
    // While the pushers run: what is seen here is ordered by the inbox alone, not by the joins.
    let worker = thread::spawn(move || drain(&theirs));
    push(&inbox, item.clone(), 0);
    pusher.join().expect("pushers do not panic");
    let mut seen = worker.join().expect("the worker does not panic");
    seen.extend(drain(&inbox));
    assert!((1..=2).contains(&seen.len()), "{COUNT}");
    assert_eq!(seen.last(), Some(&[true; 2]), "{VISIBLE}");
    assert_eq!(inbox.push(item), Push::Done);
    assert_eq!(inbox.drain().count(), 1, "{AGAIN}");
}
