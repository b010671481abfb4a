//! The ready green threads of a worker.

use super::policy::{Policy, Ready};
use crate::fiber::Fiber;
use crate::panic_count::AbortOnUnwind;
use crate::task::ThreadId;
use crate::task::{Body, Task};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

/// A worker's own reference to a green thread, with what is needed to run it.
pub(super) struct Green {
    pub(super) task: Arc<Task>,
    pub(super) stage: Stage,
}

/// How far a green thread has come.
pub(super) enum Stage {
    /// It has no stack yet: it takes one when it first runs.
    Unstarted(Body),
    /// Its body is among the worker's offers, under this number, unless another worker has taken it.
    Offered(usize),
    Started(Fiber),
}

/// Ready green threads in the order in which they are to run.
pub(super) enum RunQueue {
    /// First in, first out.
    Fifo(VecDeque<Green>),
    /// As a policy says.
    Policy(Box<ByPolicy>),
}

/// The run queue of a worker that has a policy.
pub(super) struct ByPolicy {
    policy: Box<dyn Policy>,
    /// By age, for when the policy names nobody.
    ready: BTreeMap<u64, Green>,
    /// The age of each ready one, by its id.
    ages: HashMap<u64, u64>,
    /// How many have become ready so far.
    arrivals: u64,
}

impl RunQueue {
    pub(super) fn new(policy: Option<Box<dyn Policy>>) -> RunQueue {
        match policy {
            None => RunQueue::Fifo(VecDeque::new()),
            Some(policy) => RunQueue::Policy(Box::new(ByPolicy {
                policy,
                ready: BTreeMap::new(),
                ages: HashMap::new(),
                arrivals: 0,
            })),
        }
    }

    /// Adds one that has run for `ran`.
    #[inline]
    pub(super) fn push(&mut self, green: Green, ran: core::time::Duration) {
        match self {
            RunQueue::Fifo(queue) => queue.push_back(green),
            RunQueue::Policy(queue) => queue.push(green, ran),
        }
    }

    #[inline]
    pub(super) fn pop(&mut self) -> Option<Green> {
        match self {
            RunQueue::Fifo(queue) => queue.pop_front(),
            RunQueue::Policy(queue) => queue.pop(),
        }
    }

    pub(super) fn len(&self) -> usize {
        match self {
            RunQueue::Fifo(queue) => queue.len(),
            RunQueue::Policy(queue) => queue.ready.len(),
        }
    }

    /// Whether run times are to be measured.
    pub(super) fn measures(&self) -> bool {
        matches!(self, RunQueue::Policy(_))
    }

    /// The tasks of all that are ready, in no particular order.
    pub(super) fn tasks(&self) -> Vec<Arc<Task>> {
        match self {
            RunQueue::Fifo(queue) => queue.iter().map(|green| green.task.clone()).collect(),
            RunQueue::Policy(queue) => queue.ready.values().map(|green| green.task.clone()).collect(),
        }
    }
}

impl ByPolicy {
    fn push(&mut self, green: Green, ran: core::time::Duration) {
        self.arrivals += 1;
        let attributes = &green.task.attributes;
        let guard = AbortOnUnwind;
        self.policy.ready(Ready {
            id: ThreadId::of(&green.task),
            name: attributes.name.as_deref(),
            priority: attributes.priority,
            cost: attributes.cost,
            ran,
        });
        core::mem::forget(guard);
        self.ages.insert(green.task.id, self.arrivals);
        self.ready.insert(self.arrivals, green);
    }

    fn pop(&mut self) -> Option<Green> {
        let oldest = *self.ready.first_key_value()?.0;
        let guard = AbortOnUnwind;
        let named = self.policy.next();
        core::mem::forget(guard);
        let named = named.and_then(|id| self.ages.get(&id.number()).copied());
        let green = self.ready.remove(&named.unwrap_or(oldest))?;
        self.ages.remove(&green.task.id);
        Some(green)
    }
}
