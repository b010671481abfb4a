//! What is to happen once is left undone by one who is killed.

use osier_loom_tests::shipped::once::{ONCE, VISIBLE, model};
use osier_loom_tests::{FOR_EVER, fails, holds, mutant};

#[test]
fn shipped() {
    holds(model);
}

#[test]
fn end_wakes_nobody() {
    let model = mutant::end_wakes_nobody::model::model;
    fails("end_wakes_nobody", model, FOR_EVER);
}

#[test]
fn happening_publishes_nothing() {
    let model = mutant::happening_publishes_nothing::model::model;
    fails("happening_publishes_nothing", model, VISIBLE);
}

#[test]
fn two_are_at_it() {
    let model = mutant::two_are_at_it::model::model;
    fails("two_are_at_it", model, ONCE);
}
