//! Two calls are offloaded, one after the other: the second one finds the OS thread of the first, which ends when the pool is closed.

use super::pool::Pool;
use crate::primitive::{IMPATIENT, STARTED};
use std::sync::atomic::Ordering;

pub const RETURNED: &str = "an offloaded call returns what it returned";
pub const REUSED: &str = "a call that follows another one starts no OS thread";

fn offload(pool: &Pool, value: usize) {
    let returned = pool.run(move || value).expect("nobody is killed").expect("there are OS threads");
    assert_eq!(returned.expect("the call does not panic"), value, "{RETURNED}");
}

/// The model.
pub fn model() {
    IMPATIENT.store(false, Ordering::Relaxed);
    STARTED.store(0, Ordering::Relaxed);
    let pool = Pool::new(2);
    offload(&pool, 1);
    offload(&pool, 2);
    pool.close();
    assert_eq!(STARTED.load(Ordering::Relaxed), 1, "{REUSED}");
}
