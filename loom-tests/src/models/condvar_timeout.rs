//! The time of one of two that wait for a notification passes while one is given: what was announced is found by it or by the
//! other, and the lock is held by one at a time.

use super::condvar_core::CondvarCore;
use crate::clock::Instant;
use crate::park::{self, Cancelled, Holder, Reason, Wake};
use crate::sync::mutex_core::MutexCore;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

pub const VISIBLE: &str = "who was notified sees what was announced";
pub const FREE: &str = "in the end nobody has the lock";

struct Shared {
    mutex: MutexCore,
    condvar: CondvarCore,
    /// What is waited for: so many were announced and not taken. Ordered by nothing but the lock.
    there: AtomicUsize,
}

impl Shared {
    fn reason<'a>() -> Reason<'a> {
        const NOBODY: &Holder = &Holder::nobody();
        Reason::Mutex(0, NOBODY)
    }

    fn lock(&self) {
        assert_eq!(self.mutex.lock(Self::reason(), None), Ok(true));
    }

    fn announce(&self) {
        self.lock();
        self.there.store(self.there.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        self.mutex.unlock();
        self.condvar.notify_one();
    }

    /// Takes one of what was announced, when it is there. False if the deadline came first.
    fn take(&self, deadline: Option<Instant>) -> Result<bool, Cancelled> {
        self.mutex.lock(Self::reason(), None)?;
        loop {
            let there = self.there.load(Ordering::Relaxed);
            if there > 0 {
                self.there.store(there - 1, Ordering::Relaxed);
                self.mutex.unlock();
                return Ok(true);
            }
            let wake = self.condvar.wait(&self.mutex, Reason::Condvar(0), deadline, Self::reason())?;
            if wake == Wake::Deadline {
                self.mutex.unlock();
                return Ok(false);
            }
        }
    }
}

/// The model.
pub fn model() {
    let shared =
        Arc::new(Shared { mutex: MutexCore::new(), condvar: CondvarCore::new(), there: AtomicUsize::new(0) });
    // Makes the lock.
    shared.lock();
    shared.mutex.unlock();
    let theirs = shared.clone();
    let (victim, impatient) = park::spawn(move || theirs.take(Some(Instant::now())) == Ok(true));
    let theirs = shared.clone();
    let patient = thread::spawn(move || assert_eq!(theirs.take(None), Ok(true)));
    victim.let_time_pass();
    shared.announce();
    if impatient.join().expect("waiters do not panic") {
        shared.announce();
    }
    patient.join().expect("waiters do not panic");
    assert_eq!(shared.there.load(Ordering::Relaxed), 0, "{VISIBLE}");
    assert!(shared.mutex.try_lock(), "{FREE}");
}
