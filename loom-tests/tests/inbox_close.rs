//! Pushes that meet the end of the worker.

use osier_loom_tests::shipped::inbox_close::{NOTHING_LEAKS, ONE_FATE, SEES_THE_END, model};
use osier_loom_tests::{fails, holds, mutant};

#[test]
fn shipped() {
    holds(model);
}

#[test]
fn close_publishes_nothing() {
    fails("close_publishes_nothing", mutant::close_publishes_nothing::model::model, SEES_THE_END);
}

#[test]
fn refused_item_leaks() {
    fails("refused_item_leaks", mutant::refused_item_leaks::model::model, NOTHING_LEAKS);
}

#[test]
fn close_leaves_the_door_open() {
    fails("close_leaves_the_door_open", mutant::close_leaves_the_door_open::model::model, ONE_FATE);
}
