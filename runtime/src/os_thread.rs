//! An OS thread as one that waits: what a green thread's control block is for the others.
//!
//! Owns the token with which it is unparked. An OS thread that drives a runtime (between `enter` and its end, outside of any
//! green thread) keeps it running while it waits.

use crate::clock::Instant;
use crate::limits::Limits;
use crate::park::{Cancelled, Wake, earliest, passed};
use crate::permit::Permit;
use crate::primitive::{Condvar, Mutex};
use crate::scheduler::{Remote, Worker};
use crate::unwinding::Count;
use core::cell::{Cell, RefCell};
use core::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;

/// The control block of an OS thread.
pub(crate) struct OsThread {
    /// As `thread::ThreadId` shows it.
    pub(crate) id: u64,
    /// What std knows it by.
    pub(crate) name: Option<Box<str>>,
    /// The token of `thread::park`.
    pub(crate) permit: Permit,
    /// True from an unpark to the end of the next park.
    token: Mutex<bool>,
    unparked: Condvar,
    /// How often it has parked. Written by itself alone.
    parks: AtomicU64,
    /// The worker that this OS thread drives at the time, to be roused with it.
    drives: Mutex<Option<Arc<Remote>>>,
    /// Unwindings that are no failure.
    pub(crate) orderly: Count,
}

thread_local! {
    static CURRENT: RefCell<Option<Arc<OsThread>>> = const { RefCell::new(None) };
    /// Instead of `CURRENT` once that has been destroyed. Has no destructor, so it is there until the end; what it holds then
    /// is leaked.
    static LAST: Cell<Option<&'static Arc<OsThread>>> = const { Cell::new(None) };
}

impl OsThread {
    /// Of the OS thread that calls, also while its thread-locals are being destroyed.
    pub(crate) fn current() -> Arc<OsThread> {
        CURRENT
            .try_with(|current| current.borrow_mut().get_or_insert_with(OsThread::new).clone())
            .unwrap_or_else(|_| {
                let last = LAST.get().unwrap_or_else(|| Box::leak(Box::new(OsThread::new())));
                LAST.set(Some(last));
                last.clone()
            })
    }

    fn new() -> Arc<OsThread> {
        Arc::new(OsThread {
            id: crate::task::next_id(),
            name: std::thread::current().name().map(Box::from),
            permit: Permit::new(),
            token: Mutex::new(false),
            unparked: Condvar::new(),
            parks: AtomicU64::new(0),
            drives: Mutex::new(None),
            orderly: Count::new(),
        })
    }

    /// Notes which worker this OS thread drives.
    pub(crate) fn drives(&self, remote: Option<Arc<Remote>>) {
        *self.drives.lock() = remote;
    }

    pub(crate) fn unpark(&self) {
        *self.token.lock() = true;
        self.unparked.notify_one();
        let drives = self.drives.lock().clone();
        if let Some(remote) = drives {
            remote.rouse();
        }
    }

    /// Counts a park.
    fn count_park(&self) -> u64 {
        // Relaxed: only this OS thread reads it.
        self.parks.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Blocks the OS thread.
    pub(crate) fn park(&self, deadline: Option<Instant>) -> Result<Wake, Cancelled> {
        self.count_park();
        let (until, whose) = earliest(deadline, &Limits::now());
        let mut token = self.token.lock();
        loop {
            if std::mem::take(&mut *token) {
                return Ok(Wake::Unparked);
            }
            token = match until {
                None => self.unparked.wait(token, None),
                Some(until) => {
                    let left = until.saturating_duration_since(Instant::of_machine());
                    if left.is_zero() {
                        return passed(whose);
                    }
                    self.unparked.wait(token, Some(left))
                }
            };
        }
    }

    /// Runs the worker's green threads until unparked. What a turn runs may wait as this OS thread, too (a panic hook, a destructor
    /// for which there was no stack): it may have been given the token that was meant for this wait, which then ends for no reason.
    pub(crate) fn park_driving(&self, worker: &Worker, deadline: Option<Instant>) -> Result<Wake, Cancelled> {
        let (until, whose) = earliest(deadline, &Limits::now());
        let mut ended = Ok(Wake::Unparked);
        let number = self.count_park();
        let is_last = || self.parks.load(Ordering::Relaxed) == number;
        worker.drive(|worker| {
            while is_last() && !std::mem::take(&mut *self.token.lock()) {
                if until.is_some_and(|until| until <= worker.now()) {
                    ended = passed(whose);
                    break;
                }
                worker.turn(until);
            }
        });
        ended
    }
}
