//! Work for another worker, against stillness.

use osier_loom_tests::shipped::stillness_push::{FOUND, ON_ITS_WAY, model, model_of_the_end};
use osier_loom_tests::{fails, holds, mutant};

#[test]
fn shipped() {
    holds(model);
}

#[test]
fn shipped_of_the_end() {
    holds(model_of_the_end);
}

#[test]
fn workers_are_looked_at_once() {
    let model = mutant::workers_are_looked_at_once::model::model;
    fails("workers_are_looked_at_once", model, ON_ITS_WAY);
}

#[test]
fn turn_publishes_nothing() {
    let model = mutant::turn_publishes_nothing::model::model;
    fails("turn_publishes_nothing", model, ON_ITS_WAY);
}

#[test]
fn turn_is_seen_without_its_pushes() {
    let model = mutant::turn_is_seen_without_its_pushes::model::model;
    fails("turn_is_seen_without_its_pushes", model, ON_ITS_WAY);
}

#[test]
fn sleep_is_announced_without_a_fence() {
    let model = mutant::sleep_is_announced_without_a_fence::model::model_of_the_end;
    fails("sleep_is_announced_without_a_fence", model, FOUND);
}

#[test]
fn known_stillness_is_all_that_is_told() {
    let model = mutant::known_stillness_is_all_that_is_told::model::model_of_the_end;
    fails("known_stillness_is_all_that_is_told", model, FOUND);
}
