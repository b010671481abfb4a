//! Two who meet.

use osier_loom_tests::shipped::barrier::{MET, model};
use osier_loom_tests::{FOR_EVER, fails, holds, mutant};

#[test]
fn shipped() {
    holds(model);
}

#[test]
fn barrier_lets_pass_who_is_woken() {
    let model = mutant::barrier_lets_pass_who_is_woken::model::model;
    fails("barrier_lets_pass_who_is_woken", model, MET);
}

#[test]
fn last_one_wakes_nobody() {
    let model = mutant::last_one_wakes_nobody::model::model;
    fails("last_one_wakes_nobody", model, FOR_EVER);
}
