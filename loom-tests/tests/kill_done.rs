//! A kill from elsewhere, against the end of the one that is killed.

use osier_loom_tests::shipped::kill_done::{SEEN, model, model_of_a_wait};
use osier_loom_tests::{FOR_EVER, fails, holds, mutant};

#[test]
fn shipped() {
    holds(model);
}

#[test]
fn shipped_of_a_wait() {
    holds(model_of_a_wait);
}

#[test]
fn kill_publishes_nothing() {
    let model = mutant::kill_publishes_nothing::model::model;
    fails("kill_publishes_nothing", model, SEEN);
}

#[test]
fn kill_is_not_acquired() {
    let model = mutant::kill_is_not_acquired::model::model;
    fails("kill_is_not_acquired", model, SEEN);
}

#[test]
fn first_killer_tells_nobody() {
    let model = mutant::first_killer_tells_nobody::model::model_of_a_wait;
    fails("first_killer_tells_nobody", model, FOR_EVER);
}

#[test]
fn killed_one_is_taken_without_a_fence() {
    let model = mutant::killed_one_is_taken_without_a_fence::model::model_of_a_wait;
    fails("killed_one_is_taken_without_a_fence", model, FOR_EVER);
}
