//! An item that is pushed while it stands in the inbox.

use osier_loom_tests::shipped::inbox_repeat::{AGAIN, VISIBLE, model};
use osier_loom_tests::{fails, holds, mutant};

#[test]
fn shipped() {
    holds(model);
}

#[test]
fn repeated_push_publishes_nothing() {
    fails("repeated_push_publishes_nothing", mutant::repeated_push_publishes_nothing::model::model, VISIBLE);
}

#[test]
fn drain_does_not_acquire_repeated_pushes() {
    let model = mutant::drain_does_not_acquire_repeated_pushes::model::model;
    fails("drain_does_not_acquire_repeated_pushes", model, VISIBLE);
}

#[test]
fn queued_stays_set() {
    fails("queued_stays_set", mutant::queued_stays_set::model::model, AGAIN);
}
