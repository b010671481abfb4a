//! The last member leaves.

use osier_loom_tests::shipped::wait_group_leave::{VISIBLE, model};
use osier_loom_tests::{FOR_EVER, fails, holds, mutant};

#[test]
fn shipped() {
    holds(model);
}

#[test]
fn last_member_wakes_nobody() {
    let model = mutant::last_member_wakes_nobody::model::model;
    fails("last_member_wakes_nobody", model, FOR_EVER);
}

#[test]
fn late_member_is_not_counted() {
    let model = mutant::late_member_is_not_counted::model::model;
    fails("late_member_is_not_counted", model, VISIBLE);
}
