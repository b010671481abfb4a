//! Two calls are offloaded, one after the other, by one who is also woken for nothing: the second one finds the OS thread of the first,
//! which ends when the pool is closed.

use super::pool::Pool;
use crate::park;
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
    let theirs = pool.clone();
    let (woken, caller) = park::spawn(move || {
        offload(&theirs, 1);
        offload(&theirs, 2);
    });
    woken.unpark_for_nothing();
    caller.join().expect("callers do not panic");
    pool.close();
    assert_eq!(STARTED.load(Ordering::Relaxed), 1, "{REUSED}");
}
