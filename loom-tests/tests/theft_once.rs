//! Closures that several want to start.

use osier_loom_tests::shipped::theft_once::{ONCE, model};
use osier_loom_tests::{fails, holds, mutant};

#[test]
fn shipped() {
    holds(model);
}

#[test]
fn end_leaves_the_line_open() {
    let model = mutant::end_leaves_the_line_open::model::model;
    fails("end_leaves_the_line_open", model, ONCE);
}
