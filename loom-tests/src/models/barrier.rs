//! Two meet at a barrier while one of them is woken for nothing: nobody passes alone, and one is the leader.

use super::barrier_core::BarrierCore;
use crate::park::{self, Reason};
use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

pub const MET: &str = "who has passed has met the other one";
pub const LEADER: &str = "of those who meet one is the leader";

struct Shared {
    barrier: BarrierCore,
    /// Who has come, noted with no ordering but the barrier's.
    came: [AtomicUsize; 2],
}

fn meet(shared: &Shared, who: usize) -> bool {
    shared.came[who].store(1, Ordering::Relaxed);
    let leader = shared.barrier.wait(Reason::Barrier(0)).expect("nobody is killed");
    assert_eq!(shared.came[1 - who].load(Ordering::Relaxed), 1, "{MET}");
    leader
}

/// The model.
pub fn model() {
    let came = [AtomicUsize::new(0), AtomicUsize::new(0)];
    let shared = Arc::new(Shared { barrier: BarrierCore::new(2), came });
    let theirs = shared.clone();
    let (woken, other) = park::spawn(move || meet(&theirs, 1));
    let waker = thread::spawn(move || woken.unpark_for_nothing());
    let leads = meet(&shared, 0);
    assert_ne!(other.join().expect("nobody panics"), leads, "{LEADER}");
    waker.join().expect("wakers do not panic");
}
