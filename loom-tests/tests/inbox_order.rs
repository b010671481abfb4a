//! Items come out once, in order, with what was done before they went in.

use osier_loom_tests::shipped::inbox_order::{IN_ORDER, ONCE, model};
use osier_loom_tests::{fails, holds, mutant};

#[test]
fn shipped() {
    holds(model);
}

#[test]
fn push_publishes_nothing() {
    fails("push_publishes_nothing", mutant::push_publishes_nothing::model::model, ONCE);
}

#[test]
fn take_does_not_turn_the_list_round() {
    let model = mutant::take_does_not_turn_the_list_round::model::model;
    fails("take_does_not_turn_the_list_round", model, IN_ORDER);
}
