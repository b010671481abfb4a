//! Whether anybody lives in a runtime, and how that is made final: what each worker has counted, and the seal.
//!
//! # Why the count of nobody is final
//!
//! Whoever lives on a worker was counted there or where it was spawned, before anybody else could see it; and who lives may
//! spawn. So once nobody lives nobody comes to life but by an OS thread that is none of the runtime's, whose green threads
//! are counted by the worker that takes them in. That one and the end of an entry:
//!
//! | who takes one in | who ends the entry |
//! |---|---|
//! | 1. counts its birth ([`Tally::count_birth`]) | 1. seals ([`Seal::close`]) |
//! | 2. fence | 2. fence |
//! | 3. looks for the seal ([`Seal::admits`]); takes the count back if it is there | 3. counts who lives ([`Tally::live`]) |
//!
//! One of them at least sees what the other did in its step 1. Without the fences both may go on: the entry ends, and a
//! worker that is about to leave its OS thread has somebody to run. Were the sums of [`Tally::live`] taken in the other order, a
//! green thread that is born and one that ends between them would make one who lives look like nobody.

use crate::primitive::{AtomicBool, AtomicUsize, Ordering, fence};

/// How many green threads there were on a worker. Written by the worker alone, so it is loaded and stored, never exchanged.
pub(crate) struct Tally {
    /// Those that were spawned by this worker, or came to it from an OS thread that is none of its runtime's.
    born: AtomicUsize,
    /// Those that have ended here, wherever they were born.
    done: AtomicUsize,
}

impl Tally {
    pub(crate) fn new() -> Tally {
        Tally { born: AtomicUsize::new(0), done: AtomicUsize::new(0) }
    }

    pub(crate) fn count_birth(&self) {
        // Release: who sees a green thread done that was born before sees its birth, too.
        self.born.store(self.born.load(Ordering::Relaxed) + 1, Ordering::Release);
    }

    pub(crate) fn count_end(&self) {
        // Release: as above; with the acquire in `live`.
        self.done.store(self.done.load(Ordering::Relaxed) + 1, Ordering::Release);
    }

    /// Born and not done, on all of `workers`. Zero is certain: at some instant of the call nobody lived.
    pub(crate) fn live<'a>(workers: impl Iterator<Item = &'a Tally> + Clone) -> usize {
        // Both only grow, and nobody ends before it was born. So those that were done when the first sum was complete are at least
        // that many, those that were born by then at most as many as the second sum: if the sums are equal, so were they at that
        // instant. Acquire: whoever is seen done has been born as this OS thread sees it.
        let done: usize = workers.clone().map(|tally| tally.done.load(Ordering::Acquire)).sum();
        let born: usize = workers.map(|tally| tally.born.load(Ordering::Acquire)).sum();
        born - done
    }
}

/// Keeps workers from taking in green threads that OS threads have spawned, once an entry ends.
pub(crate) struct Seal {
    closed: AtomicBool,
}

impl Seal {
    /// One that keeps nobody out.
    pub(crate) fn open() -> Seal {
        Seal { closed: AtomicBool::new(false) }
    }

    /// Keeps nobody out from now on. Nobody takes anybody in meanwhile.
    pub(crate) fn reopen(&self) {
        self.closed.store(false, Ordering::Relaxed);
    }

    /// Keeps out whoever comes from now on. Whoever calls this looks then who was taken in before.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
        // Pairs with the fence in `admits`.
        fence(Ordering::SeqCst);
    }

    /// Whether one may be taken in whose birth the caller has counted just now, or put where the one who closes this looks.
    pub(crate) fn admits(&self) -> bool {
        // Pairs with the fence in `close`.
        fence(Ordering::SeqCst);
        !self.is_closed()
    }

    /// Whether it is closed, as far as the caller has heard.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }
}
