//! A spawn from elsewhere when the runtime ends.

use osier_loom_tests::shipped::spawn_at_the_end::model;
use osier_loom_tests::{FOR_EVER, fails, holds, mutant};

#[test]
fn shipped() {
    holds(model);
}

#[test]
fn spawn_is_not_refused_at_the_end() {
    let model = mutant::spawn_is_not_refused_at_the_end::model::model;
    fails("spawn_is_not_refused_at_the_end", model, FOR_EVER);
}
