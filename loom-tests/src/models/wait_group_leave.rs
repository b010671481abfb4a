//! Two members leave a group while one waits whose deadline passes: it has seen all leave, or is a member again.

use super::wait_group::WaitGroup;
use crate::park;
use core::time::Duration;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

pub const VISIBLE: &str = "who has waited for all sees what they did before they left";

/// The model.
pub fn model() {
    let group = WaitGroup::new();
    let left = Arc::new(AtomicUsize::new(0));
    let (member, theirs) = (group.clone(), left.clone());
    let first = thread::spawn(move || {
        theirs.fetch_add(1, Ordering::Relaxed);
        drop(member);
    });
    let (member, seen) = (group.clone(), left.clone());
    let (victim, impatient) = park::spawn(move || match member.wait_timeout(Duration::from_secs(1)) {
        Ok(()) => assert_eq!(seen.load(Ordering::Relaxed), 1, "{VISIBLE}"),
        Err(member) => drop(member),
    });
    victim.let_time_pass();
    group.wait();
    assert_eq!(left.load(Ordering::Relaxed), 1, "{VISIBLE}");
    first.join().expect("members do not panic");
    impatient.join().expect("members do not panic");
}
