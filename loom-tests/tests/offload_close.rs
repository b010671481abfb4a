//! A call that comes when the pool is closed.

use osier_loom_tests::shipped::offload_close::model;
use osier_loom_tests::{fails, holds, mutant};

#[test]
fn shipped() {
    holds(model);
}

#[test]
fn call_is_left_in_the_queue() {
    let model = mutant::call_is_left_in_the_queue::model::model;
    fails("call_is_left_in_the_queue", model, "Arc leaked");
}
