//! The last receiver goes.

use osier_loom_tests::shipped::channel_hang_up::{NOTHING_LEAKS, model};
use osier_loom_tests::{FOR_EVER, fails, holds, mutant};

#[test]
fn shipped() {
    holds(model);
}

#[test]
fn senders_are_not_told_of_the_end() {
    let model = mutant::senders_are_not_told_of_the_end::model::model;
    fails("senders_are_not_told_of_the_end", model, FOR_EVER);
}

#[test]
fn message_is_left_in_the_queue() {
    let model = mutant::message_is_left_in_the_queue::model::model;
    fails("message_is_left_in_the_queue", model, NOTHING_LEAKS);
}
