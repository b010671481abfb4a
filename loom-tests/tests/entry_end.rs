//! The end of an entry on two workers.

use osier_loom_tests::shipped::entry_end::{NOT_AFTER_THE_END, model};
use osier_loom_tests::{FOR_EVER, fails, holds, mutant};

#[test]
fn shipped() {
    holds(model);
}

#[test]
fn end_is_looked_at_without_a_fence() {
    let model = mutant::end_is_looked_at_without_a_fence::model::model;
    fails("end_is_looked_at_without_a_fence", model, FOR_EVER);
}

#[test]
fn last_one_is_done_without_a_fence() {
    let model = mutant::last_one_is_done_without_a_fence::model::model;
    fails("last_one_is_done_without_a_fence", model, FOR_EVER);
}

#[test]
fn end_is_not_told() {
    let model = mutant::end_is_not_told::model::model;
    fails("end_is_not_told", model, FOR_EVER);
}

#[test]
fn seal_is_not_looked_at() {
    let model = mutant::seal_is_not_looked_at::model::model;
    fails("seal_is_not_looked_at", model, NOT_AFTER_THE_END);
}
