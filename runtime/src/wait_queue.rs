//! The waiters of one object, first in, first out.
//!
//! Owns what is needed to wake each of them. Guarded by its object's lock, or by belonging to one worker.
//!
//! # How to wait
//!
//! 1. Under the object's lock, look whether there is need to wait; if so [`push`](WaitQueue::push) a waiter; unlock; park.
//! 2. Whoever ends the wait [`pop`](WaitQueue::pop)s a waiter under the lock, gives it what it waits for, unlocks, and unparks it.
//! 3. The waiter, whatever its park came to, locks again and [`remove`](WaitQueue::remove)s itself. `false` says that it was
//!    popped: it was *chosen*, and what it was given is its own. Chosen, and killed or past its deadline at the same
//!    time: it takes what it was given, or passes it on to the next. Not chosen, and woken: the wake-up was meant for
//!    something else; wait on.

use slab::Slab;

/// Waiters of type `W` in the order of their arrival.
#[derive(Debug)]
pub(crate) struct WaitQueue<W> {
    nodes: Slab<Node<W>>,
    /// The key of the waiter that came first; `NONE` when there is none.
    first: usize,
    /// The key of the waiter that came last; `NONE` when there is none.
    last: usize,
    /// Counts arrivals: tells a waiter from a later one that stands in the same node.
    arrivals: u64,
}

/// No node.
const NONE: usize = usize::MAX;

/// A place in a queue.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ticket {
    key: usize,
    arrival: u64,
}

#[derive(Debug)]
struct Node<W> {
    waiter: W,
    arrival: u64,
    /// The waiter before this one; `NONE` for the first.
    previous: usize,
    /// The waiter after this one; `NONE` for the last.
    next: usize,
}

impl<W> WaitQueue<W> {
    pub(crate) const fn new() -> WaitQueue<W> {
        WaitQueue { nodes: Slab::new(), first: NONE, last: NONE, arrivals: 0 }
    }

    /// Adds a waiter behind all others.
    pub(crate) fn push(&mut self, waiter: W) -> Ticket {
        self.arrivals += 1;
        let arrival = self.arrivals;
        let key = self.nodes.insert(Node { waiter, arrival, previous: self.last, next: NONE });
        match self.nodes.get_mut(self.last) {
            Some(last) => last.next = key,
            None => self.first = key,
        }
        self.last = key;
        Ticket { key, arrival }
    }

    /// Takes out the waiter that came first: chooses it.
    pub(crate) fn pop(&mut self) -> Option<W> {
        (self.first != NONE).then(|| self.unlink(self.first))
    }

    /// The waiter that came first.
    pub(crate) fn first(&self) -> Option<&W> {
        self.nodes.get(self.first).map(|node| &node.waiter)
    }

    /// The waiter that came first, to be changed.
    pub(crate) fn first_mut(&mut self) -> Option<&mut W> {
        self.nodes.get_mut(self.first).map(|node| &mut node.waiter)
    }

    /// A waiter, if it still stands here; if not it was popped.
    pub(crate) fn standing(&mut self, ticket: Ticket) -> Option<&mut W> {
        let node = self.nodes.get_mut(ticket.key).filter(|node| node.arrival == ticket.arrival);
        node.map(|node| &mut node.waiter)
    }

    /// Chooses all who stand here now.
    pub(crate) fn pop_all(&mut self) -> Vec<W> {
        core::iter::from_fn(|| self.pop()).collect()
    }

    /// Whether a waiter still stands here; if not it was popped.
    pub(crate) fn contains(&self, ticket: Ticket) -> bool {
        self.nodes.get(ticket.key).is_some_and(|node| node.arrival == ticket.arrival)
    }

    /// Takes a waiter out. False if it was popped before.
    pub(crate) fn remove(&mut self, ticket: Ticket) -> bool {
        let stands = self.contains(ticket);
        if stands {
            self.unlink(ticket.key);
        }
        stands
    }

    /// [`WaitQueue::remove`], for a waiter that wants back what it has brought; `None` if it was popped before.
    pub(crate) fn withdraw(&mut self, ticket: Ticket) -> Option<W> {
        self.contains(ticket).then(|| self.unlink(ticket.key))
    }

    /// All that stand here, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &W> {
        self.nodes.iter().map(|(_, node)| &node.waiter)
    }

    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.first == NONE
    }

    fn unlink(&mut self, key: usize) -> W {
        let node = self.nodes.remove(key);
        match self.nodes.get_mut(node.previous) {
            Some(previous) => previous.next = node.next,
            None => self.first = node.next,
        }
        match self.nodes.get_mut(node.next) {
            Some(next) => next.previous = node.previous,
            None => self.last = node.previous,
        }
        node.waiter
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiters_are_chosen_in_order_of_arrival_whoever_leaves() {
        let mut queue = WaitQueue::new();
        let tickets: Vec<_> = (0..5).map(|waiter| queue.push(waiter)).collect();
        assert!(queue.remove(tickets[0]), "the first");
        assert!(queue.remove(tickets[2]), "one in the middle");
        assert!(queue.remove(tickets[4]), "the last");
        assert_eq!(queue.first(), Some(&1));
        assert_eq!((queue.pop(), queue.pop(), queue.pop()), (Some(1), Some(3), None));
        assert!(queue.is_empty());
    }

    #[test]
    fn a_chosen_waiter_does_not_find_itself_nor_remove_its_successor() {
        let mut queue = WaitQueue::new();
        let first = queue.push("first");
        assert_eq!(queue.pop(), Some("first"));
        queue.push("second in the same node");
        assert!(!queue.remove(first));
        assert_eq!(queue.withdraw(first), None);
        assert_eq!(queue.standing(first), None);
        assert_eq!(queue.pop(), Some("second in the same node"));
    }
}
