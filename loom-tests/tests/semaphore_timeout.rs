//! A permit that is given to one whose time is over.

use osier_loom_tests::shipped::semaphore_timeout::{NOTHING_LOST, NOTHING_MADE, model};
use osier_loom_tests::{fails, holds, mutant};

#[test]
fn shipped() {
    holds(model);
}

#[test]
fn semaphore_takes_any_wake_up_for_a_permit() {
    let model = mutant::semaphore_takes_any_wake_up_for_a_permit::model::model;
    fails("semaphore_takes_any_wake_up_for_a_permit", model, NOTHING_MADE);
}

#[test]
fn late_waiter_loses_its_permit() {
    let model = mutant::late_waiter_loses_its_permit::model::model;
    fails("late_waiter_loses_its_permit", model, NOTHING_LOST);
}
