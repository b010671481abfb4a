//! A green thread spawns another one and ends, while somebody counts those that live.

use super::tally::Tally;
use loom::sync::Arc;
use loom::thread;

pub const SOMEBODY: &str = "who lives is counted";

/// The model.
pub fn model() {
    let tallies = Arc::new([Tally::new(), Tally::new()]);
    assert_eq!(Tally::live(tallies.iter()), 0);
    // It was born on the one worker, and runs on the other.
    tallies[0].count_birth();
    let theirs = tallies.clone();
    let worker = thread::spawn(move || {
        theirs[1].count_birth();
        theirs[1].count_end();
    });
    let looking = thread::spawn(move || Tally::live(tallies.iter()));
    assert_ne!(looking.join().expect("nobody panics"), 0, "{SOMEBODY}");
    worker.join().expect("workers do not panic");
}
