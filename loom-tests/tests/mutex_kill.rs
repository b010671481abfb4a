//! A lock that is handed to one who is killed.

use osier_loom_tests::shipped::mutex_kill::model;
use osier_loom_tests::{FOR_EVER, fails, holds, mutant};

#[test]
fn shipped() {
    holds(model);
}

#[test]
fn killed_owner_keeps_the_lock() {
    let model = mutant::killed_owner_keeps_the_lock::model::model;
    fails("killed_owner_keeps_the_lock", model, FOR_EVER);
}

#[test]
fn killed_waiter_keeps_the_wake_up() {
    let model = mutant::killed_waiter_keeps_the_wake_up::model::model;
    fails("killed_waiter_keeps_the_wake_up", model, FOR_EVER);
}
