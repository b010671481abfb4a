//! An event that is set when the time is over.

use osier_loom_tests::shipped::event_set::{VISIBLE, model};
use osier_loom_tests::{FOR_EVER, fails, holds, mutant};

#[test]
fn shipped() {
    holds(model);
}

#[test]
fn set_publishes_nothing() {
    let model = mutant::set_publishes_nothing::model::model;
    fails("set_publishes_nothing", model, VISIBLE);
}

#[test]
fn waiter_does_not_look_again() {
    let model = mutant::waiter_does_not_look_again::model::model;
    fails("waiter_does_not_look_again", model, FOR_EVER);
}
