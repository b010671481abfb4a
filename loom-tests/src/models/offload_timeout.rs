//! Two calls are offloaded while the OS thread of the first one ends for want of work: none is left in the queue.

use super::pool::Pool;
use crate::primitive::IMPATIENT;
use std::sync::atomic::Ordering;

/// The model.
pub fn model() {
    IMPATIENT.store(true, Ordering::Relaxed);
    let pool = Pool::new(1);
    for _ in 0..2 {
        assert!(pool.run(|| ()).is_ok_and(|returned| returned.is_ok()));
    }
    pool.close();
}
