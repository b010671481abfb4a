//! The settings of a runtime, and its making.

use super::crew::Crew;
use super::deadlock::{Deadlock, Waiting};
use super::hook;
use super::policy::Policy;
use super::remote::Remote;
use super::run_queue::RunQueue;
use super::runtime::Runtime;
use super::worker::Worker;
use crate::clock::{Clock, MachineClock};
use crate::offload::Pool;
use crate::panic_count;
use crate::reactor::{Driver, Reactor, WAKE_TOKEN};
use crate::stack;
use crate::sys::event::{Epoll, EventFd, Interest, TimerFd};
use core::fmt;
use core::time::Duration;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::sync::Arc;

/// More would be a mistake: a worker has an OS thread and three descriptors.
const MOST_WORKERS: usize = 4096;

/// Settings of a runtime.
///
/// ```
/// let runtime = osier::Builder::new().stack_size(64 * 1024).build()?;
/// assert_eq!(runtime.run(|| 6 * 7), 42);
/// # Ok::<(), std::io::Error>(())
/// ```
#[must_use = "call `build`"]
pub struct Builder {
    workers: usize,
    stack_size: usize,
    main_stack_size: usize,
    policy: Option<Policies>,
    clock: Arc<dyn Clock + Send + Sync>,
    offload_threads: usize,
    ending: Ending,
}

/// The policies that were set.
enum Policies {
    /// For a single worker.
    One(Box<dyn Policy>),
    /// For each worker, by its index.
    Each(Box<dyn FnMut(usize) -> Box<dyn Policy + Send>>),
}

/// What is told of something.
type Report<T> = Box<dyn Fn(&T)>;

/// How an entry ends, and what it reports.
pub(super) struct Ending {
    pub(super) wait_all: bool,
    pub(super) grace: Option<(Duration, Report<[Waiting]>)>,
    pub(super) on_stuck: Option<Report<Deadlock>>,
}

/// Usable bytes of the main green thread's stack: what Linux gives a program's main thread.
const MAIN_STACK_SIZE: usize = 8 * 1024 * 1024;

/// The bound on the OS threads of the offload pool.
const OFFLOAD_THREADS: usize = 64;

impl Builder {
    /// The default settings.
    pub fn new() -> Builder {
        Builder {
            workers: 1,
            stack_size: stack::DEFAULT_SIZE,
            main_stack_size: MAIN_STACK_SIZE,
            policy: None,
            clock: Arc::new(MachineClock),
            offload_threads: OFFLOAD_THREADS,
            ending: Ending { wait_all: false, grace: None, on_stuck: None },
        }
    }

    /// How many OS threads run green threads; 1 unless set. The first is the one that calls `run` or `enter`; the others,
    /// `osier-worker-1` and so on, are started when an entry begins, and have ended when it returns.
    ///
    /// A green thread starts on the worker that spawned it, or on one that had nothing to do and took it before it started; from
    /// then on it stays there. Those of [`spawn_local`](crate::spawn_local), and those that name their worker
    /// ([`thread::Builder::worker`](crate::thread::Builder::worker)), are not taken.
    ///
    /// ```
    /// let runtime = osier::Builder::new().workers(2).build()?;
    /// let sum = runtime.run(|| {
    ///     let threads: Vec<_> = (1..=100).map(|n| osier::spawn(move || n)).collect();
    ///     threads.into_iter().map(|thread| thread.join().unwrap()).sum::<u32>()
    /// });
    /// assert_eq!(sum, 5050);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn workers(mut self, workers: usize) -> Builder {
        self.workers = workers;
        self
    }

    /// Usable bytes of a green thread's stack, rounded up; 256 KiB unless set. Only the pages that are touched cost memory.
    /// [`thread::Builder::stack_size`](crate::thread::Builder::stack_size) sets it for one green thread.
    pub fn stack_size(mut self, bytes: usize) -> Builder {
        self.stack_size = bytes;
        self
    }

    /// Usable bytes of the main green thread's stack, rounded up; 8 MiB unless set.
    pub fn main_stack_size(mut self, bytes: usize) -> Builder {
        self.main_stack_size = bytes;
        self
    }

    /// What picks the next ready green thread; first in, first out unless set. A policy must not call into the runtime, and the
    /// process is aborted if it panics. For a runtime with one worker; see [`Builder::policies`].
    pub fn policy(mut self, policy: impl Policy + 'static) -> Builder {
        self.policy = Some(Policies::One(Box::new(policy)));
        self
    }

    /// [`Builder::policy`] for any number of workers: `make` is called for each, by index, and what it makes decides on that one.
    /// A green thread that a worker takes from another is not asked for: it runs at once.
    ///
    /// ```
    /// let builder = osier::Builder::new().workers(2);
    /// let runtime = builder.policies(|worker| osier::SeededRandom::new(worker as u64)).build()?;
    /// assert_eq!(runtime.run(|| osier::spawn(|| 1).join().unwrap()), 1);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn policies<P>(mut self, mut make: impl FnMut(usize) -> P + 'static) -> Builder
    where
        P: Policy + Send + 'static,
    {
        self.policy = Some(Policies::Each(Box::new(move |worker| Box::new(make(worker)))));
        self
    }

    /// What the runtime takes for the time; the machine's monotonic clock unless set. All workers share it.
    pub fn clock(mut self, clock: impl Clock + Send + Sync + 'static) -> Builder {
        self.clock = Arc::new(clock);
        self
    }

    /// The most OS threads that run offloaded calls at once; 64 unless set. They are started when needed.
    pub fn offload_threads(mut self, threads: usize) -> Builder {
        self.offload_threads = threads;
        self
    }

    /// Whether the end of `run` waits for all green threads instead of killing those that still run; false unless set.
    pub fn wait_all(mut self, wait_all: bool) -> Builder {
        self.ending.wait_all = wait_all;
        self
    }

    /// Calls `report` once, with those that are left, when the end of an entry has waited for `grace` since it killed them: some
    /// green thread has caught its kill, or waits under a shield. `report` may abort the process; if it returns, the end
    /// goes on waiting.
    pub fn shutdown_grace(mut self, grace: Duration, report: impl Fn(&[Waiting]) + 'static) -> Builder {
        self.ending.grace = Some((grace, Box::new(report)));
        self
    }

    /// Calls `report` when all green threads wait for something that only another OS thread of the process could bring: it may
    /// be a deadlock, and it may not. Called at most once each time that this comes about. It is looked again now and then, after a tenth
    /// of a second at first and a minute at last: once those OS threads have ended it is a deadlock.
    pub fn on_stuck(mut self, report: impl Fn(&Deadlock) + 'static) -> Builder {
        self.ending.on_stuck = Some(Box::new(report));
        self
    }

    /// Makes the runtime. Starts no OS thread.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for settings that make no sense (one [`policy`](Builder::policy) for several workers is among them), and
    /// what the system says when it has no descriptors left.
    pub fn build(self) -> io::Result<Runtime> {
        self.build_on(|epoll| Box::new(epoll))
    }

    /// [`Builder::build`], with events from what `driver` makes of the first worker's epoll instance.
    pub(super) fn build_on(self, driver: impl FnOnce(Arc<Epoll>) -> Box<dyn Driver>) -> io::Result<Runtime> {
        let invalid = |what: &str| Err(io::Error::new(io::ErrorKind::InvalidInput, what.to_string()));
        if self.workers == 0 {
            return invalid("a runtime needs at least 1 worker, not 0");
        }
        if self.workers > MOST_WORKERS {
            return invalid(&format!("a runtime has at most {MOST_WORKERS} workers, not {}", self.workers));
        }
        if self.offload_threads == 0 {
            return invalid("the offload pool needs at least 1 OS thread, not 0");
        }
        let mut policies: Vec<Option<Box<dyn Policy>>> = match self.policy {
            None => (0..self.workers).map(|_| None).collect(),
            Some(Policies::One(policy)) if self.workers == 1 => vec![Some(policy)],
            Some(Policies::One(_)) => {
                let what = format!(
                    "one policy was given for {} workers: `policies` gives each its own",
                    self.workers
                );
                return invalid(&what);
            }
            // Those of other workers leave this OS thread: they are `Send` by their making.
            Some(Policies::Each(make)) => {
                (0..self.workers).map(make).map(|policy| Some(policy as _)).collect()
            }
        };
        super::watch_forks()?;
        // std refuses a new hook to who panics, as a destructor does that makes a runtime while its stack unwinds.
        panic_count::lend(hook::install);
        let offload = Pool::new(self.offload_threads);
        let mut parts = Vec::new();
        for index in 0..self.workers {
            let epoll = Arc::new(Epoll::new()?);
            let wake = EventFd::new()?;
            let timer_fd = TimerFd::new()?;
            epoll.add(wake.as_fd().as_raw_fd(), Interest::EdgeRead, WAKE_TOKEN)?;
            epoll.add(timer_fd.as_fd().as_raw_fd(), Interest::EdgeRead, WAKE_TOKEN)?;
            parts.push((Arc::new(Remote::new(index, wake, epoll.clone(), offload.clone())), epoll, timer_fd));
        }
        let crew = Arc::new(Crew::new(parts.iter().map(|(remote, ..)| remote.clone()).collect()));
        let mut driver = Some(driver);
        let workers = parts.into_iter().zip(policies.drain(..)).map(|((remote, epoll, timer_fd), policy)| {
            let driver = match driver.take() {
                Some(first) => first(epoll.clone()),
                None => Box::new(epoll.clone()),
            };
            let reactor = Reactor::new(driver, remote.foreign.clone());
            let (clock, run_queue) = (self.clock.clone(), RunQueue::new(policy));
            Worker::new(remote, crew.clone(), epoll, reactor, clock, run_queue, self.stack_size, timer_fd)
        });
        Ok(Runtime::new(workers.collect(), self.main_stack_size, self.ending))
    }
}

impl Default for Builder {
    fn default() -> Builder {
        Builder::new()
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("workers", &self.workers)
            .field("stack_size", &self.stack_size)
            .finish_non_exhaustive()
    }
}
