//! Two OS threads push while the worker ends: each item is drained or refused, never both, never neither; who is refused sees
//! what the worker did before; nothing leaks.

use super::inbox::{Inbox, Link, Linked, Push};
use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, Ordering};
use loom::thread;
use std::sync::atomic::AtomicUsize;

pub const ONE_FATE: &str = "each item is either drained or refused";
pub const REFUSED_AGAIN: &str = "who was refused is refused again";
pub const SEES_THE_END: &str = "who is refused sees what the worker did before it closed";
pub const NOTHING_LEAKS: &str = "every item is dropped";

struct Item {
    link: Link<Item>,
    /// Items that were dropped. Of std: a count for the model's own use, which orders nothing.
    dropped: &'static AtomicUsize,
}

impl Linked for Item {
    fn link(&self) -> &Link<Item> {
        &self.link
    }
}

impl Drop for Item {
    fn drop(&mut self) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
    }
}

/// Pushes an item; when it is refused, once more. True if it was refused.
fn push(inbox: &Inbox<Item>, ended: &AtomicBool, dropped: &'static AtomicUsize) -> bool {
    let item = Arc::new(Item { link: Link::new(), dropped });
    if inbox.push(item.clone()) != Push::Closed {
        return false;
    }
    assert!(ended.load(Ordering::Relaxed), "{SEES_THE_END}");
    assert_eq!(inbox.push(item), Push::Closed, "{REFUSED_AGAIN}");
    true
}

/// The model.
pub fn model() {
    static DROPPED: AtomicUsize = AtomicUsize::new(0);
    DROPPED.store(0, Ordering::Relaxed);
    let inbox = Arc::new(Inbox::new());
    let ended = Arc::new(AtomicBool::new(false));
    let (theirs, end) = (inbox.clone(), ended.clone());
    let pusher = thread::spawn(move || push(&theirs, &end, &DROPPED));
    let (theirs, end) = (inbox.clone(), ended.clone());
    let worker = thread::spawn(move || {
        let drained = theirs.drain().count();
        end.store(true, Ordering::Relaxed);
        drained + theirs.close().count()
    });
    let mut refused = usize::from(push(&inbox, &ended, &DROPPED));
    refused += usize::from(pusher.join().expect("pushers do not panic"));
    let drained = worker.join().expect("the worker does not panic");
    assert_eq!(drained + refused, 2, "{ONE_FATE}");
    drop(inbox);
    assert_eq!(DROPPED.load(Ordering::Relaxed), 2, "{NOTHING_LEAKS}");
}
