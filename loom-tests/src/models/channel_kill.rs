//! One of two receivers is killed while a message comes and the channel is closed: it has the message, or the other one gets it.

use super::channel::{Channel, Nothing};
use crate::park;
use loom::sync::Arc;
use loom::thread;

pub const NOTHING_LOST: &str = "a message that was sent is received by one";

/// The model.
pub fn model() {
    let channel = Arc::new(Channel::new(usize::MAX));
    channel.add_receiver();
    let theirs = channel.clone();
    let (victim, receiver) = park::spawn(move || {
        let received = theirs.receive(None).is_ok();
        theirs.remove_receiver();
        received
    });
    let theirs = channel.clone();
    let sender = thread::spawn(move || {
        victim.kill();
        assert!(theirs.send(7, None).is_ok());
        theirs.remove_sender();
    });
    let received = match channel.receive(None) {
        Ok(7) => true,
        Err(Nothing::Disconnected) => false,
        _ => panic!("{NOTHING_LOST}"),
    };
    let by_the_other = receiver.join().expect("receivers do not panic");
    sender.join().expect("senders do not panic");
    assert_eq!(usize::from(received) + usize::from(by_the_other), 1, "{NOTHING_LOST}");
}
