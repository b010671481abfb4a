//! Green threads that borrow from the function that spawns them.
//!
//! A scope counts its green threads and does not end before all of them have. A scope whose owner is killed, or whose
//! enclosing `timeout` has passed, kills them, waits for their end under a shield, and then unwinds.

use super::builder::{Builder, expect_runtime};
use super::handle::Spawner;
use super::join::{Join, Packet, Unclaimed};
use super::{Result, Thread};
use crate::limits;
use crate::panic_count::AbortOnUnwind;
use crate::park::{ElapsedPayload, KillPayload, Reason, Unparker, park};
use crate::primitive::{Mutex, lock};
use crate::scheduler;
use crate::task::Task;
use core::fmt;
use core::marker::PhantomData;
use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;
use slab::Slab;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;

/// A scope to spawn green threads in. See [`scope`].
pub struct Scope<'scope, 'env: 'scope> {
    shared: Arc<Shared>,
    /// Invariant, as std's.
    _scope: PhantomData<&'scope mut &'scope ()>,
    _env: PhantomData<&'env mut &'env ()>,
}

/// What a scope and its green threads share.
struct Shared {
    /// Those that have not ended; `None` between the reservation of a place and the spawn.
    running: Mutex<Slab<Option<Arc<Task>>>>,
    /// The scope's green threads have been killed, and so is whoever is still spawned. Set under the lock of `running`.
    killed: AtomicBool,
    /// A panic was left in the result of a green thread that nobody has joined.
    panicked: AtomicBool,
    owner: Unparker,
}

/// A green thread's place among the running ones of its scope. Dropped when nothing of it is left but its result.
struct Place {
    scope: Arc<Shared>,
    key: usize,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut running = lock(&self.scope.running);
        running.remove(self.key);
        if running.is_empty() {
            self.scope.owner.unpark();
        }
    }
}

impl Unclaimed for Arc<Shared> {
    fn unclaimed_panic(&self) {
        // Relaxed: the lock on `running`, which comes after, carries it to the owner.
        self.panicked.store(true, Ordering::Relaxed);
    }
}

/// Runs `f`, in which green threads can be spawned that borrow from outside of the scope; waits for all of them.
///
/// As [`std::thread::scope`].
///
/// ```
/// osier::run(|| {
///     let numbers = [1, 2, 3];
///     let (sum, product) = osier::thread::scope(|scope| {
///         let sum = scope.spawn(|| numbers.iter().sum::<i32>());
///         let product = scope.spawn(|| numbers.iter().product::<i32>());
///         (sum.join().unwrap(), product.join().unwrap())
///     });
///     assert_eq!((sum, product), (6, 6));
/// });
/// ```
///
/// # Panics
///
/// With the panic of `f`; else if a green thread of the scope has panicked and was not joined. One that was killed is not
/// counted.
///
/// # Cancellation
///
/// A kill or an enclosing [`timeout`](crate::time::timeout) kills the scope's green threads, waits until they have unwound, and
/// unwinds.
pub fn scope<'env, F, T>(f: F) -> T
where
    F: for<'scope> FnOnce(&'scope Scope<'scope, 'env>) -> T,
{
    let scope = Scope {
        shared: Arc::new(Shared {
            running: Mutex::new(Slab::new()),
            killed: AtomicBool::new(false),
            panicked: AtomicBool::new(false),
            owner: Unparker::current(),
        }),
        _scope: PhantomData,
        _env: PhantomData,
    };
    let result = catch_unwind(AssertUnwindSafe(|| f(&scope)));
    let cancelled_inside =
        result.as_ref().is_err_and(|payload| payload.is::<KillPayload>() || payload.is::<ElapsedPayload>());
    // What is borrowed ends with this call, so it must not be left while a green thread runs, not even by a bug.
    let cancelled = AbortOnUnwind::run(|| {
        let cancelled = if cancelled_inside { None } else { scope.shared.wait().err() };
        if cancelled_inside || cancelled.is_some() {
            scope.shared.kill_and_wait();
        }
        cancelled
    });
    if let Some(cancelled) = cancelled
        && result.is_ok()
    {
        cancelled.raise();
    }
    match result {
        Err(payload) => resume_unwind(payload),
        Ok(_) if scope.shared.panicked.load(Ordering::Relaxed) => panic!("a scoped thread panicked"),
        Ok(value) => value,
    }
}

impl Shared {
    /// Waits until none runs.
    fn wait(&self) -> core::result::Result<(), crate::park::Cancelled> {
        while !lock(&self.running).is_empty() {
            park(Reason::Scope, None)?;
        }
        Ok(())
    }

    fn kill_and_wait(&self) {
        let running: Vec<_> = {
            let running = lock(&self.running);
            // Relaxed: the lock orders it.
            self.killed.store(true, Ordering::Relaxed);
            running.iter().filter_map(|(_, task)| task.clone()).collect()
        };
        running.iter().for_each(scheduler::kill);
        limits::with_shield(|| {
            self.wait().unwrap_or_else(|_| unreachable!("a shielded wait is not cancelled"));
        });
    }
}

impl<'scope> Scope<'scope, '_> {
    /// Queues a green thread of the scope, as [`spawn`](super::spawn).
    ///
    /// # Panics
    ///
    /// Outside of a runtime.
    #[track_caller]
    pub fn spawn<F, T>(&'scope self, f: F) -> ScopedJoinHandle<'scope, T>
    where
        F: FnOnce() -> T + Send + 'scope,
        T: Send + 'scope,
    {
        expect_runtime(Builder::new().spawn_scoped(self, f))
    }
}

impl Builder {
    /// [`Scope::spawn`] with these settings.
    ///
    /// # Errors
    ///
    /// As [`Builder::spawn`].
    pub fn spawn_scoped<'scope, 'env, F, T>(
        self,
        scope: &'scope Scope<'scope, 'env>,
        f: F,
    ) -> io::Result<ScopedJoinHandle<'scope, T>>
    where
        F: FnOnce() -> T + Send + 'scope,
        T: Send + 'scope,
    {
        let spawner = Spawner::current()?;
        let place = Place { scope: scope.shared.clone(), key: lock(&scope.shared.running).insert(None) };
        let key = place.key;
        let (packet, run) = Packet::new(f, scope.shared.clone());
        // Run or not: the fields of `run` go first, and with them `f`, the body's share of the packet, and what they borrow; the place goes
        // last.
        let body = (run, place);
        let body: Box<dyn FnOnce() + Send + 'scope> = Box::new(move || {
            let (run, _place) = body;
            run();
        });
        // SAFETY: `body` is gone before its place is, and `scope` does not return before all places are gone, also when it unwinds. So what
        // it borrows for `'scope` outlives it. If the scope's own stack is leaked, what it borrows is leaked with it.
        let body = unsafe {
            core::mem::transmute::<Box<dyn FnOnce() + Send + 'scope>, Box<dyn FnOnce() + Send>>(body)
        };
        let task = spawner.spawn_body(self.attributes, body)?;
        let killed = {
            let mut running = lock(&scope.shared.running);
            if let Some(running) = running.get_mut(key) {
                *running = Some(task.clone());
            }
            // Relaxed: the lock orders it.
            scope.shared.killed.load(Ordering::Relaxed)
        };
        if killed {
            // By a sibling that has not come to its next wait, or by a destructor.
            scheduler::kill(&task);
        }
        Ok(ScopedJoinHandle { join: Join::new(task, packet), _scope: PhantomData })
    }
}

/// A green thread of a scope that can be joined.
pub struct ScopedJoinHandle<'scope, T> {
    join: Join<T, Arc<Shared>>,
    _scope: PhantomData<&'scope ()>,
}

impl<'scope, T> ScopedJoinHandle<'scope, T> {
    /// As [`JoinHandle::thread`](super::JoinHandle::thread).
    #[must_use]
    pub fn thread(&self) -> &Thread {
        self.join.thread()
    }

    /// As [`JoinHandle::join`](super::JoinHandle::join).
    ///
    /// # Errors
    ///
    /// As there.
    ///
    /// # Cancellation
    ///
    /// As there.
    pub fn join(self) -> Result<T> {
        self.join.join()
    }

    /// As [`JoinHandle::join_timeout`](super::JoinHandle::join_timeout).
    ///
    /// # Errors
    ///
    /// As there.
    ///
    /// # Cancellation
    ///
    /// As there.
    pub fn join_timeout(
        self,
        timeout: Duration,
    ) -> core::result::Result<Result<T>, ScopedJoinHandle<'scope, T>> {
        self.join.join_timeout(timeout).map_err(|join| ScopedJoinHandle { join, _scope: PhantomData })
    }

    /// As [`JoinHandle::is_finished`](super::JoinHandle::is_finished).
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.join.is_finished()
    }

    /// As [`JoinHandle::kill`](super::JoinHandle::kill).
    pub fn kill(&self) {
        self.join.kill();
    }
}

impl fmt::Debug for Scope<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope").field("running", &lock(&self.shared.running).len()).finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for ScopedJoinHandle<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScopedJoinHandle").finish_non_exhaustive()
    }
}
