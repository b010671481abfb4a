//! The last sender goes.

use osier_loom_tests::shipped::channel_close::model;
use osier_loom_tests::{FOR_EVER, fails, holds, mutant};

#[test]
fn shipped() {
    holds(model);
}

#[test]
fn last_sender_tells_nobody() {
    let model = mutant::last_sender_tells_nobody::model::model;
    fails("last_sender_tells_nobody", model, FOR_EVER);
}

#[test]
fn receiver_is_over_at_once() {
    let model = mutant::receiver_is_over_at_once::model::model;
    fails("receiver_is_over_at_once", model, FOR_EVER);
}
