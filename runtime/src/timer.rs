//! The deadlines of a worker's parked green threads.
//!
//! Owns one entry for each wait that has a deadline, in a four-way heap ordered by deadline and, among equal ones, by age,
//! so that firing is deterministic to the nanosecond. Used by one worker only, on its OS thread.
//!
//! Most deadlines are cancelled: those of IO that succeeds. The heap knows each entry's place, so a cancel is as cheap as
//! an insert, and nothing stale stays behind. (A timer wheel would do both in constant time, but rounds deadlines, needs
//! a turn of its own to cascade, and has nothing to give for the next deadline but a scan.)

use crate::clock::Instant;
use slab::Slab;

/// Names a pending entry. Valid until it is cancelled or popped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TimerKey(usize);

/// A set of deadlines, each with the slot of the green thread that waits for it.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    /// A heap: no entry is earlier than its parent, which stands at `(index - 1) / ARITY`.
    heap: Vec<Entry>,
    /// For each key, the index of its entry in `heap`.
    places: Slab<usize>,
    /// Counts insertions; the tie-breaker.
    inserted: u64,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    at: Instant,
    age: u64,
    key: usize,
    slot: usize,
}

impl Entry {
    fn before(&self, other: &Entry) -> bool {
        (self.at, self.age) < (other.at, other.age)
    }
}

/// Children of a node. Four keeps a million entries ten levels deep, and the children of a node in two cache lines.
const ARITY: usize = 4;

impl Timers {
    /// Adds a deadline for the green thread in `slot`.
    pub(crate) fn insert(&mut self, at: Instant, slot: usize) -> TimerKey {
        let index = self.heap.len();
        let key = self.places.insert(index);
        self.inserted += 1;
        self.heap.push(Entry { at, age: self.inserted, key, slot });
        self.rise(index);
        TimerKey(key)
    }

    /// Takes a pending deadline out.
    pub(crate) fn cancel(&mut self, key: TimerKey) {
        let index = self.places.remove(key.0);
        self.take(index);
    }

    /// Takes out the earliest deadline if it is not after `now`; gives its slot.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<usize> {
        let first = *self.heap.first()?;
        if first.at > now {
            return None;
        }
        self.places.remove(first.key);
        self.take(0);
        Some(first.slot)
    }

    /// The earliest deadline.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.heap.first().map(|first| first.at)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }

    /// Removes the entry at `index`; its place has been given up.
    fn take(&mut self, index: usize) {
        self.heap.swap_remove(index);
        if index < self.heap.len() {
            // The one that moved here came from the end, so it may belong further down, or further up in another branch.
            let index = self.rise(index);
            self.sink(index);
        }
    }

    fn rise(&mut self, mut index: usize) -> usize {
        let entry = self.heap[index];
        while index > 0 {
            let parent = (index - 1) / ARITY;
            if !entry.before(&self.heap[parent]) {
                break;
            }
            self.put(index, self.heap[parent]);
            index = parent;
        }
        self.put(index, entry);
        index
    }

    fn sink(&mut self, mut index: usize) {
        let entry = self.heap[index];
        loop {
            let first = index * ARITY + 1;
            let children = first..(first + ARITY).min(self.heap.len());
            let Some(least) = children.reduce(|a, b| if self.heap[b].before(&self.heap[a]) { b } else { a })
            else {
                break;
            };
            if !self.heap[least].before(&entry) {
                break;
            }
            self.put(index, self.heap[least]);
            index = least;
        }
        self.put(index, entry);
    }

    fn put(&mut self, index: usize, entry: Entry) {
        self.heap[index] = entry;
        self.places[entry.key] = index;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::time::Duration;
    use std::collections::BTreeMap;

    fn at(nanos: u64) -> Instant {
        Instant::from_start(Duration::from_nanos(nanos)).unwrap()
    }

    #[test]
    fn nothing_fires_early_and_equal_deadlines_fire_in_order_of_age() {
        let mut timers = Timers::default();
        for slot in 0..10 {
            timers.insert(at(5), slot);
        }
        assert_eq!(timers.pop_due(at(4)), None);
        let fired: Vec<_> = std::iter::from_fn(|| timers.pop_due(at(5))).collect();
        assert_eq!(fired, (0..10).collect::<Vec<_>>());
        assert!(timers.is_empty());
    }

    /// Against a map ordered the same way, over random inserts, cancels and pops.
    #[test]
    fn agrees_with_an_ordered_map() {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut random = |below: u64| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state % below
        };
        let mut timers = Timers::default();
        let mut model = BTreeMap::new();
        let mut pending = Vec::new();
        // Miri is some hundred times slower.
        let steps = if cfg!(miri) { 1_000 } else { 50_000 };
        for step in 0..steps {
            match random(4) {
                0 | 1 => {
                    let deadline = at(random(1_000));
                    let slot = usize::try_from(step).unwrap();
                    pending.push((timers.insert(deadline, slot), (deadline, step)));
                    model.insert((deadline, step), slot);
                }
                2 if !pending.is_empty() => {
                    let index = usize::try_from(random(pending.len() as u64)).unwrap();
                    let (key, entry) = pending.swap_remove(index);
                    timers.cancel(key);
                    assert!(model.remove(&entry).is_some());
                }
                _ => {
                    let now = at(random(1_000));
                    let due =
                        model.first_key_value().filter(|((at, _), _)| *at <= now).map(|(entry, _)| *entry);
                    let expected = due.and_then(|entry| {
                        pending.retain(|(_, other)| *other != entry);
                        model.remove(&entry)
                    });
                    assert_eq!(timers.pop_due(now), expected);
                }
            }
            assert_eq!(timers.next(), model.first_key_value().map(|((at, _), _)| *at));
            assert_eq!(timers.heap.len(), model.len());
        }
    }
}
