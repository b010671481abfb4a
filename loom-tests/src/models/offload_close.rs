//! A call is offloaded while the pool is closed and its caller is killed: it runs or it is dropped, once, and its OS thread ends.

use super::pool::Pool;
use crate::park;
use crate::primitive::IMPATIENT;
use std::sync::atomic::{AtomicUsize, Ordering};

pub const ONE_FATE: &str = "a call that was offloaded is run or dropped, and dropped after it was run";

/// What a call has captured. Counts of std, for the model's own use: they order nothing.
struct Captured {
    dropped: &'static AtomicUsize,
}

impl Drop for Captured {
    fn drop(&mut self) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
    }
}

/// The model.
pub fn model() {
    static DROPPED: AtomicUsize = AtomicUsize::new(0);
    DROPPED.store(0, Ordering::Relaxed);
    IMPATIENT.store(false, Ordering::Relaxed);
    let pool = Pool::new(1);
    let theirs = pool.clone();
    let (victim, caller) = park::spawn(move || {
        let captured = Captured { dropped: &DROPPED };
        theirs.run(move || drop(captured)).is_ok()
    });
    pool.close();
    victim.kill();
    let returned = caller.join().expect("callers do not panic");
    let dropped = DROPPED.load(Ordering::Relaxed);
    assert!(dropped == 1 || !returned && dropped == 0, "{ONE_FATE}");
}
