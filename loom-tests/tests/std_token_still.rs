//! std's token, against stillness.

use osier_loom_tests::shipped::std_token_still::{NOT_LOST, ON_ITS_WAY, model};
use osier_loom_tests::{fails, holds, mutant};

#[test]
fn shipped() {
    holds(model);
}

#[test]
fn word_says_awake_while_the_worker_sleeps() {
    let model = mutant::word_says_awake_while_the_worker_sleeps::model::model;
    fails("word_says_awake_while_the_worker_sleeps", model, NOT_LOST);
}

#[test]
fn token_is_overwritten_by_sleep() {
    let model = mutant::token_is_overwritten_by_sleep::model::model;
    fails("token_is_overwritten_by_sleep", model, NOT_LOST);
}

#[test]
fn getting_up_publishes_nothing() {
    let model = mutant::getting_up_publishes_nothing::model::model;
    fails("getting_up_publishes_nothing", model, ON_ITS_WAY);
}
