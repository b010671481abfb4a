//! Orders for a worker that goes to sleep.

use osier_loom_tests::shipped::orders_sleep::{SEEN, model};
use osier_loom_tests::{FOR_EVER, fails, holds, mutant};

#[test]
fn shipped() {
    holds(model);
}

#[test]
fn order_publishes_nothing() {
    let model = mutant::order_publishes_nothing::model::model;
    fails("order_publishes_nothing", model, SEEN);
}

#[test]
fn order_is_not_acquired() {
    let model = mutant::order_is_not_acquired::model::model;
    fails("order_is_not_acquired", model, SEEN);
}

#[test]
fn order_hides_another() {
    let model = mutant::order_hides_another::model::model;
    fails("order_hides_another", model, FOR_EVER);
}
