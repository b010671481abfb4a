//! The permit of `thread::park`.

use osier_loom_tests::shipped::park::{ONCE, VISIBLE, model};
use osier_loom_tests::{FOR_EVER, fails, holds, mutant};

#[test]
fn shipped() {
    holds(model);
}

#[test]
fn unpark_publishes_nothing() {
    let model = mutant::unpark_publishes_nothing::model::model;
    fails("unpark_publishes_nothing", model, VISIBLE);
}

#[test]
fn second_unpark_hides_the_first() {
    let model = mutant::second_unpark_hides_the_first::model::model;
    fails("second_unpark_hides_the_first", model, FOR_EVER);
}

#[test]
fn permit_stays() {
    let model = mutant::permit_stays::model::model;
    fails("permit_stays", model, ONCE);
}
