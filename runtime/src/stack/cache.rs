//! The cache of idle stacks that each OS thread has in front of the depots, and the count of stacks in use.
//!
//! A cache is a list for each class, last in first out, linked through the stacks themselves: the word below an idle
//! stack's base holds the base of the next one. That line is the first that its next user touches, so it costs nothing
//! to have it in the processor's cache, and there is nothing to allocate.
//!
//! Owns the stacks in the lists. Only the OS thread itself reads or changes them; at its end they go to the depots, and
//! whatever is dropped after that goes there directly.

use super::depot;
use super::{Class, Slot, Stack};
use crate::primitive::{Mutex, MutexGuard};
use core::cell::Cell;
use core::num::NonZeroUsize;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicIsize, Ordering};
use std::io;

/// Bytes of idle stacks, counted at their full size, in each list; and how many stacks at least and at most.
const CACHED_BYTES: usize = 16 * 1024 * 1024;
const CACHED_COUNT: core::ops::RangeInclusive<usize> = 4..=64;

/// The same for what a trim leaves in each list: the stacks of the next few green threads.
const KEPT_BYTES: usize = 4 * 1024 * 1024;
const KEPT_COUNT: usize = 16;

thread_local! {
    static CACHE: Cache = const { Cache { lists: [const { List::new() }; Class::COUNT], balance: AtomicIsize::new(0), known: Cell::new(false) } };
}

/// The caches of all OS threads.
static CACHES: Mutex<Known> = Mutex::new(Known { live: Vec::new() });

/// Stacks acquired less stacks dropped by OS threads that have ended, and by those that are past their cache's end.
static BALANCE: AtomicIsize = AtomicIsize::new(0);

struct Cache {
    lists: [List; Class::COUNT],
    /// Stacks acquired less stacks dropped on this OS thread: negative where others' are dropped. Written by this OS thread only, so
    /// it is loaded and stored, never exchanged.
    balance: AtomicIsize,
    /// Whether `CACHES` lists this cache: from its first acquire or drop, to its end.
    known: Cell<bool>,
}

/// Idle stacks of one class.
struct List {
    /// The last one dropped; `None` when the list is empty.
    head: Cell<Option<Slot>>,
    len: Cell<u32>,
    /// The list spills when it is longer than this; 0 as long as the list was never used.
    most: Cell<u32>,
}

/// Where the caches are, so that their balances can be added up.
struct Known {
    /// Each is valid until its OS thread takes it out, under the lock, at its end.
    live: Vec<NonNull<AtomicIsize>>,
}

// SAFETY: the pointers are to atomics, valid as said above.
unsafe impl Send for Known {}

fn known() -> MutexGuard<'static, Known> {
    CACHES.lock()
}

/// A stack of this class.
#[inline]
pub(super) fn take(class: Class) -> io::Result<Stack> {
    let fast = CACHE.try_with(|cache| {
        let slot = cache.lists[class.index()].pop()?;
        cache.count(1);
        Some(slot)
    });
    match fast {
        // SAFETY: a slot in a list of this class is a guarded stack of this class, and has just been taken out.
        Ok(Some(slot)) => Ok(unsafe { slot.into_stack(class) }),
        _ => take_slow(class),
    }
}

#[cold]
fn take_slow(class: Class) -> io::Result<Stack> {
    let slot = {
        let mut depot = depot::of(class);
        match depot.take_warm() {
            Some(slot) => {
                // Some more for the next ones, the oldest first, so that the order stays.
                let _ = CACHE.try_with(|cache| cache.lists[class.index()].refill(class, &mut depot));
                slot
            }
            None => depot.take_cold()?,
        }
    };
    if CACHE.try_with(|cache| cache.count_known(1)).is_err() {
        BALANCE.fetch_add(1, Ordering::Relaxed);
    }
    // SAFETY: the depot of this class gives guarded stacks of this class.
    Ok(unsafe { slot.into_stack(class) })
}

/// Makes a stack idle.
#[inline]
pub(super) fn give(class: Class, slot: Slot) {
    let fast = CACHE.try_with(|cache| {
        let list = &cache.lists[class.index()];
        if list.len.get() < list.most.get() {
            list.push(slot);
            cache.count(-1);
        } else {
            give_slow(cache, class, slot);
        }
    });
    if fast.is_err() {
        give_late(class, slot);
    }
}

#[cold]
fn give_slow(cache: &Cache, class: Class, slot: Slot) {
    let list = &cache.lists[class.index()];
    list.most.set(most(class));
    if list.len.get() == list.most.get() {
        list.spill(list.len.get() / 2, class);
    }
    list.push(slot);
    cache.count_known(-1);
}

/// While thread-locals are being destroyed.
#[cold]
fn give_late(class: Class, slot: Slot) {
    depot::of(class).put(slot);
    BALANCE.fetch_sub(1, Ordering::Relaxed);
}

/// How many stacks a list of this class holds.
fn most(class: Class) -> u32 {
    (CACHED_BYTES / class.size()).clamp(*CACHED_COUNT.start(), *CACHED_COUNT.end()) as u32
}

/// Stacks acquired and not dropped, over all OS threads; leaked ones are among them.
pub(super) fn in_use() -> usize {
    let known = known();
    let ended = BALANCE.load(Ordering::Relaxed);
    let live: isize = known
        .live
        .iter()
        // SAFETY: valid while it is listed; the lock is held.
        .map(|balance| unsafe { balance.as_ref() }.load(Ordering::Relaxed))
        .sum();
    usize::try_from(ended + live).unwrap_or(0)
}

/// How many stacks a trim leaves in a list of this class.
pub(super) fn kept(class: Class) -> u32 {
    (KEPT_BYTES / class.size()).min(KEPT_COUNT) as u32
}

/// Gives the pages of idle stacks back to the machine: those of stacks that no OS thread has cached, and those that
/// this OS thread has cached, but for a few. What other OS threads have cached is theirs to trim.
///
/// For a worker that has had nothing to do for a while, not for each short sleep: each of these stacks costs its next
/// user a page fault, microseconds. So a worker that is about to wait for long while [`has_idle_pages`] first waits for
/// a fraction of a second, and trims if nothing has come.
pub(crate) fn trim() {
    let _ = CACHE.try_with(|cache| {
        for class in depot::used() {
            cache.lists[class.index()].spill(kept(class), class);
        }
    });
    depot::used().for_each(|class| depot::of(class).trim());
}

/// Whether [`trim`] has anything to give back. Takes an uncontended lock or two.
pub(crate) fn has_idle_pages() -> bool {
    depot::used().any(|class| {
        let cached = CACHE.try_with(|cache| cache.lists[class.index()].len.get()).unwrap_or(0);
        cached > kept(class) || depot::of(class).warm() > 0
    })
}

impl Cache {
    #[inline]
    fn count(&self, change: isize) {
        // Relaxed: a statistic; `in_use` says that its figures are recent, not of one instant.
        self.balance.store(self.balance.load(Ordering::Relaxed) + change, Ordering::Relaxed);
    }

    /// [`Cache::count`], for the paths that may be this OS thread's first.
    fn count_known(&self, change: isize) {
        if !self.known.replace(true) {
            known().live.push(NonNull::from(&self.balance));
        }
        self.count(change);
    }
}

impl Drop for Cache {
    fn drop(&mut self) {
        for (index, list) in self.lists.iter().enumerate() {
            list.spill(0, Class::with_index(index));
        }
        let mut known = known();
        known.live.retain(|balance| *balance != NonNull::from(&self.balance));
        // Under the lock: `in_use` sees it either listed or added here.
        BALANCE.fetch_add(self.balance.load(Ordering::Relaxed), Ordering::Relaxed);
    }
}

impl List {
    const fn new() -> List {
        List { head: Cell::new(None), len: Cell::new(0), most: Cell::new(0) }
    }

    #[inline]
    fn push(&self, slot: Slot) {
        // SAFETY: the stack is idle and ours.
        unsafe { slot.link().write(self.head.get()) };
        self.head.set(Some(slot));
        self.len.set(self.len.get() + 1);
    }

    #[inline]
    fn pop(&self) -> Option<Slot> {
        let slot = self.head.get()?;
        // SAFETY: the stack is in the list, so `push` has written the link.
        self.head.set(unsafe { slot.link().read() });
        self.len.set(self.len.get() - 1);
        Some(slot)
    }

    /// Moves stacks from the depot here, until half of the room is used.
    fn refill(&self, class: Class, depot: &mut depot::Depot) {
        let want = most(class) / 2;
        let mut last: Option<Slot> = None;
        // The depot gives the last used first, so each is linked behind the one before it.
        while self.len.get() < want {
            let Some(slot) = depot.take_warm() else { break };
            // SAFETY: the stack is idle, and ours since the depot gave it.
            unsafe { slot.link().write(None) };
            match last {
                // SAFETY: likewise; it is the end of the list.
                Some(last) => unsafe { last.link().write(Some(slot)) },
                None => self.head.set(Some(slot)),
            }
            self.len.set(self.len.get() + 1);
            last = Some(slot);
        }
    }

    /// Moves all but the `keep` last used stacks to the depot.
    fn spill(&self, keep: u32, class: Class) {
        if self.len.get() <= keep {
            return;
        }
        let mut rest = self.head.get();
        if keep == 0 {
            self.head.set(None);
        } else {
            let mut last = None;
            for _ in 0..keep {
                last = rest;
                // SAFETY: the stack is in the list, so `push` has written the link.
                rest = rest.and_then(|slot| unsafe { slot.link().read() });
            }
            if let Some(last) = last {
                // SAFETY: as above.
                unsafe { last.link().write(None) };
            }
        }
        self.len.set(keep);
        // Turned round in place, so that the depot gets the last used one last.
        let mut oldest: Option<Slot> = None;
        while let Some(slot) = rest {
            // SAFETY: still ours: cut off from the list and not yet in the depot.
            rest = unsafe { slot.link().replace(oldest) };
            oldest = Some(slot);
        }
        let mut depot = depot::of(class);
        while let Some(slot) = oldest {
            // SAFETY: as above; read before the depot may give its page back.
            oldest = unsafe { slot.link().read() };
            depot.put(slot);
        }
    }
}

impl Slot {
    /// Where an idle stack in a list holds the next one.
    #[inline]
    fn link(self) -> *mut Option<Slot> {
        const { assert!(size_of::<Option<Slot>>() == size_of::<NonZeroUsize>()) };
        core::ptr::with_exposed_provenance_mut(self.base.get() - size_of::<Option<Slot>>())
    }
}
