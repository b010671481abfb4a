//! An OS thread outside, against the look for a deadlock.

use osier_loom_tests::shipped::stillness_outside::{LAST_ACT, model};
use osier_loom_tests::{fails, holds, mutant};

#[test]
fn shipped() {
    holds(model);
}

#[test]
fn what_has_come_is_looked_at_before_who_is_there() {
    let model = mutant::what_has_come_is_looked_at_before_who_is_there::model::model;
    fails("what_has_come_is_looked_at_before_who_is_there", model, LAST_ACT);
}

#[test]
fn pool_is_counted_once() {
    let model = mutant::pool_is_counted_once::model::model;
    fails("pool_is_counted_once", model, LAST_ACT);
}

#[test]
fn who_has_ended_has_left_nothing() {
    let model = mutant::who_has_ended_has_left_nothing::model::model;
    fails("who_has_ended_has_left_nothing", model, LAST_ACT);
}
