//! Green threads that wait for something at an address: for a word to change, for a lock of C to be free.
//!
//! Owns a table, the process's, with the waiters of each address in the order of their arrival. A waiter is a node in the frame of
//! the function that waits.
//!
//! # Protocol
//!
//! 1. A waiter counts itself in [`WAITERS`], and under the lock of its bucket looks whether there is need to wait, and joins the list.
//! 2. Whoever ends waits first does what they wait for, and then asks whether anybody waits at all. One of the two comes
//!    first in the single order of the count, its fences and that question: the waiter finds it done, or the other one finds the
//!    waiter counted.
//! 3. Under the lock of the bucket waiters are taken out of the list: *chosen*. Each goes on when it finds that. One whose
//!    deadline has passed takes itself out, and if it cannot, was chosen.
//!
//! # Invariants
//!
//! A node is read and written under the lock of its bucket, and leaves the list before its frame ends: its wait is shielded, and
//! stacks are unwound or leaked, never freed under a live frame. Nothing is allocated, freed or called under that lock: an
//! allocator may come here itself. A signal handler, which may come at any time, does not wait for a bucket that its own OS
//! thread has locked: it has the waiters of that bucket woken afterwards, for no reason to those that it did not mean.

use crate::clock::Instant;
use crate::limits;
use crate::park::{Reason, Wake};
use crate::primitive::Mutex;
use crate::scheduler::{Worker, unpark_from_anywhere};
use crate::task::Task;
use core::cell::Cell;
use core::ptr;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering, fence};
use std::sync::Arc;

/// Lists in the table.
const BUCKETS: usize = 512;

/// Waiters that are woken with one locking of their bucket.
const BATCH: usize = 16;

static TABLE: [Bucket; BUCKETS] = [const { Bucket::new() }; BUCKETS];

/// Those that wait or are about to; and OS threads that want to see each wake-up for another reason.
static WAITERS: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// The bucket that this OS thread has locked.
    static LOCKED: Cell<*const Bucket> = const { Cell::new(ptr::null()) };
}

/// What is waited for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) address: usize,
    /// An object of C may be a mutex to one and a futex to another.
    pub(super) what: What,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    Futex,
    /// The futex that the token of `std::thread::park` is.
    StdToken,
    Mutex,
    Condvar,
    Semaphore,
    RwLock,
    Once,
}

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// There was no need to wait.
    Needless,
    /// Somebody has woken it.
    Chosen,
    /// Its deadline has passed.
    Deadline,
}

struct Bucket {
    list: Mutex<List>,
    /// A signal handler has found the bucket locked by its own OS thread.
    missed: AtomicBool,
}

struct List {
    first: *mut Node,
    last: *mut Node,
    /// Counts arrivals.
    arrivals: u64,
}

// SAFETY: the nodes are used under the lock alone, and what they hold is `Send`.
unsafe impl Send for List {}

struct Node {
    previous: *mut Node,
    next: *mut Node,
    key: Key,
    /// Wake-ups with none of these bits are not meant for it.
    bits: u32,
    arrival: u64,
    /// Whom to wake; `None` once it was chosen.
    task: Option<Arc<Task>>,
}

impl Bucket {
    const fn new() -> Bucket {
        Bucket {
            list: Mutex::new(List { first: ptr::null_mut(), last: ptr::null_mut(), arrivals: 0 }),
            missed: AtomicBool::new(false),
        }
    }

    fn of(key: Key) -> &'static Bucket {
        let number = key.address as u64 ^ key.what as u64;
        // The upper bits of a product depend on all bits of the number.
        let hash = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
        &TABLE[hash as usize % BUCKETS]
    }

    /// Hands the list to `f`; `None` in a signal handler that has interrupted another call of this.
    fn with<T>(&self, f: impl FnOnce(&mut List) -> T) -> Option<T> {
        let outer = LOCKED.get();
        if ptr::eq(outer, self) {
            self.missed.store(true, Ordering::Relaxed);
            return None;
        }
        // Before the lock is taken: a handler that comes in between errs on the safe side.
        LOCKED.set(self);
        let value = f(&mut self.list.lock());
        LOCKED.set(outer);
        // Relaxed: the handler ran on this OS thread.
        if self.missed.load(Ordering::Relaxed) && self.missed.swap(false, Ordering::Relaxed) {
            self.wake(usize::MAX, &|_| true);
        }
        Some(value)
    }

    /// Wakes so many of those that stand here now and are meant. Gives the number.
    fn wake(&self, count: usize, is_meant: &dyn Fn(&Node) -> bool) -> usize {
        let mut woken = 0;
        // Those that arrive while this wakes others are not meant.
        let mut last = None;
        while woken < count {
            let mut chosen: [Option<Arc<Task>>; BATCH] = [const { None }; BATCH];
            let most = BATCH.min(count - woken);
            let found = self.with(|list| {
                let last = *last.get_or_insert(list.arrivals);
                let mut found = 0;
                let mut next = list.first;
                while found < most {
                    // SAFETY: null, or in the list and so alive; used by nobody else while the list is locked.
                    let Some(node) = (unsafe { next.as_mut() }) else { break };
                    next = node.next;
                    if node.arrival <= last && is_meant(node) {
                        list.unlink(node);
                        chosen[found] = node.task.take();
                        found += 1;
                    }
                }
                found
            });
            let Some(found) = found else { break };
            chosen.iter().flatten().for_each(unpark_from_anywhere);
            woken += found;
            if found < most {
                break;
            }
        }
        woken
    }
}

impl Node {
    fn new(worker: &Worker, key: Key, bits: u32) -> Node {
        let task = Some(worker.current_task());
        Node { previous: ptr::null_mut(), next: ptr::null_mut(), key, bits, arrival: 0, task }
    }
}

impl List {
    fn link(&mut self, node: &mut Node) {
        self.arrivals += 1;
        node.arrival = self.arrivals;
        node.previous = self.last;
        // SAFETY: null, or in the list and so alive; used by nobody else while the list is locked.
        match unsafe { self.last.as_mut() } {
            Some(last) => last.next = node,
            None => self.first = node,
        }
        self.last = node;
    }

    fn unlink(&mut self, node: &mut Node) {
        // SAFETY: null, or in the list and so alive; used by nobody else while the list is locked; not `node` itself.
        match unsafe { node.previous.as_mut() } {
            Some(previous) => previous.next = node.next,
            None => self.first = node.next,
        }
        // SAFETY: as above.
        match unsafe { node.next.as_mut() } {
            Some(next) => next.previous = node.previous,
            None => self.last = node.previous,
        }
    }
}

/// Parks the running green thread until it is woken, or until `until`. Neither a kill nor a deadline from outside ends this.
///
/// `must_wait` is asked when whoever is to end the wait would find this waiter. It must not allocate, nor call anything that could
/// come here.
pub(super) fn wait(
    worker: &Worker,
    key: Key,
    bits: u32,
    reason: Reason<'_>,
    until: Option<Instant>,
    must_wait: impl FnOnce() -> bool,
) -> Outcome {
    let _counted = Counted::new();
    let mut node = Node::new(worker, key, bits);
    // From here on by pointer: others use it.
    let node = &raw mut node;
    let joined = Bucket::of(key).with(|list| {
        let must = must_wait();
        if must {
            // SAFETY: nobody else has it yet.
            list.link(unsafe { &mut *node });
        }
        must
    });
    match joined {
        // SAFETY: it stands in the list, in this frame.
        Some(true) => unsafe { stand(worker, node, reason, until) },
        Some(false) => Outcome::Needless,
        // In a signal handler that must not wait: it is told that it was woken, for no reason.
        None => Outcome::Chosen,
    }
}

/// [`wait`], with a question that may do anything but switch: it is asked after this waiter has joined the list. A wake-up that
/// comes while there is no need to wait is passed on.
pub(super) fn wait_unless(
    worker: &Worker,
    key: Key,
    reason: Reason<'_>,
    until: Option<Instant>,
    must_wait: impl FnOnce() -> bool,
) -> Outcome {
    let _counted = Counted::new();
    let mut node = Node::new(worker, key, u32::MAX);
    // From here on by pointer: others use it.
    let node = &raw mut node;
    let bucket = Bucket::of(key);
    // SAFETY: nobody else has it yet.
    if bucket.with(|list| list.link(unsafe { &mut *node })).is_none() {
        must_wait();
        return Outcome::Chosen;
    }
    if must_wait() {
        // SAFETY: it stands in the list, in this frame, unless it was chosen.
        return unsafe { stand(worker, node, reason, until) };
    }
    let mut was_chosen = false;
    while bucket
        .with(|list| {
            // SAFETY: it lies in this frame, and is used under the lock of the list alone.
            let node = unsafe { &mut *node };
            was_chosen = node.task.is_none();
            if !was_chosen {
                list.unlink(node);
            }
        })
        .is_none()
    {}
    if was_chosen {
        wake(key, 1, u32::MAX);
    }
    Outcome::Needless
}

/// Parks until the node is chosen, or until `until`; then it does not stand in the list any more.
///
/// # Safety
///
/// The node must be this green thread's, and stand in the list of its key or have been chosen.
unsafe fn stand(worker: &Worker, node: *mut Node, reason: Reason<'_>, until: Option<Instant>) -> Outcome {
    // SAFETY: this never changes.
    let bucket = Bucket::of(unsafe { (*node).key });
    loop {
        let ended = limits::with_shield(|| worker.park(reason, until));
        let has_passed = ended == Ok(Wake::Deadline);
        let outcome = bucket.with(|list| {
            // SAFETY: the caller's promise; it is used under the lock of the list alone.
            let node = unsafe { &mut *node };
            if node.task.is_none() {
                return Some(Outcome::Chosen);
            }
            if has_passed {
                list.unlink(node);
                return Some(Outcome::Deadline);
            }
            None
        });
        if let Some(Some(outcome)) = outcome {
            return outcome;
        }
    }
}

/// Counts one in [`WAITERS`] as long as it lives.
pub(super) struct Counted(());

impl Counted {
    pub(super) fn new() -> Counted {
        // SeqCst, with the fence: see the protocol, point 2.
        WAITERS.fetch_add(1, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        Counted(())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        WAITERS.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Whether anybody waits, after the caller has done what may be waited for.
#[inline]
pub(super) fn anybody_waits() -> bool {
    fence(Ordering::SeqCst);
    WAITERS.load(Ordering::Relaxed) > 0
}

/// Wakes so many of those that wait for `key` with one of these bits, first come, first served. Gives the number.
pub(super) fn wake(key: Key, count: usize, bits: u32) -> usize {
    Bucket::of(key).wake(count, &|node| node.key == key && node.bits & bits != 0)
}

/// In the child of a fork: forgets all that wait, of whom none is there, so that a wake-up goes to one of the child's. Takes no lock
/// but those that are free, and frees nothing.
pub(super) fn forget_all() {
    if WAITERS.load(Ordering::Relaxed) > 0 {
        for mut list in TABLE.iter().filter_map(|bucket| bucket.list.try_lock()) {
            (list.first, list.last) = (ptr::null_mut(), ptr::null_mut());
        }
    }
}

/// Whether somebody waits for `key`.
pub(super) fn is_awaited(key: Key) -> bool {
    let looked = Bucket::of(key).with(|list| {
        let mut next = list.first;
        // SAFETY: null, or in the list and so alive; used by nobody else while the list is locked.
        while let Some(node) = unsafe { next.as_ref() } {
            if node.key == key {
                return true;
            }
            next = node.next;
        }
        false
    });
    looked.unwrap_or(true)
}
