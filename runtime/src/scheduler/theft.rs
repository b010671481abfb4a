//! Closures that wait to be started and may be taken by another worker, and how a worker that has nothing to do hears of one.
//!
//! Owns the closures from the spawn to the start. Each worker has [`Offers`] of its own, into which only it puts; a runtime has one
//! set more for what comes from elsewhere, and one [`Idlers`].
//!
//! # Exactly once
//!
//! A closure leaves its offers under their lock: whoever takes it runs it. Its worker takes it by number, in the order
//! that its run queue says; thieves take the oldest. Numbers are never used again, so the entry of a run queue whose
//! closure was taken cannot start another one.
//!
//! # No closure waits beside a worker that sleeps
//!
//! | who offers | who goes to sleep |
//! |---|---|
//! | 1. puts the closure in ([`Offers::push`]) | 1. announces that it is idle ([`Idlers::announce`]) |
//! | 2. fence | 2. fence |
//! | 3. looks who is idle ([`Idlers::call`]), and wakes one | 3. looks at all offers once more; sleeps if there are none |
//!
//! With both fences, one of them at least sees what the other did in its step 1. Without either both may look too early: the
//! closure then waits, however long its worker computes, beside one that sleeps.
//!
//! # One at a time
//!
//! `called` is set from the call of an idle worker until that has got up. While it is set nobody else is called: a
//! thousand closures offered in a row wake one worker, not all. Whoever gets up clears it first and looks at the offers then
//! ([`Idlers::withdraw`]); takes one; and calls the next idle worker if there are more. So an offer that was made while
//! `called` was set is seen: by the one that was called, or, if there was none left to be called, by the caller, which
//! clears it and looks again. (Clearing it after the look, or without a fence in between, would lose that offer.)

use crate::primitive::{AtomicBool, AtomicUsize, Mutex, Ordering, fence, lock};
use std::collections::VecDeque;

/// Closures that wait to be started, oldest first.
pub(crate) struct Offers<T> {
    line: Mutex<Line<T>>,
    /// How many there are, for who looks without the lock. Changed under it.
    count: AtomicUsize,
}

struct Line<T> {
    /// By number; `None` for what was taken out of the middle.
    places: VecDeque<(usize, Option<T>)>,
    /// Places in which there is something.
    filled: usize,
    /// The number of the next one.
    next: usize,
    /// Nothing is taken in any more.
    closed: bool,
}

impl<T> Offers<T> {
    pub(crate) fn new() -> Offers<T> {
        let line = Line { places: VecDeque::new(), filled: 0, next: 0, closed: false };
        Offers { line: Mutex::new(line), count: AtomicUsize::new(0) }
    }

    /// Adds the newest, and gives its number.
    ///
    /// # Errors
    ///
    /// `offer` itself, when nothing is taken in any more.
    pub(crate) fn push(&self, offer: T) -> Result<usize, T> {
        let mut line = lock(&self.line);
        if line.closed {
            return Err(offer);
        }
        let number = line.next;
        line.next += 1;
        line.places.push_back((number, Some(offer)));
        line.filled += 1;
        self.count_down_or_up(&line);
        Ok(number)
    }

    /// Takes the one with this number; `None` if it has been taken.
    pub(crate) fn take(&self, number: usize) -> Option<T> {
        let mut line = lock(&self.line);
        let index = line.places.binary_search_by_key(&number, |(number, _)| *number).ok()?;
        let offer = line.places[index].1.take()?;
        line.filled -= 1;
        line.tidy();
        self.count_down_or_up(&line);
        Some(offer)
    }

    /// Takes the oldest.
    pub(crate) fn take_oldest(&self) -> Option<T> {
        if self.is_empty() {
            return None;
        }
        let mut line = lock(&self.line);
        // The first place is never an empty one.
        let (_, offer) = line.places.pop_front()?;
        line.filled -= 1;
        line.tidy();
        self.count_down_or_up(&line);
        offer
    }

    /// Whether there are none, as far as the caller has heard.
    pub(crate) fn is_empty(&self) -> bool {
        // Acquire: pairs with the store in `count_down_or_up`; who sees that the last one was taken sees that its taker is up. The fences
        // of `Idlers` order it for those who must not miss any; the lock does for what is taken.
        self.count.load(Ordering::Acquire) == 0
    }

    /// Takes in nothing from now on; gives what there is, oldest first.
    pub(crate) fn close(&self) -> impl Iterator<Item = T> {
        let mut line = lock(&self.line);
        line.closed = true;
        line.filled = 0;
        let places = std::mem::take(&mut line.places);
        self.count_down_or_up(&line);
        places.into_iter().filter_map(|(_, offer)| offer)
    }

    fn count_down_or_up(&self, line: &Line<T>) {
        // Release: pairs with the load in `is_empty`.
        self.count.store(line.filled, Ordering::Release);
    }
}

impl<T> Line<T> {
    /// Keeps the empty places fewer than the others, and none in front.
    fn tidy(&mut self) {
        while self.places.front().is_some_and(|(_, offer)| offer.is_none()) {
            self.places.pop_front();
        }
        if self.places.len() > 2 * self.filled {
            self.places.retain(|(_, offer)| offer.is_some());
        }
    }
}

/// The workers of a runtime that have nothing to do.
pub(crate) struct Idlers {
    /// For each worker, whether it sleeps, or is about to, and may be called.
    idle: Box<[AtomicBool]>,
    /// One was called and has not got up yet.
    called: AtomicBool,
    /// Worker 0 has left its OS thread to a foreign loop with nothing to do, and is to be called when nobody idle is, once. Not idle: it
    /// may be long until that loop turns, and nobody else is called meanwhile.
    away: AtomicBool,
}

impl Idlers {
    /// Of so many workers, all of them busy.
    pub(crate) fn new(workers: usize) -> Idlers {
        Idlers {
            idle: (0..workers).map(|_| AtomicBool::new(false)).collect(),
            called: AtomicBool::new(false),
            away: AtomicBool::new(false),
        }
    }

    /// Worker 0 is away; it must look at all offers after that, before it leaves its OS thread to a foreign loop.
    pub(crate) fn first_leaves(&self) {
        // A swap, here and below, as in `announce`.
        self.away.swap(true, Ordering::Relaxed);
        // Pairs with the fence in `call_idle`: either worker 0 sees what was offered, or whoever has offered it sees this.
        fence(Ordering::SeqCst);
    }

    /// Worker 0 looks by itself again.
    pub(crate) fn first_returns(&self) {
        self.away.swap(false, Ordering::Relaxed);
    }

    /// Says that `worker` has nothing to do; it must look at all offers after that, before it sleeps.
    pub(crate) fn announce(&self, worker: usize) {
        // Relaxed: the fence orders it before the look, for who reads it in `call_idle` after a fence. A swap, here and where `called` is
        // cleared, since others swap it at the same time: loom loses the order of mere stores among these.
        self.idle[worker].swap(true, Ordering::Relaxed);
        // Pairs with the fence in `call_idle`.
        fence(Ordering::SeqCst);
    }

    /// `worker`, which has announced itself, is up again. True if it was called: then it must look at all offers.
    pub(crate) fn withdraw(&self, worker: usize) -> bool {
        // AcqRel: pairs with the exchange in `call_idle`; one of the two finds it set.
        if self.idle[worker].swap(false, Ordering::AcqRel) {
            return false;
        }
        self.called.swap(false, Ordering::Relaxed);
        // Pairs with the fence in `call_idle`: what was offered by who found `called` set is seen now.
        fence(Ordering::SeqCst);
        true
    }

    /// After something was offered: the worker that the caller must wake. That is an idle one, if none is on its way; else worker 0, if
    /// it is away.
    pub(crate) fn call(&self) -> Option<usize> {
        // The load spares the exchange in the common case.
        let first = || self.away.load(Ordering::Relaxed) && self.away.swap(false, Ordering::Relaxed);
        self.call_idle().or_else(|| first().then_some(0))
    }

    fn call_idle(&self) -> Option<usize> {
        loop {
            // Pairs with the fences in `announce` and `withdraw`.
            fence(Ordering::SeqCst);
            if !self.idle.iter().any(|idle| idle.load(Ordering::Relaxed)) {
                return None;
            }
            if self.called.load(Ordering::Relaxed) || self.called.swap(true, Ordering::AcqRel) {
                return None;
            }
            for (worker, idle) in self.idle.iter().enumerate() {
                // AcqRel: pairs with the exchange in `withdraw`.
                if idle.load(Ordering::Relaxed) && idle.swap(false, Ordering::AcqRel) {
                    return Some(worker);
                }
            }
            // They got up by themselves. Others may have relied on this call, so look again.
            self.called.swap(false, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::primitive::Arc;
    use std::sync::atomic::AtomicU64;
    use std::thread;

    #[test]
    fn taken_by_number_or_from_the_front_each_leaves_once() {
        let offers = Offers::new();
        let numbers: Vec<_> = (0..6).map(|n| offers.push(n).unwrap()).collect();
        assert_eq!(offers.take_oldest(), Some(0));
        assert_eq!(offers.take(numbers[0]), None, "it was taken");
        assert_eq!(offers.take(numbers[2]), Some(2));
        assert_eq!(offers.take(numbers[1]), Some(1));
        assert_eq!(offers.take_oldest(), Some(3), "the empty place in front is skipped");
        assert_eq!(offers.take(numbers[5]), Some(5));
        assert_eq!(offers.take(numbers[4]), Some(4));
        assert!(offers.is_empty());
        assert_eq!(
            offers.push(6).map(|number| numbers.contains(&number)),
            Ok(false),
            "numbers are not used again"
        );
        assert_eq!(offers.close().collect::<Vec<_>>(), [6]);
        assert_eq!(offers.push(7), Err(7));
        assert_eq!(offers.take_oldest(), None);
    }

    #[test]
    fn places_do_not_pile_up_behind_one_that_stays() {
        let offers = Offers::new();
        offers.push(0).unwrap();
        for n in 1..10_000 {
            let number = offers.push(n).unwrap();
            assert_eq!(offers.take(number), Some(n));
        }
        assert!(lock(&offers.line).places.len() <= 2);
        assert_eq!(offers.take_oldest(), Some(0));
    }

    /// Workers offer, rob each other and sleep; a call that is lost leaves this test hanging, since nobody offers twice.
    #[test]
    fn nobody_sleeps_beside_an_offer() {
        const WORKERS: usize = 4;
        const OFFERS: u64 = 20_000;
        struct Shared {
            offers: Offers<u64>,
            idlers: Idlers,
            taken: AtomicU64,
            threads: Mutex<Vec<thread::Thread>>,
        }
        let shared = Arc::new(Shared {
            offers: Offers::new(),
            idlers: Idlers::new(WORKERS),
            taken: AtomicU64::new(0),
            threads: Mutex::new(Vec::new()),
        });
        let wake = |shared: &Shared, worker: usize| lock(&shared.threads)[worker].unpark();
        let workers: Vec<_> = (0..WORKERS)
            .map(|me| {
                let threads = shared.clone();
                let shared = shared.clone();
                let thread = thread::spawn(move || {
                    while lock(&shared.threads).len() < WORKERS {
                        thread::yield_now();
                    }
                    let mut sum = 0;
                    loop {
                        while let Some(offer) = shared.offers.take_oldest() {
                            sum += offer;
                            if !shared.offers.is_empty()
                                && let Some(other) = shared.idlers.call()
                            {
                                wake(&shared, other);
                            }
                            if shared.taken.fetch_add(1, Ordering::AcqRel) + 1 == OFFERS {
                                lock(&shared.threads).iter().for_each(thread::Thread::unpark);
                            }
                        }
                        if shared.taken.load(Ordering::Acquire) == OFFERS {
                            return sum;
                        }
                        shared.idlers.announce(me);
                        if shared.offers.is_empty() {
                            thread::park();
                        }
                        shared.idlers.withdraw(me);
                    }
                });
                lock(&threads.threads).push(thread.thread().clone());
                thread
            })
            .collect();
        for offer in 1..=OFFERS {
            shared.offers.push(offer).unwrap();
            if let Some(worker) = shared.idlers.call() {
                while lock(&shared.threads).len() < WORKERS {
                    thread::yield_now();
                }
                wake(&shared, worker);
            }
            if offer % 64 == 0 {
                // Lets them fall asleep.
                thread::yield_now();
            }
        }
        let sum: u64 = workers.into_iter().map(|worker| worker.join().unwrap()).sum();
        assert_eq!(sum, OFFERS * (OFFERS + 1) / 2, "each was taken once");
    }
}
