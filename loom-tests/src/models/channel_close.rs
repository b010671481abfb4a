//! Two threads send and close their ends while one receives until it is over: every message comes, and then the end.

use super::channel::{Channel, Nothing};
use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

pub const ALL: &str = "all that was sent is received before it is over";
pub const VISIBLE: &str = "who receives sees what the sender did before";

struct Shared {
    channel: Channel<usize>,
    /// Set before each message is sent, and ordered by nothing but that.
    written: [AtomicUsize; 2],
}

fn send(shared: &Shared, sender: usize) {
    shared.written[sender].store(1, Ordering::Relaxed);
    assert!(shared.channel.send(sender, None).is_ok(), "the receiver is there");
    shared.channel.remove_sender();
}

/// The model.
pub fn model() {
    let written = [AtomicUsize::new(0), AtomicUsize::new(0)];
    let shared = Arc::new(Shared { channel: Channel::new(usize::MAX), written });
    shared.channel.add_sender();
    let senders = [0, 1].map(|sender| {
        let theirs = shared.clone();
        thread::spawn(move || send(&theirs, sender))
    });
    let mut received = [false; 2];
    loop {
        match shared.channel.receive(None) {
            Ok(sender) => {
                assert_eq!(shared.written[sender].load(Ordering::Relaxed), 1, "{VISIBLE}");
                received[sender] = true;
            }
            Err(nothing) => {
                assert!(matches!(nothing, Nothing::Disconnected));
                break;
            }
        }
    }
    assert_eq!(received, [true; 2], "{ALL}");
    senders.into_iter().for_each(|sender| sender.join().expect("senders do not panic"));
}
