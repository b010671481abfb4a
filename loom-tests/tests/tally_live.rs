//! Counting those that live.

use osier_loom_tests::shipped::tally_live::{SOMEBODY, model};
use osier_loom_tests::{fails, holds, mutant};

#[test]
fn shipped() {
    holds(model);
}

#[test]
fn births_are_counted_first() {
    let model = mutant::births_are_counted_first::model::model;
    fails("births_are_counted_first", model, SOMEBODY);
}

#[test]
fn end_hides_a_birth() {
    let model = mutant::end_hides_a_birth::model::model;
    fails("end_hides_a_birth", model, SOMEBODY);
}

#[test]
fn end_is_seen_without_births() {
    let model = mutant::end_is_seen_without_births::model::model;
    fails("end_is_seen_without_births", model, SOMEBODY);
}
