//! The last receiver goes while a sender waits for a place: the sender has its message back or it was sent, and no message is left in
//! between.

use super::channel::{Channel, Unsent};
use loom::sync::Arc;
use loom::thread;
use std::sync::atomic::{AtomicUsize, Ordering};

pub const TOLD: &str = "who sends when no receiver is left is told so";
pub const NOTHING_LEAKS: &str = "every message is dropped, once, when its channel has no receiver";

struct Message {
    /// Messages that were dropped. Of std: a count for the model's own use, which orders nothing.
    dropped: &'static AtomicUsize,
}

impl Drop for Message {
    fn drop(&mut self) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
    }
}

/// The model.
pub fn model() {
    static DROPPED: AtomicUsize = AtomicUsize::new(0);
    DROPPED.store(0, Ordering::Relaxed);
    let channel = Arc::new(Channel::new(1));
    let theirs = channel.clone();
    let sender = thread::spawn(move || {
        let mut refused = 0;
        for _ in 0..3 {
            match theirs.send(Message { dropped: &DROPPED }, None) {
                Ok(()) => assert_eq!(refused, 0, "{TOLD}"),
                Err(Unsent::Disconnected(message)) => {
                    refused += 1;
                    drop(message);
                }
                Err(_) => panic!("{TOLD}"),
            }
        }
        theirs.remove_sender();
        refused
    });
    drop(channel.receive(None));
    channel.remove_receiver();
    let refused = sender.join().expect("senders do not panic");
    assert!((0..=2).contains(&refused), "{TOLD}");
    assert_eq!(DROPPED.load(Ordering::Relaxed), 3, "{NOTHING_LEAKS}");
}
