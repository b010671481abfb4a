//! What picks the next ready green thread.

use core::time::Duration;
use std::fmt;

/// What a policy sees of a green thread that is ready to run.
#[derive(Clone, Copy, Debug)]
pub struct Ready<'a> {
    pub(crate) id: crate::task::ThreadId,
    pub(crate) name: Option<&'a str>,
    pub(crate) priority: i32,
    pub(crate) cost: Duration,
    pub(crate) ran: Duration,
}

impl Ready<'_> {
    /// Which one it is.
    #[must_use]
    pub fn id(&self) -> crate::task::ThreadId {
        self.id
    }

    /// Its name, if it was given one.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.name
    }

    /// Its priority, from [`thread::Builder::priority`](crate::thread::Builder::priority): higher is more urgent, 0 unless set.
    #[must_use]
    pub fn priority(&self) -> i32 {
        self.priority
    }

    /// How long it was expected to run in all, from [`thread::Builder::cost`](crate::thread::Builder::cost): zero unless set.
    #[must_use]
    pub fn cost(&self) -> Duration {
        self.cost
    }

    /// How long it has run so far, in wall time of the runtime's clock.
    #[must_use]
    pub fn ran(&self) -> Duration {
        self.ran
    }
}

/// Picks the next ready green thread of a worker. Without one the order is first in, first out, and costs nothing.
///
/// A policy decides only the order. It cannot lose a green thread: should it name none, or one that is not ready, the one
/// that has been ready longest runs.
///
/// ```
/// use osier::{Policy, Ready, thread::ThreadId};
///
/// /// Last in, first out.
/// struct Lifo(Vec<ThreadId>);
///
/// impl Policy for Lifo {
///     fn ready(&mut self, thread: Ready<'_>) {
///         self.0.push(thread.id());
///     }
///     fn next(&mut self) -> Option<ThreadId> {
///         self.0.pop()
///     }
/// }
///
/// let runtime = osier::Builder::new().policy(Lifo(Vec::new())).build()?;
/// let order = runtime.run(|| {
///     let order = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
///     let threads: Vec<_> = (0..3).map(|n| {
///         let order = order.clone();
///         osier::spawn_local(move || order.borrow_mut().push(n))
///     }).collect();
///     threads.into_iter().for_each(|thread| thread.join().unwrap());
///     order.take()
/// });
/// assert_eq!(order, [2, 1, 0]);
/// # Ok::<(), std::io::Error>(())
/// ```
pub trait Policy {
    /// A green thread has become ready.
    fn ready(&mut self, thread: Ready<'_>);

    /// Which of the ready ones runs now.
    fn next(&mut self) -> Option<crate::task::ThreadId>;
}

/// Picks at random, the same way for the same seed: finds orders that nobody thought of, and finds them again.
///
/// ```
/// let order = |seed| {
///     let runtime = osier::Builder::new().policy(osier::SeededRandom::new(seed)).build().unwrap();
///     runtime.run(|| {
///         let order = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
///         let threads: Vec<_> = (0..20).map(|n| {
///             let order = order.clone();
///             osier::spawn_local(move || order.borrow_mut().push(n))
///         }).collect();
///         threads.into_iter().for_each(|thread| thread.join().unwrap());
///         order.take()
///     })
/// };
/// assert_eq!(order(1), order(1));
/// assert_ne!(order(1), order(2));
/// ```
pub struct SeededRandom {
    /// The state of a SplitMix64 generator.
    state: u64,
    ready: Vec<crate::task::ThreadId>,
}

impl SeededRandom {
    /// A policy whose choices depend on `seed` and on what becomes ready when.
    #[must_use]
    pub fn new(seed: u64) -> SeededRandom {
        SeededRandom { state: seed, ready: Vec::new() }
    }

    fn random(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

impl Policy for SeededRandom {
    fn ready(&mut self, thread: Ready<'_>) {
        self.ready.push(thread.id());
    }

    fn next(&mut self) -> Option<crate::task::ThreadId> {
        if self.ready.is_empty() {
            return None;
        }
        // The bias of the remainder is below 2^-40 for any number of green threads that fits in memory.
        let index = (self.random() % self.ready.len() as u64) as usize;
        Some(self.ready.swap_remove(index))
    }
}

impl fmt::Debug for SeededRandom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SeededRandom").field("ready", &self.ready.len()).finish_non_exhaustive()
    }
}
