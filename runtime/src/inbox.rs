//! How other OS threads reach a worker: a lock-free list that the worker empties, and the announcement that it sleeps.
//!
//! Owns the items between `push` and `drain`. Any OS thread may push; only the worker drains, sleeps and closes.
//!
//! # Protocol
//!
//! One word, `head`, holds the whole state, so there is no window between "is it empty?" and "I sleep":
//!
//! | `head` | meaning |
//! |---|---|
//! | null | empty, the worker is awake |
//! | `SLEEPING` | empty, the worker sleeps or is about to |
//! | `CLOSED` | the worker has ended; a push is refused |
//! | else | the last item pushed; the items are linked through their `Link`, newest first |
//!
//! 1. A pusher replaces `head` by its item. If it replaced `SLEEPING` it, and nobody else, must wake the worker: several
//!    pushers cost one eventfd write a sleep.
//! 2. The worker takes the whole list at once, so a popped item cannot come back under a pusher's feet (no ABA).
//! 3. The worker falls asleep only by replacing null, which fails if anything was pushed since the last drain.
//!
//! An item stands in the inbox at most once: `queued` is set by the pusher that links it and cleared by the worker before
//! it acts on the item. A pusher that finds it set has nothing to do: the worker is still
//! to look at the item, or has ended, and the pusher that set it is about to find that out.

use crate::primitive::{Arc, AtomicBool, AtomicPtr, Ordering};
use core::ptr;

/// What an item needs so that it can stand in an inbox.
pub(crate) struct Link<T> {
    /// The item pushed before this one; null for the first. Meaningful only while this item stands in an inbox.
    next: AtomicPtr<T>,
    /// True from the push until the worker has taken the item out.
    queued: AtomicBool,
}

impl<T> Link<T> {
    pub(crate) fn new() -> Link<T> {
        Link { next: AtomicPtr::new(ptr::null_mut()), queued: AtomicBool::new(false) }
    }
}

/// An item that can stand in an inbox.
pub(crate) trait Linked: Sized {
    /// The item's own link: the same one at each call.
    fn link(&self) -> &Link<Self>;
}

/// What a push came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Push {
    /// The worker is awake, or somebody else has been told to wake it.
    Done,
    /// The worker sleeps, and the caller must wake it.
    MustWake,
    /// The worker has ended: it will never look at the item.
    Closed,
}

/// The list of what other OS threads have for a worker.
pub(crate) struct Inbox<T: Linked> {
    /// See the module's table.
    head: AtomicPtr<T>,
}

/// Addresses that no item can have.
fn sleeping<T>() -> *mut T {
    ptr::without_provenance_mut(1)
}

fn closed<T>() -> *mut T {
    ptr::without_provenance_mut(2)
}

impl<T: Linked> Inbox<T> {
    pub(crate) fn new() -> Inbox<T> {
        Inbox { head: AtomicPtr::new(ptr::null_mut()) }
    }

    /// Adds `item`, unless it stands here already. Any OS thread may call this.
    pub(crate) fn push(&self, item: Arc<T>) -> Push {
        // AcqRel: releases what the caller did before to the worker's swap in `Drain::next` (also when the item was queued
        // already), and acquires that swap, after which the link is ours.
        if item.link().queued.swap(true, Ordering::AcqRel) {
            return Push::Done;
        }
        let item = Arc::into_raw(item).cast_mut();
        // Acquire on every read of `head`: pairs with `close`, so that who finds the inbox closed sees the end.
        let mut head = self.head.load(Ordering::Acquire);
        loop {
            if head == closed() {
                // SAFETY: `item` came from `Arc::into_raw` above and was not published.
                let item = unsafe { Arc::from_raw(item) };
                item.link().queued.store(false, Ordering::Release); // pairs with a later push's swap
                return Push::Closed;
            }
            let next = if head == sleeping() { ptr::null_mut() } else { head };
            // SAFETY: `item` is alive, since its count was not given up; relaxed, since the exchange below publishes it.
            unsafe { &*item }.link().next.store(next, Ordering::Relaxed);
            // Release: pairs with the worker's swap in `take`.
            match self.head.compare_exchange_weak(head, item, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) if head == sleeping() => return Push::MustWake,
                Ok(_) => return Push::Done,
                Err(now) => head = now,
            }
        }
    }

    /// Takes everything out, oldest first, and takes back an announced sleep. Only the worker calls this.
    pub(crate) fn drain(&self) -> Drain<T> {
        // The load spares the exchange in the common case; a push that it misses is found before the next sleep.
        if self.head.load(Ordering::Relaxed).is_null() {
            return Drain { next: ptr::null_mut() };
        }
        self.take(ptr::null_mut())
    }

    /// Announces that the worker is about to sleep. False if something has come in: drain first. Only the worker calls this.
    pub(crate) fn sleep(&self) -> bool {
        // Release: pairs with the push that replaces SLEEPING; that pusher's wake-up comes after all that the worker did.
        match self.head.compare_exchange(ptr::null_mut(), sleeping(), Ordering::Release, Ordering::Relaxed) {
            Ok(_) => true,
            Err(head) => head == sleeping(),
        }
    }

    /// Whether the worker has announced that it sleeps, and nothing has come since. Any OS thread may call this.
    pub(crate) fn is_asleep(&self) -> bool {
        // Acquire: pairs with `sleep`; what the worker did before is seen.
        self.head.load(Ordering::Acquire) == sleeping()
    }

    /// Whether nothing stands here. Any OS thread may call this.
    pub(crate) fn is_empty(&self) -> bool {
        // Acquire: as above.
        let head = self.head.load(Ordering::Acquire);
        head.is_null() || head == sleeping()
    }

    /// Refuses every later push, and takes out what came before. Only the worker calls this.
    pub(crate) fn close(&self) -> Drain<T> {
        self.take(closed())
    }

    fn take(&self, leave: *mut T) -> Drain<T> {
        // Acquire: pairs with each pusher's exchange; release: `close` pairs with the loads in `push`.
        let mut head = self.head.swap(leave, Ordering::AcqRel);
        if head == sleeping() || head == closed() {
            head = ptr::null_mut();
        }
        // Newest first, as pushed; turn it round.
        let mut reversed = ptr::null_mut();
        while !head.is_null() {
            // SAFETY: each item in the list holds the count that its pusher gave up, so it is alive.
            let link = unsafe { &*head }.link();
            let next = link.next.load(Ordering::Relaxed);
            link.next.store(reversed, Ordering::Relaxed);
            reversed = head;
            head = next;
        }
        Drain { next: reversed }
    }
}

impl<T: Linked> Drop for Inbox<T> {
    fn drop(&mut self) {
        self.take(closed()).for_each(drop);
    }
}

/// The items of one [`Inbox::drain`], oldest first.
pub(crate) struct Drain<T: Linked> {
    /// The next item to give out; null at the end. Each linked item holds one count.
    next: *mut T,
}

impl<T: Linked> Iterator for Drain<T> {
    type Item = Arc<T>;

    fn next(&mut self) -> Option<Arc<T>> {
        if self.next.is_null() {
            return None;
        }
        // SAFETY: the item holds the count that its pusher gave up; it leaves the list here, so that is used once.
        let item = unsafe { Arc::from_raw(self.next) };
        self.next = item.link().next.load(Ordering::Relaxed);
        // AcqRel: acquires what pushers did that found it queued; releases the link to the next one that does not.
        item.link().queued.swap(false, Ordering::AcqRel);
        Some(item)
    }
}

impl<T: Linked> Drop for Drain<T> {
    fn drop(&mut self) {
        self.for_each(drop);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::sync::atomic::AtomicU64;
    use std::thread;

    struct Item {
        link: Link<Item>,
        /// Counts up with each push; what the one that drains has seen of it must reach the end.
        pushed: AtomicU64,
        pusher: usize,
    }

    impl Linked for Item {
        fn link(&self) -> &Link<Item> {
            &self.link
        }
    }

    /// OS threads push a few items again and again, most of the time while they stand in the inbox already. The worker sleeps when
    /// it finds nothing, so a wake-up that is lost leaves this test hanging; no wake-up comes without a sleep; the close takes
    /// out or refuses what is left; and whatever a pusher did last has been seen.
    #[test]
    fn many_pushers_lose_neither_items_nor_wake_ups() {
        const PUSHERS: usize = 4;
        const ITEMS: usize = 3;
        // Miri is some hundred times slower.
        const PUSHES: u64 = if cfg!(miri) { 100 } else { 20_000 };
        let inbox: Arc<Inbox<Item>> = Arc::new(Inbox::new());
        let worker = thread::current();
        let pushers: Vec<_> = (0..PUSHERS)
            .map(|pusher| {
                let (inbox, worker) = (inbox.clone(), worker.clone());
                thread::spawn(move || {
                    let item = || Item { link: Link::new(), pushed: AtomicU64::new(0), pusher };
                    let items: [_; ITEMS] = core::array::from_fn(|_| Arc::new(item()));
                    let mut wakes = 0_u64;
                    for number in 1..=PUSHES {
                        for item in &items {
                            // Relaxed: the push is what publishes it.
                            item.pushed.store(number, Ordering::Relaxed);
                            match inbox.push(item.clone()) {
                                Push::Done => {}
                                Push::MustWake => {
                                    wakes += 1;
                                    worker.unpark();
                                }
                                Push::Closed => panic!("the worker has not closed its inbox"),
                            }
                        }
                    }
                    wakes
                })
            })
            .collect();
        let mut finished = [0; PUSHERS];
        let mut sleeps = 0_u64;
        while finished != [ITEMS; PUSHERS] {
            let mut drained = false;
            for item in inbox.drain() {
                drained = true;
                // Once seen as finished an item is not pushed any more, but it may have been when it was seen.
                if item.pushed.swap(0, Ordering::Relaxed) == PUSHES {
                    finished[item.pusher] += 1;
                }
            }
            if !drained && inbox.sleep() {
                sleeps += 1;
                // May return for no reason, as `epoll_wait` does.
                thread::park();
            }
        }
        let wakes: u64 = pushers.into_iter().map(|pusher| pusher.join().unwrap()).sum();
        assert!(wakes <= sleeps, "{wakes} wake-ups for {sleeps} sleeps");
        assert_eq!(inbox.close().map(|item| item.pushed.load(Ordering::Relaxed)).sum::<u64>(), 0);
        let late = Arc::new(Item { link: Link::new(), pushed: AtomicU64::new(0), pusher: 0 });
        assert_eq!(inbox.push(late.clone()), Push::Closed);
        assert_eq!(Arc::strong_count(&late), 1, "a refused item is let go of");
    }
}
