//! The runtime around the workers: how it is made, entered, and ended.

use super::deadlock::{Deadlock, Waiting};
use super::policy::Policy;
use super::remote::Remote;
use super::run_queue::RunQueue;
use super::worker::Worker;
use super::{enter, hook, with_worker};
use crate::clock::{Clock, Instant, MachineClock};
use crate::entry;
use crate::offload::Pool;
use crate::os_thread::OsThread;
use crate::panic_count::{self, AbortOnUnwind};
use crate::reactor::{Driver, Reactor, WAKE_TOKEN};
use crate::stack;
use crate::sys;
use crate::sys::event::{Epoll, EventFd, Interest, TimerFd};
use crate::task::{Attributes, Body, Task};
use crate::thread::{JoinHandle, NoRuntime, Packet};
use core::cell::Cell;
use core::fmt;
use core::time::Duration;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;

/// Runs `f` as the main green thread of a new runtime with default settings, and returns what it returns.
///
/// The OS thread that calls becomes the runtime's only worker until `f` has ended. What still runs then is killed and
/// unwound first, so nothing outlives the call. See [`Runtime::run`].
///
/// ```
/// let sum = osier::run(|| {
///     let threads: Vec<_> = (1..=3).map(|n| osier::spawn(move || n * 10)).collect();
///     threads.into_iter().map(|thread| thread.join().unwrap()).sum::<u32>()
/// });
/// assert_eq!(sum, 60);
/// ```
///
/// # Panics
///
/// With the panic of `f`; on a deadlock; if the runtime cannot be made for want of descriptors or memory; and when called
/// inside a runtime: there use [`spawn`](crate::spawn).
pub fn run<F, T>(f: F) -> T
where
    F: FnOnce() -> T,
{
    match Builder::new().build() {
        Ok(runtime) => runtime.run(f),
        Err(error) => panic!("the runtime cannot be made: {error}"),
    }
}

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
    policy: Option<Box<dyn Policy>>,
    clock: Box<dyn Clock>,
    offload_threads: usize,
    ending: Ending,
}

/// What is told of something.
type Report<T> = Box<dyn Fn(&T)>;

/// How an entry ends, and what it reports.
struct Ending {
    wait_all: bool,
    grace: Option<(Duration, Report<[Waiting]>)>,
    on_stuck: Option<Report<Deadlock>>,
}

/// Usable bytes of the main green thread's stack: what Linux gives a program's main thread.
const MAIN_STACK_SIZE: usize = 8 * 1024 * 1024;

/// The bound on the OS threads of the offload pool.
const OFFLOAD_THREADS: usize = 64;

/// How long nobody must have been able to run before it is looked into whether that is a deadlock. Long enough that traffic
/// between OS threads never pays for the look.
const STUCK: Duration = Duration::from_millis(50);

impl Builder {
    /// The default settings.
    pub fn new() -> Builder {
        Builder {
            workers: 1,
            stack_size: stack::DEFAULT_SIZE,
            main_stack_size: MAIN_STACK_SIZE,
            policy: None,
            clock: Box::new(MachineClock),
            offload_threads: OFFLOAD_THREADS,
            ending: Ending { wait_all: false, grace: None, on_stuck: None },
        }
    }

    /// How many OS threads run green threads, the caller of `run` being the first; 1 unless set. More than one is not there yet:
    /// [`Builder::build`] then fails.
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
    /// process is aborted if it panics.
    pub fn policy(mut self, policy: impl Policy + 'static) -> Builder {
        self.policy = Some(Box::new(policy));
        self
    }

    /// What the runtime takes for the time; the machine's monotonic clock unless set.
    pub fn clock(mut self, clock: impl Clock + 'static) -> Builder {
        self.clock = Box::new(clock);
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
    /// be a deadlock, and it may not. Called at most once each time that this comes about.
    pub fn on_stuck(mut self, report: impl Fn(&Deadlock) + 'static) -> Builder {
        self.ending.on_stuck = Some(Box::new(report));
        self
    }

    /// Makes the runtime. Starts no OS thread.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for settings that make no sense, `Unsupported` for more than one worker, and what the system says
    /// when it has no descriptors left.
    pub fn build(self) -> io::Result<Runtime> {
        self.build_on(|epoll| Box::new(epoll))
    }

    /// [`Builder::build`], with events from what `driver` makes of the worker's epoll instance.
    fn build_on(self, driver: impl FnOnce(Arc<Epoll>) -> Box<dyn Driver>) -> io::Result<Runtime> {
        let invalid = |what: &str| Err(io::Error::new(io::ErrorKind::InvalidInput, what.to_string()));
        if self.workers == 0 {
            return invalid("a runtime needs at least 1 worker, not 0");
        }
        if self.workers > 1 {
            let what = format!("{} workers were asked for, and only 1 is supported", self.workers);
            return Err(io::Error::new(io::ErrorKind::Unsupported, what));
        }
        if self.offload_threads == 0 {
            return invalid("the offload pool needs at least 1 OS thread, not 0");
        }
        // std refuses a new hook to who panics, as a destructor does that makes a runtime while its stack unwinds.
        panic_count::lend(hook::install);
        let epoll = Arc::new(Epoll::new()?);
        let wake = EventFd::new()?;
        let timer_fd = TimerFd::new()?;
        epoll.add(wake.as_fd().as_raw_fd(), Interest::EdgeRead, WAKE_TOKEN)?;
        epoll.add(timer_fd.as_fd().as_raw_fd(), Interest::EdgeRead, WAKE_TOKEN)?;
        let reactor = Reactor::new(driver(epoll.clone()));
        let remote = Arc::new(Remote::new(wake, epoll.clone(), Pool::new(self.offload_threads)));
        let run_queue = RunQueue::new(self.policy);
        let worker = Worker::new(remote, epoll, reactor, self.clock, run_queue, self.stack_size, timer_fd);
        Ok(Runtime { worker, main_stack_size: self.main_stack_size, ending: self.ending })
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

/// A scheduler with its workers.
///
/// Neither `Send` nor `Sync`: the OS thread that makes it is its first worker. Other OS threads use its [`Handle`].
///
/// ```compile_fail
/// fn send<T: Send>(_: T) {}
/// send(osier::Builder::new().build().unwrap());
/// ```
///
/// Green threads run only inside [`run`](Runtime::run) and [`enter`](Runtime::enter); each ends with all of them unwound, so the
/// runtime can be used again. Dropping the runtime drops what was spawned through a handle and never ran.
pub struct Runtime {
    worker: Worker,
    main_stack_size: usize,
    ending: Ending,
}

impl Runtime {
    /// Runs `f` as the main green thread, and returns what it returns.
    ///
    /// The OS thread that calls runs green threads until `f` has ended. Those that are left are then killed and unwound (or waited
    /// for, with [`Builder::wait_all`]), so that their destructors run and nothing outlives the call; `f` may therefore
    /// borrow from its surroundings, and need not be `Send`.
    ///
    /// ```
    /// let runtime = osier::Builder::new().build()?;
    /// let mut log = Vec::new();
    /// runtime.run(|| log.push(osier::spawn(|| "from a green thread").join().unwrap()));
    /// assert_eq!(log, ["from a green thread"]);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Panics
    ///
    /// With the panic of `f`; with a [`Deadlock`] when nobody can run any more; if there is no memory for a stack; and when called
    /// inside a runtime.
    pub fn run<F, T>(&self, f: F) -> T
    where
        F: FnOnce() -> T,
    {
        match self.try_run(f) {
            Ok(value) => value,
            Err(deadlock) => panic!("{deadlock}"),
        }
    }

    /// [`Runtime::run`], but a deadlock is returned.
    ///
    /// # Errors
    ///
    /// When nobody can run any more and nobody outside could change that: green threads join each other in a circle, or all
    /// are parked without a deadline while the process has no OS thread but the runtime's. All were killed and unwound.
    ///
    /// # Panics
    ///
    /// As [`Runtime::run`], but for the deadlock.
    pub fn try_run<F, T>(&self, f: F) -> Result<T, Deadlock>
    where
        F: FnOnce() -> T,
    {
        let outcome: Cell<Option<std::thread::Result<T>>> = Cell::new(None);
        let mut deadlock = None;
        let (main, left) = self.entered(|| {
            let attributes = Attributes {
                name: Some("main".into()),
                stack_size: Some(self.main_stack_size),
                ..Attributes::default()
            };
            let body: Box<dyn FnOnce() + '_> =
                Box::new(|| outcome.set(Some(catch_unwind(AssertUnwindSafe(f)))));
            // SAFETY: the body is run or dropped before `entered` returns, which waits for all green threads, and which does not
            // unwind; so what it borrows is still there.
            let body = unsafe { core::mem::transmute::<Box<dyn FnOnce() + '_>, Body>(body) };
            let main = self.worker.spawn(attributes, body);
            // The user's callbacks in between must not switch to a greenlet of whoever called us.
            deadlock = entry::apart(|| self.drive(|| main.is_done()));
            main
        });
        if let Some(error) = main.failure() {
            panic!("no stack of {} bytes for the main green thread: {error}", self.main_stack_size);
        }
        match (deadlock.or(left), outcome.take()) {
            (Some(deadlock), _) => Err(deadlock),
            (None, Some(Ok(value))) => Ok(value),
            (None, Some(Err(payload))) => resume_unwind(payload),
            (None, None) => unreachable!("the main green thread has ended without an outcome"),
        }
    }

    /// Runs `f` on the OS thread itself, which drives the runtime by calling [`Entered::turn`]: for a program that has a loop of
    /// its own. What is left at the end is killed and unwound, as by [`Runtime::run`].
    ///
    /// In `f`, outside of green threads, [`spawn`](crate::spawn) works, and a blocking call of this crate runs green threads while it
    /// waits. Deadlocks are not looked for.
    ///
    /// ```
    /// let runtime = osier::Builder::new().build()?;
    /// runtime.enter(|driver| {
    ///     let thread = osier::spawn(|| 42);
    ///     while !thread.is_finished() {
    ///         driver.turn(None);
    ///     }
    ///     assert_eq!(thread.join().unwrap(), 42);
    /// });
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Panics
    ///
    /// With the panic of `f`, and when called inside a runtime.
    pub fn enter<F, T>(&self, f: F) -> T
    where
        F: FnOnce(&mut Entered<'_>) -> T,
    {
        let (outcome, _) = self.entered(|| {
            let mut entered = Entered { worker: &self.worker };
            // What a handle has spawned before makes the descriptor readable.
            self.worker.leave_to_foreign_loop();
            entry::nested(|| f(&mut entered))
        });
        outcome.unwrap_or_else(|payload| resume_unwind(payload))
    }

    /// A handle through which other OS threads can spawn.
    #[must_use]
    pub fn handle(&self) -> Handle {
        Handle { remote: self.worker.remote().clone() }
    }

    /// An entry: all stacks that are suspended in it are unwound before it returns. Gives what [`Runtime::end`] has to say besides.
    fn entered<T>(&self, f: impl FnOnce() -> T) -> (T, Option<Deadlock>) {
        enter(&self.worker, || {
            super::arm_overflow_report();
            let os_thread = OsThread::current();
            os_thread.drives(Some(self.worker.remote().clone()));
            let guard = AbortOnUnwind;
            let mut value = None;
            // Green threads do not unwind because the destructor that has entered does.
            panic_count::lend(|| {
                value = Some((f(), entry::apart(|| self.end())));
            });
            core::mem::forget(guard);
            os_thread.drives(None);
            value.expect("set above")
        })
    }

    /// Takes turns until `is_over`, or until nobody can run any more: then all are killed.
    fn drive(&self, is_over: impl Fn() -> bool) -> Option<Deadlock> {
        let mut reported = false;
        while !is_over() {
            if reported || !self.worker.is_stuck() {
                self.worker.turn(None);
                reported = reported && self.worker.is_stuck();
                continue;
            }
            self.worker.turn_at_most(None, Some(STUCK));
            if is_over() || !self.worker.is_stuck() {
                continue;
            }
            let deadlock = Deadlock::of(&self.worker.waiting());
            // An offloaded call that a kill has abandoned may still wake somebody; look again until it has ended.
            let Some(pool) = self.worker.remote().offload.idle_threads() else { continue };
            let alone = sys::process::threads() == Some(1 + pool);
            if alone || deadlock.circle().next().is_some() {
                self.worker.kill_all();
                return Some(deadlock);
            }
            if let Some(report) = &self.ending.on_stuck {
                report(&deadlock);
            }
            reported = true;
        }
        None
    }

    /// Ends all green threads; the deadlock, if it was to wait for them and could not.
    fn end(&self) -> Option<Deadlock> {
        let worker = &self.worker;
        let deadlock = if self.ending.wait_all { self.drive(|| worker.live() == 0) } else { None };
        worker.kill_all();
        let started = Instant::of_machine();
        let mut reported = false;
        while worker.live() > 0 {
            let Some((grace, report)) = self.ending.grace.as_ref().filter(|_| !reported) else {
                worker.turn(None);
                continue;
            };
            let left = grace.saturating_sub(Instant::of_machine().saturating_duration_since(started));
            if left.is_zero() {
                let (waiting, ready) = (worker.waiting(), worker.ready());
                let waiting = waiting.iter().map(|(task, reason)| Waiting::new(task, reason));
                let ready = ready.iter().map(|task| Waiting::new(task, "is ready to run"));
                report(&waiting.chain(ready).collect::<Vec<_>>());
                reported = true;
            } else {
                worker.turn_at_most(None, Some(left));
            }
        }
        worker.ended();
        deadlock
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        self.worker.close();
        self.worker.remote().offload.close();
        self.worker.remote().close_descriptors();
    }
}

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runtime").field("green_threads", &self.worker.live()).finish_non_exhaustive()
    }
}

/// A runtime inside [`Runtime::enter`].
///
/// A foreign loop waits for the descriptor ([`AsFd`]) to become readable, which it does when green threads can run: because
/// of IO, of a deadline, or of another OS thread. Then it calls [`Entered::turn`].
pub struct Entered<'a> {
    worker: &'a Worker,
}

impl Entered<'_> {
    /// Runs ready green threads, a bounded number of times; if there are none, waits for something to happen, but not longer than
    /// `timeout` (`None`: as long as it takes; zero: not at all). True if more can run at once.
    ///
    /// The descriptor is readable as soon as another turn has something to do.
    pub fn turn(&mut self, timeout: Option<Duration>) -> bool {
        let until = timeout.and_then(|timeout| self.worker.now().checked_add(timeout));
        self.worker.drive(|worker| worker.turn(until))
    }
}

impl AsFd for Entered<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.worker.epoll().as_fd()
    }
}

impl fmt::Debug for Entered<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entered").finish_non_exhaustive()
    }
}

/// Where new green threads go.
pub(crate) enum Spawner {
    /// To the worker of this OS thread.
    Here,
    /// To a worker of another one.
    Remote(Arc<Remote>),
}

impl Spawner {
    /// To the worker of this OS thread, if it has one.
    pub(crate) fn current() -> Result<Spawner, NoRuntime> {
        with_worker(|worker| worker.map(|_| Spawner::Here).ok_or(NoRuntime))
    }

    pub(crate) fn spawn<F, T>(&self, attributes: Attributes, f: F) -> JoinHandle<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let (packet, body) = Packet::new(f, ());
        let task = match self {
            Spawner::Here => self.spawn_here(attributes, Box::new(body)),
            Spawner::Remote(remote) => {
                let task = Task::unborn(remote.clone(), attributes, Box::new(body));
                remote.push(task.clone());
                task
            }
        };
        JoinHandle::new(task, packet)
    }

    /// For a body that must stay on this OS thread.
    ///
    /// # Panics
    ///
    /// If this is not the worker of this OS thread.
    pub(crate) fn spawn_here(&self, attributes: Attributes, body: Body) -> Arc<Task> {
        with_worker(|worker| {
            worker.expect("there was a worker when it was looked for").spawn(attributes, body)
        })
    }
}

/// Through which any OS thread can spawn green threads of a runtime. Cheap to clone.
///
/// ```
/// let runtime = osier::Builder::new().build()?;
/// let handle = runtime.handle();
/// let elsewhere = std::thread::spawn(move || handle.spawn(|| 21 * 2).join().unwrap());
/// runtime.enter(|driver| {
///     while !elsewhere.is_finished() {
///         driver.turn(Some(osier::time::Duration::from_millis(10)));
///     }
/// });
/// assert_eq!(elsewhere.join().unwrap(), 42);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone)]
pub struct Handle {
    remote: Arc<Remote>,
}

impl Handle {
    /// Queues a green thread that will run `f` on the runtime. Never waits, and may be called on any OS thread.
    ///
    /// It runs when the runtime is next entered. If the runtime is dropped before, `f` is dropped and `join` gives
    /// [`Killed`](crate::thread::Killed).
    pub fn spawn<F, T>(&self, f: F) -> JoinHandle<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        Spawner::Remote(self.remote.clone()).spawn(Attributes::default(), f)
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::event::{Direction, Readiness};
    use core::cell::RefCell;
    use std::os::fd::RawFd;
    use std::rc::Rc;

    /// A kernel before 5.11: the timerfd keeps the time.
    #[test]
    fn sleeps_are_exact_without_epoll_pwait2() {
        let runtime = Builder::new().build().unwrap();
        runtime.worker.epoll().forget_pwait2();
        let nap = Duration::from_micros(100);
        let shortest = runtime.run(|| {
            let naps = (0..50).map(|_| {
                let start = Instant::now();
                crate::sleep(nap);
                start.elapsed()
            });
            naps.min().unwrap()
        });
        // Rounded up to milliseconds none would be shorter than one.
        assert!(shortest >= nap && shortest < Duration::from_millis(1), "{shortest:?}");
    }

    /// Where events come from can be exchanged: here they are written down beforehand.
    struct Scripted {
        tokens: RefCell<Vec<u64>>,
        /// What each wait brings.
        script: RefCell<Vec<Readiness>>,
    }

    impl Driver for Rc<Scripted> {
        fn add(&self, _: RawFd, _: Interest, token: u64) -> io::Result<()> {
            self.tokens.borrow_mut().push(token);
            Ok(())
        }

        fn modify(&self, _: RawFd, _: Interest, _: u64) -> io::Result<()> {
            unreachable!("owned descriptors are added once")
        }

        fn remove(&self, _: RawFd) -> io::Result<()> {
            Ok(())
        }

        fn wait(&self, _: Option<Duration>, each: &mut dyn FnMut(u64, Readiness)) -> io::Result<()> {
            let readiness = self.script.borrow_mut().pop().expect("nobody waits after the last event");
            self.tokens.borrow().iter().for_each(|&token| each(token, readiness));
            Ok(())
        }
    }

    #[test]
    fn an_event_wakes_one_waiter_and_each_hands_on_while_there_is_more() {
        let readable = Readiness { read: true, ..Readiness::default() };
        let driver =
            Rc::new(Scripted { tokens: RefCell::default(), script: RefCell::new(vec![readable, readable]) });
        let runtime = Builder::new().build_on(|_| Box::new(driver.clone())).unwrap();
        let order = runtime.run(|| {
            let order = Rc::new(RefCell::new(Vec::new()));
            let with_reactor = |f: &dyn Fn(&Reactor)| {
                super::super::with_worker(|worker| f(worker.unwrap().reactor()));
            };
            let key =
                super::super::with_worker(|worker| worker.unwrap().reactor().register(1_000_000)).unwrap();
            with_reactor(&|reactor| reactor.note_blocked(key, Direction::Read));
            let waiters: Vec<_> = (0..3)
                .map(|n| {
                    let order = order.clone();
                    crate::spawn_local(move || {
                        super::super::with_worker(|worker| {
                            let reactor = worker.unwrap().reactor();
                            reactor.wait(key, Direction::Read, None).unwrap();
                            order.borrow_mut().push(n);
                            // The first finds more, the second finds the end: the third waits for the second event.
                            reactor.note(key, Direction::Read, n == 0);
                        });
                    })
                })
                .collect();
            for waiter in waiters {
                waiter.join().unwrap();
                order.borrow_mut().push(10 + driver.script.borrow().len());
            }
            with_reactor(&|reactor| reactor.deregister(key));
            order.take()
        });
        assert_eq!(order, [0, 1, 11, 11, 2, 10]);
    }
}
