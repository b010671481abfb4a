//! A notification that comes when the time is over.

use osier_loom_tests::shipped::condvar_timeout::model;
use osier_loom_tests::{FOR_EVER, fails, holds, mutant};

#[test]
fn shipped() {
    holds(model);
}

#[test]
fn late_one_stays_in_the_queue() {
    let model = mutant::late_one_stays_in_the_queue::model::model;
    fails("late_one_stays_in_the_queue", model, FOR_EVER);
}
