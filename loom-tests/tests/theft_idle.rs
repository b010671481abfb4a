//! A closure for a worker that goes to sleep.

use osier_loom_tests::shipped::theft_idle::{ONE_CALL, TAKEN, model};
use osier_loom_tests::{fails, holds, mutant};

#[test]
fn shipped() {
    holds(model);
}

#[test]
fn idler_announces_without_a_fence() {
    let model = mutant::idler_announces_without_a_fence::model::model;
    fails("idler_announces_without_a_fence", model, TAKEN);
}

#[test]
fn caller_looks_without_a_fence() {
    let model = mutant::caller_looks_without_a_fence::model::model;
    fails("caller_looks_without_a_fence", model, TAKEN);
}

#[test]
fn idler_stays_called() {
    let model = mutant::idler_stays_called::model::model;
    fails("idler_stays_called", model, TAKEN);
}

#[test]
fn who_was_called_is_called_again() {
    let model = mutant::who_was_called_is_called_again::model::model;
    fails("who_was_called_is_called_again", model, ONE_CALL);
}
