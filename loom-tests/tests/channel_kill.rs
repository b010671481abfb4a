//! A message for one who is killed.

use osier_loom_tests::shipped::channel_kill::{NOTHING_LOST, model};
use osier_loom_tests::{FOR_EVER, fails, holds, mutant};

#[test]
fn shipped() {
    holds(model);
}

#[test]
fn it_is_over_while_a_message_is_promised() {
    let model = mutant::it_is_over_while_a_message_is_promised::model::model;
    fails("it_is_over_while_a_message_is_promised", model, NOTHING_LOST);
}

#[test]
fn killed_receiver_keeps_the_message() {
    let model = mutant::killed_receiver_keeps_the_message::model::model;
    fails("killed_receiver_keeps_the_message", model, FOR_EVER);
}

#[test]
fn killed_receiver_stays_in_the_queue() {
    let model = mutant::killed_receiver_stays_in_the_queue::model::model;
    fails("killed_receiver_stays_in_the_queue", model, FOR_EVER);
}
