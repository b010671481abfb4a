//! A worker that sleeps is woken, once.

use osier_loom_tests::shipped::inbox_sleep::{AWAKE, NOTHING_LOST, ONE_WAKE, model};
use osier_loom_tests::{fails, holds, mutant};

#[test]
fn shipped() {
    holds(model);
}

#[test]
fn push_does_not_tell_to_wake() {
    fails("push_does_not_tell_to_wake", mutant::push_does_not_tell_to_wake::model::model, AWAKE);
}

#[test]
fn every_push_tells_to_wake() {
    fails("every_push_tells_to_wake", mutant::every_push_tells_to_wake::model::model, ONE_WAKE);
}

#[test]
fn sleep_does_not_look() {
    fails("sleep_does_not_look", mutant::sleep_does_not_look::model::model, NOTHING_LOST);
}
