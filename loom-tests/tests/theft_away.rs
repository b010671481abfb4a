//! A closure for a worker that leaves its OS thread to a foreign loop.

use osier_loom_tests::shipped::theft_away::{NOT_LEFT, model};
use osier_loom_tests::{fails, holds, mutant};

#[test]
fn shipped() {
    holds(model);
}

#[test]
fn first_leaves_without_a_fence() {
    let model = mutant::first_leaves_without_a_fence::model::model;
    fails("first_leaves_without_a_fence", model, NOT_LEFT);
}

#[test]
fn who_is_away_is_looked_for_without_a_fence() {
    let model = mutant::who_is_away_is_looked_for_without_a_fence::model::model;
    fails("who_is_away_is_looked_for_without_a_fence", model, NOT_LEFT);
}
