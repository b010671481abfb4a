//! A rendezvous at whose deadlines both ends arrive: either both have met, or neither has.

use super::channel::{Channel, Nothing, Unsent};
use crate::clock::Instant;
use crate::park;
use loom::sync::Arc;

pub const AGREED: &str = "a message is received if and only if it was sent";

/// The model.
pub fn model() {
    let deadline = Some(Instant::now());
    let channel = Arc::new(Channel::new(0));
    let theirs = channel.clone();
    let (early, sender) = park::spawn(move || match theirs.send(7, deadline) {
        Ok(()) => true,
        Err(Unsent::Late(7)) => false,
        Err(_) => panic!("{AGREED}"),
    });
    let theirs = channel.clone();
    let (late, receiver) = park::spawn(move || match theirs.receive(deadline) {
        Ok(7) => true,
        Err(Nothing::Late) => false,
        _ => panic!("{AGREED}"),
    });
    early.let_time_pass();
    late.let_time_pass();
    let sent = sender.join().expect("senders do not panic");
    let received = receiver.join().expect("receivers do not panic");
    assert_eq!(sent, received, "{AGREED}");
    assert_eq!(channel.len(), 0, "{AGREED}");
}
