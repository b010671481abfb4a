//! Stacks: what fibers run on. Owns the memory of every one, used or idle.
//!
//! # How it fits together
//!
//! Stacks come in size classes, powers of two. Each class has a depot, shared by all OS threads ([`depot`]), that cuts
//! stacks out of arenas ([`arena`]) and keeps the idle ones; each OS thread has a cache in front of the depots
//! ([`cache`]), so that a stack that has just been dropped is acquired again without a lock or an atomic
//! read-modify-write. [`overflow`] reports a stack that is used up.
//!
//! ```text
//!  Stack --drop--> cache (this OS thread) --64--> depot: warm --above a bound, or trim--> depot: cold
//!    ^---acquire------|  <------32----------------|              pages given back, guard stays
//!                     |  <------1-----------------|------------------|
//!                     |  <------1----------------- arena: never used yet, guarded when taken
//!
//! Above a first bound the warm ones keep only their top, all that a shallow body touches.
//! ```
//!
//! # Invariants
//!
//! 1. A stack's guard is installed when the stack is cut out of an arena, before it is handed out, and stays as long as
//!    the stack exists. Many idle neighbours may cease to exist in a trim, and are cut again when they are needed.
//! 2. Memory of stacks is never unmapped, so an address found in an arena stays one of a stack: the overflow report
//!    relies on that. Pages and page tables are given back, address space is not.
//! 3. A stack is in one place only: in use (a [`Stack`] owns it), in one cache, or in a depot.
//!
//! A reused stack still holds what its former user left on it; nothing may rely on fresh zeros.
//!
//! # What a stack costs
//!
//! The pages that were touched: one 4,096-byte page for a shallow body; its address space, which is free; and page
//! tables, 8 bytes for each 4,096 bytes of address space once touched: 520 bytes for a stack of [`DEFAULT_SIZE`].

mod arena;
mod cache;
mod depot;
pub(crate) mod overflow;
#[cfg(test)]
mod tests;

use crate::sys::memory::PAGE;
use core::fmt;
use core::num::NonZeroUsize;
use core::sync::atomic::{AtomicUsize, Ordering};
use std::io;

pub(crate) use cache::{has_idle_pages, trim};

/// Usable bytes of a stack when its user does not ask for a size: 262,144.
///
/// Only touched pages cost memory, so this is generous: what runs on an OS thread's 2 MiB and is not deeply recursive
/// runs here, debug builds, TLS handshakes and panics with a backtrace included.
pub(crate) const DEFAULT_SIZE: usize = 256 * 1024;

/// The smallest stack, in bytes: 16,384 where pages have 4,096. A smaller size asked for gives this one.
pub(crate) const MIN_SIZE: usize = 1 << Class::MIN_LOG2;

/// The largest stack, in bytes: 68,719,476,736 (64 GiB).
pub(crate) const MAX_SIZE: usize = 1 << Class::MAX_LOG2;

/// Bytes of the guard below each stack.
///
/// Rust's functions probe each page of a large frame, so one page catches them all. C's do not: a C function with a large
/// local array may step over a small guard, and with the shims C code that waits is expected on these stacks.
const GUARD: usize = if cfg!(feature = "patch") || PAGE > 65536 { 65536 } else { PAGE };

/// Stacks that were left suspended for ever.
static LEAKED: AtomicUsize = AtomicUsize::new(0);

/// A stack with a guard below it. Dropping it makes it idle, on any OS thread.
///
/// ```text
///   limit                                             base   end (a page boundary)
///     | guard, GUARD | usable, at least the class's size | colour |
///                                          <- grows down
/// ```
///
/// `colour` is 0 to 31 cache lines, different from stack to stack: were all tops aligned alike, the hottest lines of all
/// stacks would fight for the same few sets of the cache. It is taken from a page of its own, on top of the class's
/// size, so it costs address space and no usable byte; and at most half of that page, so that a shallow body still
/// touches one page only.
pub(crate) struct Stack {
    /// Highest address, exclusive; the stack begins here and grows down.
    base: NonZeroUsize,
    /// Lowest address: that of the guard.
    limit: NonZeroUsize,
}

/// A stack of at least `size` usable bytes. Idle ones are used again first, the last one dropped on this OS thread before all others.
///
/// # Errors
///
/// `InvalidInput` when `size` is more than [`MAX_SIZE`]; the system's error (`OutOfMemory`) when the machine gives no more:
/// address space, `vm.max_map_count` where guards are mappings, or page tables.
#[inline]
pub(crate) fn acquire(size: usize) -> io::Result<Stack> {
    match Class::for_size(size) {
        Some(class) => cache::take(class),
        None => Err(too_large(size)),
    }
}

#[cold]
fn too_large(size: usize) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidInput,
        format!("a stack of {size} bytes is larger than the largest, {MAX_SIZE} bytes"),
    )
}

/// Notes that a stack will never be used again nor freed.
pub(crate) fn count_leak() {
    LEAKED.fetch_add(1, Ordering::Relaxed); // a count, ordered with nothing
}

/// How many stacks were leaked since the program started.
pub(crate) fn leaked() -> usize {
    LEAKED.load(Ordering::Relaxed)
}

/// How many stacks there are, and where; see [`stats`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stacks {
    /// Stacks with something on them: started green threads, greenlets and generators that have not ended.
    pub in_use: usize,
    /// Idle stacks, ready to be used again, with and without memory behind them.
    pub pooled: usize,
    /// Stacks left suspended for ever, by handles that outlived their scope; they are in use by nobody and never freed.
    pub leaked: usize,
    /// Bytes of address space set apart for stacks and their guards. Only touched pages of it cost memory.
    pub mapped_bytes: usize,
}

/// How many stacks this process has, over all its OS threads.
///
/// Made for leak checks: once everything that used stacks has ended, `in_use` is what it was before. While other
/// OS threads start and end green threads the figures are each recent, not of one instant. Never waits for green
/// threads; takes a few uncontended locks. Works anywhere, also off a green thread and with no runtime.
///
/// ```
/// let before = osier::stacks();
/// assert!(before.mapped_bytes >= before.in_use * 16_384);
/// ```
pub fn stats() -> Stacks {
    // In this order: a stack leaked in between is counted once too often in `in_use`, never below zero.
    let leaked = leaked();
    let in_use = cache::in_use().saturating_sub(leaked);
    let (guarded, mapped_bytes) = depot::totals();
    Stacks { in_use, pooled: guarded.saturating_sub(in_use + leaked), leaked, mapped_bytes }
}

// SAFETY: the guard below each stack catches an overflow (invariant 1), and at least MIN_SIZE bytes above it are usable; both
// ends stay as long as the stack is owned, and are multiples of 64.
unsafe impl corosensei::stack::Stack for Stack {
    #[inline]
    fn base(&self) -> NonZeroUsize {
        self.base
    }

    #[inline]
    fn limit(&self) -> NonZeroUsize {
        self.limit
    }
}

impl Stack {
    /// The address at which its guard begins: tells it from every other stack.
    #[inline]
    pub(crate) fn limit(&self) -> usize {
        self.limit.get()
    }

    /// The class is not stored: it is the power of two below what lies between the guard and the base, which is the class's
    /// size and less than that again.
    #[inline]
    fn class(&self) -> Class {
        Class { log2: (self.base.get() - self.limit.get() - GUARD).ilog2() }
    }
}

impl Drop for Stack {
    #[inline]
    fn drop(&mut self) {
        cache::give(self.class(), Slot { base: self.base });
    }
}

impl fmt::Debug for Stack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stack").field("size", &self.class().size()).finish_non_exhaustive()
    }
}

/// An idle stack: its base. The rest follows from the class, which is that of the list it is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Slot {
    base: NonZeroUsize,
}

impl Slot {
    /// The page boundary above the colour, where the next stack's guard begins.
    #[inline]
    fn end(self) -> usize {
        self.base.get().next_multiple_of(PAGE)
    }

    #[inline]
    fn limit(self, class: Class) -> usize {
        self.end() - class.spacing()
    }

    /// The stack that this slot is of.
    ///
    /// # Safety
    ///
    /// The slot is of this class, guarded, and the caller has taken it out of the list that it was in.
    #[inline]
    unsafe fn into_stack(self, class: Class) -> Stack {
        // SAFETY: an arena does not begin at address 0.
        let limit = unsafe { NonZeroUsize::new_unchecked(self.limit(class)) };
        Stack { base: self.base, limit }
    }
}

/// A size class: stacks of 2^`log2` usable bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Class {
    /// From `MIN_LOG2` to `MAX_LOG2`.
    log2: u32,
}

// What `Stack::class` relies on.
const _: () = assert!(MIN_SIZE > PAGE);

impl Class {
    /// Where pages are large, larger than a page, so that stacks are whole pages and `Stack::class` can tell.
    const MIN_LOG2: u32 = if PAGE < 1 << 14 { 14 } else { PAGE.ilog2() + 1 };
    const MAX_LOG2: u32 = 36;
    /// How many classes there are.
    const COUNT: usize = (Class::MAX_LOG2 - Class::MIN_LOG2 + 1) as usize;

    /// The smallest class of at least `size` bytes.
    #[inline]
    fn for_size(size: usize) -> Option<Class> {
        if size > MAX_SIZE {
            return None;
        }
        Some(Class { log2: (size.max(MIN_SIZE) - 1).ilog2() + 1 })
    }

    const fn size(self) -> usize {
        1 << self.log2
    }

    /// Bytes from one stack's guard to the next one's.
    const fn spacing(self) -> usize {
        GUARD + self.size() + PAGE
    }

    #[inline]
    const fn index(self) -> usize {
        (self.log2 - Class::MIN_LOG2) as usize
    }

    const fn with_index(index: usize) -> Class {
        Class { log2: Class::MIN_LOG2 + index as u32 }
    }
}
