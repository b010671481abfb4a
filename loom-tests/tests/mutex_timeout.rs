//! A lock that comes when the time is over.

use osier_loom_tests::shipped::mutex_timeout::{ALONE, model};
use osier_loom_tests::{FOR_EVER, fails, holds, mutant};

#[test]
fn shipped() {
    holds(model);
}

#[test]
fn late_waiter_has_the_lock() {
    let model = mutant::late_waiter_has_the_lock::model::model;
    fails("late_waiter_has_the_lock", model, ALONE);
}

#[test]
fn late_waiter_keeps_the_wake_up() {
    let model = mutant::late_waiter_keeps_the_wake_up::model::model;
    fails("late_waiter_keeps_the_wake_up", model, FOR_EVER);
}
