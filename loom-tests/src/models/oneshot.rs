//! A channel for one message, whose sender sends it and goes, while the receiver is woken for nothing: it is received, though there is
//! no sender any more.

use super::channel::Channel;
use crate::park;
use loom::sync::Arc;
use loom::thread;

pub const RECEIVED: &str = "the message is received although its sender has gone";

/// The model.
pub fn model() {
    let channel = Arc::new(Channel::new(1));
    let theirs = channel.clone();
    let (woken, receiver) = park::spawn(move || {
        assert!(matches!(theirs.receive(None), Ok(7)), "{RECEIVED}");
        theirs.remove_receiver();
    });
    let theirs = channel.clone();
    let sender = thread::spawn(move || {
        assert!(theirs.try_send(7).is_ok(), "the receiver is there");
        theirs.remove_sender();
    });
    woken.unpark_for_nothing();
    receiver.join().expect("receivers do not panic");
    sender.join().expect("senders do not panic");
}
