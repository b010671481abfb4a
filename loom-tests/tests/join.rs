//! A green thread's end and those who wait for it.

use osier_loom_tests::shipped::join::{SEES_THE_RESULT, model};
use osier_loom_tests::{FOR_EVER, fails, holds, mutant};

#[test]
fn shipped() {
    holds(model);
}

#[test]
fn end_publishes_nothing() {
    let model = mutant::end_publishes_nothing::model::model;
    fails("end_publishes_nothing", model, SEES_THE_RESULT);
}

#[test]
fn join_does_not_look_again() {
    let model = mutant::join_does_not_look_again::model::model;
    fails("join_does_not_look_again", model, FOR_EVER);
}

#[test]
fn end_wakes_one_joiner() {
    let model = mutant::end_wakes_one_joiner::model::model;
    fails("end_wakes_one_joiner", model, FOR_EVER);
}
