//! An OS thread that ends when there is a call for it.

use osier_loom_tests::shipped::offload_timeout::model;
use osier_loom_tests::{FOR_EVER, fails, holds, mutant};

#[test]
fn shipped() {
    holds(model);
}

#[test]
fn os_thread_ends_with_a_call_in_the_queue() {
    let model = mutant::os_thread_ends_with_a_call_in_the_queue::model::model;
    fails("os_thread_ends_with_a_call_in_the_queue", model, FOR_EVER);
}
