//! Taking one in, against the end of an entry.

use osier_loom_tests::shipped::seal::{COUNTED, model};
use osier_loom_tests::{fails, holds, mutant};

#[test]
fn shipped() {
    holds(model);
}

#[test]
fn seal_closes_without_a_fence() {
    let model = mutant::seal_closes_without_a_fence::model::model;
    fails("seal_closes_without_a_fence", model, COUNTED);
}

#[test]
fn seal_is_looked_at_without_a_fence() {
    let model = mutant::seal_is_looked_at_without_a_fence::model::model;
    fails("seal_is_looked_at_without_a_fence", model, COUNTED);
}
