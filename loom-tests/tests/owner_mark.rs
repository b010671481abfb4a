//! A mark on a green thread that is being taken.

use osier_loom_tests::shipped::owner_mark::{NOT_LOST, model};
use osier_loom_tests::{fails, holds, mutant};

#[test]
fn shipped() {
    holds(model);
}

#[test]
fn owner_settles_without_a_fence() {
    let model = mutant::owner_settles_without_a_fence::model::model;
    fails("owner_settles_without_a_fence", model, NOT_LOST);
}

#[test]
fn marker_looks_without_a_fence() {
    let model = mutant::marker_looks_without_a_fence::model::model;
    fails("marker_looks_without_a_fence", model, NOT_LOST);
}
