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
    /// The waiter that came first, and its arrival, if nobody waited when it came: one waiter, as most objects have at most, needs
    /// no node.
    head: Option<(W, u64)>,
    /// All others.
    nodes: Slab<Node<W>>,
    /// The key of the one of them that came first; `NONE` when there is none.
    first: usize,
    /// The key of the one of them that came last; `NONE` when there is none.
    last: usize,
    /// Counts arrivals: tells a waiter from a later one that stands in the same place.
    arrivals: u64,
}

/// No node.
const NONE: usize = usize::MAX;

/// The place that is no node.
const HEAD: usize = usize::MAX - 1;

/// A place in a queue.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ticket {
    /// `HEAD`, or the key of a node.
    key: usize,
    arrival: u64,
}

#[derive(Debug)]
struct Node<W> {
    waiter: W,
    arrival: u64,
    /// The waiter before this one; `NONE` for the first node.
    previous: usize,
    /// The waiter after this one; `NONE` for the last.
    next: usize,
}

impl<W> WaitQueue<W> {
    pub(crate) const fn new() -> WaitQueue<W> {
        WaitQueue { head: None, nodes: Slab::new(), first: NONE, last: NONE, arrivals: 0 }
    }

    /// Adds a waiter behind all others.
    #[inline]
    pub(crate) fn push(&mut self, waiter: W) -> Ticket {
        self.arrivals += 1;
        let arrival = self.arrivals;
        let key = if self.is_empty() {
            self.head = Some((waiter, arrival));
            HEAD
        } else {
            self.push_node(waiter, arrival)
        };
        Ticket { key, arrival }
    }

    fn push_node(&mut self, waiter: W, arrival: u64) -> usize {
        let key = self.nodes.insert(Node { waiter, arrival, previous: self.last, next: NONE });
        match self.nodes.get_mut(self.last) {
            Some(last) => last.next = key,
            None => self.first = key,
        }
        self.last = key;
        key
    }

    /// Takes out the waiter that came first: chooses it.
    #[inline]
    pub(crate) fn pop(&mut self) -> Option<W> {
        match self.head.take() {
            Some((waiter, _)) => Some(waiter),
            None => (self.first != NONE).then(|| self.unlink(self.first)),
        }
    }

    /// The waiter that came first.
    pub(crate) fn first(&self) -> Option<&W> {
        match &self.head {
            Some((waiter, _)) => Some(waiter),
            None => self.nodes.get(self.first).map(|node| &node.waiter),
        }
    }

    /// The waiter that came first, to be changed.
    pub(crate) fn first_mut(&mut self) -> Option<&mut W> {
        match &mut self.head {
            Some((waiter, _)) => Some(waiter),
            None => self.nodes.get_mut(self.first).map(|node| &mut node.waiter),
        }
    }

    /// A waiter, if it still stands here; if not it was popped.
    pub(crate) fn standing(&mut self, ticket: Ticket) -> Option<&mut W> {
        let (waiter, arrival) = if ticket.key == HEAD {
            self.head.as_mut().map(|(waiter, arrival)| (waiter, *arrival))
        } else {
            self.nodes.get_mut(ticket.key).map(|node| (&mut node.waiter, node.arrival))
        }?;
        (arrival == ticket.arrival).then_some(waiter)
    }

    /// Chooses all who stand here now.
    pub(crate) fn pop_all(&mut self) -> Vec<W> {
        core::iter::from_fn(|| self.pop()).collect()
    }

    /// Whether a waiter still stands here; if not it was popped.
    #[inline]
    pub(crate) fn contains(&self, ticket: Ticket) -> bool {
        let arrival = if ticket.key == HEAD {
            self.head.as_ref().map(|(_, arrival)| *arrival)
        } else {
            self.nodes.get(ticket.key).map(|node| node.arrival)
        };
        arrival == Some(ticket.arrival)
    }

    /// Takes a waiter out. False if it was popped before.
    #[inline]
    pub(crate) fn remove(&mut self, ticket: Ticket) -> bool {
        self.withdraw(ticket).is_some()
    }

    /// [`WaitQueue::remove`], for a waiter that wants back what it has brought; `None` if it was popped before.
    #[inline]
    pub(crate) fn withdraw(&mut self, ticket: Ticket) -> Option<W> {
        if !self.contains(ticket) {
            return None;
        }
        match ticket.key {
            HEAD => self.head.take().map(|(waiter, _)| waiter),
            key => Some(self.unlink(key)),
        }
    }

    /// All that stand here, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &W> {
        let head = self.head.iter().map(|(waiter, _)| waiter);
        head.chain(self.nodes.iter().map(|(_, node)| &node.waiter))
    }

    pub(crate) fn len(&self) -> usize {
        usize::from(self.head.is_some()) + self.nodes.len()
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.head.is_none() && self.first == NONE
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
    fn random_pushes_and_leaves_are_as_in_a_plain_list() {
        // Miri takes a thousand times as long.
        const ROUNDS: usize = if cfg!(miri) { 300 } else { 10_000 };
        let mut random = 1_u64;
        let mut random = |below: usize| {
            random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (random >> 33) as usize % below
        };
        let (mut queue, mut model, mut gone) = (WaitQueue::new(), Vec::new(), Vec::new());
        for number in 0..ROUNDS {
            // Mostly short, so that it is often empty.
            match random(5) {
                0 | 1 if model.len() < 4 => model.push((number, queue.push(number))),
                2 if !model.is_empty() => {
                    let (number, ticket) = model.remove(random(model.len()));
                    assert_eq!(queue.standing(ticket), Some(&mut { number }));
                    assert_eq!(queue.withdraw(ticket), Some(number));
                    gone.push(ticket);
                }
                3 if !gone.is_empty() => assert!(!queue.remove(gone[random(gone.len())])),
                _ => {
                    let first = (!model.is_empty()).then(|| model.remove(0));
                    assert_eq!(queue.pop(), first.map(|(number, _)| number));
                    gone.extend(first.map(|(_, ticket)| ticket));
                }
            }
            assert_eq!(queue.first(), model.first().map(|(number, _)| number));
            assert_eq!((queue.len(), queue.is_empty()), (model.len(), model.is_empty()));
            assert!(model.iter().all(|(_, ticket)| queue.contains(*ticket)));
            let mut all: Vec<_> = queue.iter().copied().collect();
            all.sort();
            assert_eq!(all, model.iter().map(|(number, _)| *number).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_chosen_waiter_does_not_find_itself_nor_remove_its_successor() {
        let mut queue = WaitQueue::new();
        let first = queue.push("first");
        assert_eq!(queue.pop(), Some("first"));
        queue.push("second in the same place");
        assert!(!queue.remove(first));
        assert_eq!(queue.withdraw(first), None);
        assert_eq!(queue.standing(first), None);
        assert_eq!(queue.pop(), Some("second in the same place"));
    }
}
