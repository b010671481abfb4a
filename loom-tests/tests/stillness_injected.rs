//! Taking in what OS threads have spawned, against stillness.

use osier_loom_tests::shipped::stillness_injected::{HAS_CHANGED, ON_ITS_WAY, model, model_of_reports};
use osier_loom_tests::{fails, holds, mutant};

#[test]
fn shipped() {
    holds(model);
}

#[test]
fn shipped_of_reports() {
    holds(model_of_reports);
}

#[test]
fn injected_ones_are_looked_at_last() {
    let model = mutant::injected_ones_are_looked_at_last::model::model;
    fails("injected_ones_are_looked_at_last", model, ON_ITS_WAY);
}

#[test]
fn taking_publishes_nothing() {
    let model = mutant::taking_publishes_nothing::model::model;
    fails("taking_publishes_nothing", model, ON_ITS_WAY);
}

#[test]
fn taking_is_not_acquired() {
    let model = mutant::taking_is_not_acquired::model::model;
    fails("taking_is_not_acquired", model, ON_ITS_WAY);
}

#[test]
fn reports_hold_whoever_has_come() {
    let model = mutant::reports_hold_whoever_has_come::model::model_of_reports;
    fails("reports_hold_whoever_has_come", model, HAS_CHANGED);
}

#[test]
fn reports_hold_whatever_has_run() {
    let model = mutant::reports_hold_whatever_has_run::model::model_of_reports;
    fails("reports_hold_whatever_has_run", model, HAS_CHANGED);
}
