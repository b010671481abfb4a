//! A permit that is given to one who is killed.

use osier_loom_tests::shipped::semaphore_kill::{NOTHING_LOST, model};
use osier_loom_tests::{fails, holds, mutant};

#[test]
fn shipped() {
    holds(model);
}

#[test]
fn killed_waiter_keeps_its_permit() {
    let model = mutant::killed_waiter_keeps_its_permit::model::model;
    fails("killed_waiter_keeps_its_permit", model, NOTHING_LOST);
}

#[test]
fn killed_waiter_stays_in_the_queue() {
    let model = mutant::killed_waiter_stays_in_the_queue::model::model;
    fails("killed_waiter_stays_in_the_queue", model, NOTHING_LOST);
}
