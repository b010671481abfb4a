//! Locks that are held by one at a time.

use osier_loom_tests::shipped::mutex::{VISIBLE, model};
use osier_loom_tests::{FOR_EVER, fails, holds, mutant};

#[test]
fn shipped() {
    holds(model);
}

#[test]
fn mutex_publishes_nothing() {
    let model = mutant::mutex_publishes_nothing::model::model;
    fails("mutex_publishes_nothing", model, VISIBLE);
}

#[test]
fn mutex_sees_nothing() {
    let model = mutant::mutex_sees_nothing::model::model;
    fails("mutex_sees_nothing", model, VISIBLE);
}

#[test]
fn unlock_for_a_woken_one_publishes_nothing() {
    let model = mutant::unlock_for_a_woken_one_publishes_nothing::model::model;
    fails("unlock_for_a_woken_one_publishes_nothing", model, VISIBLE);
}

#[test]
fn unlock_wakes_nobody() {
    let model = mutant::unlock_wakes_nobody::model::model;
    fails("unlock_wakes_nobody", model, FOR_EVER);
}

#[test]
fn barging_is_not_noticed() {
    let model = mutant::barging_is_not_noticed::model::model;
    fails("barging_is_not_noticed", model, VISIBLE);
}
