//! Arenas: one mapping each, cut into stacks of one class.
//!
//! Owns the list of all arenas, which only grows and is read without a lock, also in a signal handler. Only a depot
//! makes arenas and cuts stacks from them.

use super::{Class, GUARD, Slot};
use crate::sys::memory::{self, PAGE};
use core::num::NonZeroUsize;
use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};
use std::io;

/// How a guard is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// A mark in the page table: `MADV_GUARD_INSTALL`.
    Mark,
    /// Permissions taken away: `mprotect`, which makes two more mappings a stack.
    Protection,
}

/// What there is to know of an arena; never changes once it is listed.
struct Arena {
    start: usize,
    /// Exclusive.
    end: usize,
    class: Class,
    /// The arena listed before this one; null for the first.
    next: *const Arena,
}

/// The arena listed last; null while there is none. An arena stays in the list for ever.
static ARENAS: AtomicPtr<Arena> = AtomicPtr::new(ptr::null_mut());

/// Cache lines in the steps of a stack's colour, and how many colours there are: at most half a page.
const LINE: usize = 64;
const COLOURS: usize = 32;

/// A part of an arena, or of arenas that are neighbours, that is not cut into stacks.
#[derive(Debug)]
pub(super) struct Uncut {
    /// Where the next stack's guard will begin.
    next: usize,
    /// Exclusive; equal to `next` when all is cut.
    end: usize,
    /// How many were cut from this part; only for the colour.
    cut: usize,
}

impl Uncut {
    /// A part of an arena whose stacks exist no more: from one guard's place to another's.
    pub(super) fn again(start: usize, bytes: usize) -> Uncut {
        Uncut { next: start, end: start + bytes, cut: 0 }
    }

    /// Maps an arena for `count` stacks, or for as many fewer as the machine gives.
    pub(super) fn map(class: Class, mut count: usize) -> io::Result<Uncut> {
        let mut record = Vec::new();
        if record.try_reserve_exact(1).is_err() {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        let start = loop {
            match memory::reserve(count * class.spacing()) {
                Ok(start) => break start,
                Err(error) if count == 1 => return Err(error),
                Err(_) => count /= 2,
            }
        };
        let end = start + count * class.spacing();
        let mut next = ARENAS.load(Ordering::Relaxed);
        record.push(Arena { start, end, class, next });
        let arena = &raw mut record.leak()[0];
        // Release: pairs with the load in `find`, which reads the record.
        while let Err(now) = ARENAS.compare_exchange_weak(next, arena, Ordering::Release, Ordering::Relaxed) {
            next = now;
            // SAFETY: the record is leaked, so valid, and not shared before the exchange succeeds.
            unsafe { (*arena).next = next };
        }
        Ok(Uncut { next: start, end, cut: 0 })
    }

    /// Bytes of address space that are left.
    pub(super) fn bytes(&self) -> usize {
        self.end - self.next
    }

    /// Cuts a stack and guards it; `None` when all is cut. Where the kernel refuses marks, `way` becomes `Protection`.
    pub(super) fn cut(&mut self, class: Class, way: &mut Way) -> io::Result<Option<Slot>> {
        if self.next == self.end {
            return Ok(None);
        }
        if *way == Way::Mark {
            // SAFETY: the guard lies in our arena, in whole pages, and no stack has been cut there.
            match unsafe { memory::guard_by_mark(self.next, GUARD) } {
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => *way = Way::Protection,
                result => result?,
            }
        }
        if *way == Way::Protection {
            // SAFETY: as above.
            unsafe { memory::guard_by_protection(self.next, GUARD) }?;
        }
        self.next += class.spacing();
        let base = self.next - (self.cut % COLOURS) * LINE;
        self.cut += 1;
        Ok(NonZeroUsize::new(base).map(|base| Slot { base }))
    }
}

/// The stack in whose guard an address lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Guarded {
    /// Where the guard begins.
    pub(super) limit: usize,
    /// Usable bytes of the stack.
    pub(super) size: usize,
}

/// The stack in whose guard `address` lies, if any. Takes no lock and allocates nothing: a signal handler may call it.
pub(super) fn guard_at(address: usize) -> Option<Guarded> {
    // Acquire: pairs with the exchange in `map`; what the record links to was published before it.
    let mut arena = ARENAS.load(Ordering::Acquire).cast_const();
    while !arena.is_null() {
        // SAFETY: a listed record is never freed nor changed.
        let Arena { start, end, class, next } = *unsafe { &*arena };
        if (start..end).contains(&address) {
            let offset = (address - start) % class.spacing();
            return (offset < GUARD).then_some(Guarded { limit: address - offset, size: class.size() });
        }
        arena = next;
    }
    None
}

// A shallow body's frames fit into the rest of the page, also on a machine whose pages are the smallest.
const _: () = assert!(COLOURS * LINE <= PAGE / 2);
