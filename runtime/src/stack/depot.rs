//! Depots: the idle stacks of one class, shared by all OS threads.
//!
//! Owns each stack that is neither in use nor in an OS thread's cache. Only [`super::cache`] calls this.

use super::arena::{Uncut, Way};
use super::{Class, GUARD, Slot};
use crate::primitive::{Mutex, MutexGuard};
use crate::sys::memory::{self, PAGE};
use core::sync::atomic::{AtomicU32, Ordering};
use std::io;

/// Bytes of idle stacks, counted at their full size, that keep their pages in each depot.
const WARM_BYTES: usize = 256 * 1024 * 1024;

/// How many idle stacks keep their pages in each depot, at least and at most.
const WARM_COUNT: core::ops::RangeInclusive<usize> = 16..=4096;

/// Pages at the top that an idle stack keeps when it is one too many for these. Few stacks have touched more, and to touch them
/// anew costs several times as much as to give back what lies below.
const TOP: usize = 2 * PAGE;

/// Bytes of idle stacks that keep their top in each depot, besides those that keep all.
const TOPS_BYTES: usize = 128 * 1024 * 1024;

/// Bytes of the first arena of a class, unless a single stack is larger; and of the largest, likewise.
const FIRST_ARENA: usize = 4 * 1024 * 1024;
const LARGEST_ARENA: usize = 64 * 1024 * 1024 * 1024;

/// Bytes of address space of idle neighbours above which a trim also takes their guards and page tables away (a
/// thousand default stacks have half a MiB of page tables). Not for less, since the next use costs each a new guard.
const UNCUT_BYTES: usize = 256 * 1024 * 1024;

static DEPOTS: [Mutex<Depot>; Class::COUNT] = {
    let mut depots = [const { Mutex::new(Depot::new(Class::with_index(0), Way::Mark)) }; Class::COUNT];
    let mut index = 0;
    while index < Class::COUNT {
        let depot = Mutex::new(Depot::new(Class::with_index(index), Way::Mark));
        // Forgotten, since a static's initializer cannot drop; it owns nothing.
        core::mem::forget(core::mem::replace(&mut depots[index], depot));
        index += 1;
    }
    depots
};

/// A bit for each class that has an arena.
static USED: AtomicU32 = AtomicU32::new(0);

/// The idle stacks of one class.
#[derive(Debug)]
pub(super) struct Depot {
    class: Class,
    /// How the next guard is made.
    way: Way,
    /// Idle stacks that keep their pages, the last one used at the end.
    warm: Vec<Slot>,
    /// How many of these keep their top only: the ones that have been idle longest, at the beginning.
    tops: usize,
    /// Idle stacks whose pages were given back. Both lists have room for all stacks of the depot, so that making a stack idle never allocates.
    cold: Vec<Slot>,
    /// Parts of arenas that are not cut into stacks.
    uncut: Vec<Uncut>,
    /// How many stacks there are: in use, in a cache, or in a list above.
    cut: usize,
    /// Bytes of all arenas of this depot.
    mapped: usize,
}

/// The depot of a class, locked.
pub(super) fn of(class: Class) -> MutexGuard<'static, Depot> {
    // No code that holds the lock panics.
    DEPOTS[class.index()].lock()
}

/// The classes of which stacks were ever made: mostly one or two.
pub(super) fn used() -> impl Iterator<Item = Class> {
    let used = USED.load(Ordering::Relaxed);
    (0..Class::COUNT).filter(move |index| used >> index & 1 != 0).map(Class::with_index)
}

/// How many stacks were ever made, and the bytes that are mapped for stacks.
pub(super) fn totals() -> (usize, usize) {
    used().fold((0, 0), |(cut, mapped), class| {
        let depot = of(class);
        (cut + depot.cut, mapped + depot.mapped)
    })
}

impl Depot {
    /// How many idle stacks keep their top only, at most.
    pub(super) const MOST_TOPS: usize = TOPS_BYTES / TOP;

    pub(super) const fn new(class: Class, way: Way) -> Depot {
        Depot {
            class,
            way,
            warm: Vec::new(),
            tops: 0,
            cold: Vec::new(),
            uncut: Vec::new(),
            cut: 0,
            mapped: 0,
        }
    }

    /// The idle stack that was used last among those that have pages.
    pub(super) fn take_warm(&mut self) -> Option<Slot> {
        let slot = self.warm.pop();
        self.tops = self.tops.min(self.warm.len());
        slot
    }

    /// A stack without pages, from a new arena if need be.
    pub(super) fn take_cold(&mut self) -> io::Result<Slot> {
        if let Some(slot) = self.cold.pop() {
            return Ok(slot);
        }
        loop {
            let Some(uncut) = self.uncut.last_mut() else {
                self.grow()?;
                continue;
            };
            if let Some(slot) = uncut.cut(self.class, &mut self.way)? {
                self.cut += 1;
                return Ok(slot);
            }
            self.uncut.pop();
        }
    }

    /// Maps the next arena, as large as all before it together.
    fn grow(&mut self) -> io::Result<()> {
        let spacing = self.class.spacing();
        let count = (self.mapped.clamp(FIRST_ARENA, LARGEST_ARENA) / spacing).max(1);
        // Room first: an arena cannot be given back. The errors carry no message of their own: to make one takes memory.
        let total = self.cut + count;
        let (warm, cold) = (&mut self.warm, &mut self.cold);
        let room = warm.try_reserve(total - warm.len()).and_then(|()| cold.try_reserve(total - cold.len()));
        room.and_then(|()| self.uncut.try_reserve(1)).map_err(|_| io::ErrorKind::OutOfMemory)?;
        let uncut = Uncut::map(self.class, count)?;
        self.mapped += uncut.bytes();
        self.uncut.push(uncut);
        // Relaxed: who reads the mask takes the lock before it looks at what this OS thread has done.
        USED.fetch_or(1 << self.class.index(), Ordering::Relaxed);
        Ok(())
    }

    /// Makes a stack idle; it was used later than all that are idle here.
    pub(super) fn put(&mut self, slot: Slot) {
        self.warm.push(slot);
        let bound = self.warm_bound();
        if self.warm.len() - self.tops > bound {
            self.keep_tops(bound.div_ceil(2));
        }
        if self.tops > Depot::MOST_TOPS {
            // Half of them at once: neighbours go back with one call.
            self.give_back(Depot::MOST_TOPS / 2);
        }
    }

    /// Gives back the pages of all idle stacks, and of many idle neighbours what else they cost.
    pub(super) fn trim(&mut self) {
        if !self.warm.is_empty() {
            self.give_back(self.warm.len());
            self.uncut_idle();
        }
    }

    /// How many idle stacks keep their pages, or at least their top.
    pub(super) fn warm(&self) -> usize {
        self.warm.len()
    }

    /// How many of these keep their top only.
    #[cfg(test)]
    pub(super) fn tops(&self) -> usize {
        self.tops
    }

    /// Leaves the next `count` stacks, of those that have been idle longest, their top.
    fn keep_tops(&mut self, count: usize) {
        let class = self.class;
        for slot in &self.warm[self.tops..][..count] {
            let start = slot.limit(class) + GUARD;
            // SAFETY: the stack is idle and ours, and what is discarded lies in it, below what its link is in.
            unsafe { memory::discard(start, slot.end() - TOP - start) };
        }
        self.tops += count;
    }

    pub(super) fn warm_bound(&self) -> usize {
        (WARM_BYTES / self.class.size()).clamp(*WARM_COUNT.start(), *WARM_COUNT.end())
    }

    /// Gives back the pages of the `count` stacks that have been idle longest. The lock is held meanwhile: to unlock
    /// would need a third list, and who waits for the lock would take a cold stack, which costs a page fault anyway.
    fn give_back(&mut self, count: usize) {
        let class = self.class;
        let idle = &mut self.warm[..count];
        idle.sort_unstable();
        // Neighbours at once, over the guards between them, which stay.
        for run in idle.chunk_by(|low, high| high.limit(class) == low.end()) {
            let (Some(first), Some(last)) = (run.first(), run.last()) else { continue };
            let start = first.limit(class) + GUARD;
            // SAFETY: from the first stack's lowest usable page to the last one's end there are only idle stacks of ours and guards.
            unsafe { memory::discard(start, last.end() - start) };
        }
        // In reverse, so that the lowest address is taken first: neighbours share page tables.
        self.cold.extend(self.warm.drain(..count).rev());
        self.tops = self.tops.saturating_sub(count);
    }

    /// Makes long runs of cold stacks uncut again.
    fn uncut_idle(&mut self) {
        let class = self.class;
        self.cold.sort_unstable();
        let (mut begin, mut kept) = (0, 0);
        while begin < self.cold.len() {
            let run = self.cold[begin..].chunk_by(|low, high| high.limit(class) == low.end()).next();
            let end = begin + run.map_or(1, <[Slot]>::len);
            let (start, bytes) = (self.cold[begin].limit(class), (end - begin) * class.spacing());
            if bytes >= UNCUT_BYTES && self.uncut.try_reserve(1).is_ok() {
                // SAFETY: whole stacks of ours with their guards, all idle; they cease to be stacks here, and get a guard
                // again when they are cut again.
                unsafe { memory::unguard_and_discard(start, bytes) };
                self.cut -= end - begin;
                self.uncut.push(Uncut::again(start, bytes));
            } else {
                self.cold.copy_within(begin..end, kept);
                kept += end - begin;
            }
            begin = end;
        }
        self.cold.truncate(kept);
        self.cold.reverse(); // lowest address first, as in `give_back`
    }
}
