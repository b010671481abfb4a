//! Calls that follow each other.

use osier_loom_tests::shipped::offload_run::{REUSED, model};
use osier_loom_tests::{FOR_EVER, fails, holds, mutant};

#[test]
fn shipped() {
    holds(model);
}

#[test]
fn caller_looks_before_the_os_thread_is_idle() {
    let model = mutant::caller_looks_before_the_os_thread_is_idle::model::model;
    fails("caller_looks_before_the_os_thread_is_idle", model, REUSED);
}

#[test]
fn idle_os_threads_are_not_told_of_the_end() {
    let model = mutant::idle_os_threads_are_not_told_of_the_end::model::model;
    fails("idle_os_threads_are_not_told_of_the_end", model, FOR_EVER);
}
