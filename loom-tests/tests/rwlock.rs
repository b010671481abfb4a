//! Readers and writers.

use osier_loom_tests::shipped::rwlock::model;
use osier_loom_tests::{RACE, fails, holds, mutant};

#[test]
fn shipped() {
    holds(model);
}

#[test]
fn reader_publishes_nothing() {
    let model = mutant::reader_publishes_nothing::model::model;
    fails("reader_publishes_nothing", model, RACE);
}

#[test]
fn writer_publishes_nothing() {
    let model = mutant::writer_publishes_nothing::model::model;
    fails("writer_publishes_nothing", model, RACE);
}

#[test]
fn reader_comes_in_beside_a_writer() {
    let model = mutant::reader_comes_in_beside_a_writer::model::model;
    fails("reader_comes_in_beside_a_writer", model, RACE);
}
