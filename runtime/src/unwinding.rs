//! Unwinding that is no failure: a kill, a deadline, a greenlet or generator that is told to end.
//!
//! std knows one kind of unwinding, the panic, and what is dropped by it may be half done, so std poisons its locks. Who is
//! killed is unwound from a wait, where nothing is half done that the code had not chosen to leave so.
//!
//! Owns a count for each thread, green or OS: how many such unwindings it is in. It is raised when one begins, and lowered
//! when its [`Orderly`] is dropped, which the payload holds: so when whoever catches the payload drops it. While it is kept
//! the thread counts as being in it, since it may be resumed. Greenlets and generators, whose payloads are the user's, count in
//! their entry instead, from the raising of the payload until their stack has ended or is left.

use crate::entry;
use crate::park::Unparker;
use core::sync::atomic::{AtomicUsize, Ordering};

/// The count of one thread. Others may lower it: a payload can be sent away and dropped there.
#[derive(Debug)]
pub(crate) struct Count(AtomicUsize);

impl Count {
    pub(crate) const fn new() -> Count {
        Count(AtomicUsize::new(0))
    }
}

/// One unwinding of the thread that has made this, as long as this exists.
pub(crate) struct Orderly(Unparker);

impl Orderly {
    /// An unwinding of the thread that calls begins.
    pub(crate) fn begin() -> Orderly {
        let thread = Unparker::current();
        // Relaxed: looked at by the thread itself, and whether another one has lowered it meanwhile is a matter of luck anyway.
        count(&thread).0.fetch_add(1, Ordering::Relaxed);
        Orderly(thread)
    }
}

impl Drop for Orderly {
    fn drop(&mut self) {
        count(&self.0).0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn count(thread: &Unparker) -> &Count {
    match thread {
        Unparker::Green(task) => &task.orderly,
        Unparker::Os(thread) => &thread.orderly,
    }
}

/// Whether the calling thread unwinds because something has failed.
#[inline]
pub(crate) fn by_failure() -> bool {
    std::thread::panicking() && !is_orderly()
}

#[cold]
fn is_orderly() -> bool {
    count(&Unparker::current()).0.load(Ordering::Relaxed) != 0 || entry::exits()
}
