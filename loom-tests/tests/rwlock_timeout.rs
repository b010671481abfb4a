//! A reader behind a writer whose time is over.

use osier_loom_tests::shipped::rwlock_timeout::model;
use osier_loom_tests::{FOR_EVER, fails, holds, mutant};

#[test]
fn shipped() {
    holds(model);
}

#[test]
fn late_writer_serves_nobody() {
    let model = mutant::late_writer_serves_nobody::model::model;
    fails("late_writer_serves_nobody", model, FOR_EVER);
}
