//! A rendezvous to which both come late.

use osier_loom_tests::shipped::channel_rendezvous::{AGREED, model};
use osier_loom_tests::{fails, holds, mutant};

#[test]
fn shipped() {
    holds(model);
}

#[test]
fn late_receiver_leaves_what_was_sent_to_it() {
    let model = mutant::late_receiver_leaves_what_was_sent_to_it::model::model;
    fails("late_receiver_leaves_what_was_sent_to_it", model, AGREED);
}

#[test]
fn late_sender_leaves_its_message() {
    let model = mutant::late_sender_leaves_its_message::model::model;
    fails("late_sender_leaves_its_message", model, AGREED);
}
