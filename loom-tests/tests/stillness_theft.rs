//! A closure that is taken by a thief, against stillness.

use osier_loom_tests::shipped::stillness_theft::{ON_ITS_WAY, model};
use osier_loom_tests::{fails, holds, mutant};

#[test]
fn shipped() {
    holds(model);
}

#[test]
fn robber_stays_announced() {
    let model = mutant::robber_stays_announced::model::model;
    fails("robber_stays_announced", model, ON_ITS_WAY);
}

#[test]
fn turns_of_thefts_are_not_compared() {
    let model = mutant::turns_of_thefts_are_not_compared::model::model;
    fails("turns_of_thefts_are_not_compared", model, ON_ITS_WAY);
}
