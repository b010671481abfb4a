//! A notification that meets a kill.

use osier_loom_tests::shipped::condvar::model;
use osier_loom_tests::{FOR_EVER, fails, holds, mutant};

#[test]
fn shipped() {
    holds(model);
}

#[test]
fn unlocked_before_it_waits() {
    let model = mutant::unlocked_before_it_waits::model::model;
    fails("unlocked_before_it_waits", model, FOR_EVER);
}

#[test]
fn killed_one_keeps_the_notification() {
    let model = mutant::killed_one_keeps_the_notification::model::model;
    fails("killed_one_keeps_the_notification", model, FOR_EVER);
}
