//! One message, and nothing after it.

use osier_loom_tests::shipped::oneshot::{RECEIVED, model};
use osier_loom_tests::{fails, holds, mutant};

#[test]
fn shipped() {
    holds(model);
}

#[test]
fn any_wake_up_is_a_message() {
    let model = mutant::any_wake_up_is_a_message::model::model;
    fails("any_wake_up_is_a_message", model, RECEIVED);
}

#[test]
fn the_end_hides_the_message() {
    let model = mutant::the_end_hides_the_message::model::model;
    fails("the_end_hides_the_message", model, RECEIVED);
}
