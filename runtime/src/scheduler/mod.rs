//! Who runs, and when: workers, their run queues, and the runtime around them.
//!
//! This file owns the one thread-local of the scheduler, the worker of the OS thread; everything else hangs on that.
//! [`with_place`] tells every blocking call where it was made from.

mod builder;
mod crew;
mod deadlock;
mod entered;
mod hook;
mod lookout;
mod orders;
mod others;
mod owner;
mod policy;
mod remote;
mod roll_call;
mod run_queue;
mod runtime;
pub(crate) mod stacks;
#[cfg_attr(not(feature = "patch"), allow(dead_code, reason = "shims alone wait for it"))]
pub(crate) mod std_token;
mod stillness;
mod tally;
mod theft;
mod worker;

pub(crate) use self::crew::Crew;
pub(crate) use self::hook::in_panic_hook;
pub(crate) use self::owner::Owner;
pub(crate) use self::remote::Remote;
pub(crate) use self::roll_call::{call_roll, live};
pub(crate) use self::worker::{Worker, drop_quietly};

pub use self::builder::Builder;
pub use self::deadlock::{Deadlock, Waiting};
pub use self::entered::Entered;
pub use self::policy::{Policy, Ready, SeededRandom};
pub use self::runtime::{Runtime, run};

use crate::offload::Pool;
use crate::park::Cancelled;
use crate::stack::overflow;
use crate::sys::process::{at_fork, exit_at_once};
use crate::sys::signal;
use crate::task::{DEFAULT_NAME, Task};
use core::cell::Cell;
use core::ptr;
use core::sync::atomic::{AtomicUsize, Ordering};
use std::io::{self, Write};
use std::sync::Arc;

thread_local! {
    /// The worker that this OS thread drives; null when it drives none.
    static WORKER: Cell<*const Worker> = const { Cell::new(ptr::null()) };
}

/// Where a call was made from.
#[derive(Clone, Copy)]
pub(crate) enum Place<'a> {
    /// On a green thread of this worker.
    Green(&'a Worker),
    /// On the OS thread that drives this worker, outside of its green threads.
    Driver(&'a Worker),
    /// On an OS thread that drives no worker; or in a panic hook, where a switch would leave std's panic state to others.
    OsThread,
}

/// Runs `f` with the worker of this OS thread.
#[inline(always)]
pub(crate) fn with_worker<T>(f: impl FnOnce(Option<&Worker>) -> T) -> T {
    // SAFETY: `enter` sets the pointer and takes it back before its borrow of the worker ends; and `f` returns before `enter`
    // does, since it runs inside of it, on the same OS thread.
    f(unsafe { WORKER.get().as_ref() })
}

/// Runs `f` with the place of the call.
#[inline]
pub(crate) fn with_place<T>(f: impl FnOnce(Place<'_>) -> T) -> T {
    with_worker(|worker| match worker {
        Some(worker) if !in_panic_hook() => {
            f(if worker.runs_green_thread() { Place::Green(worker) } else { Place::Driver(worker) })
        }
        _ => f(Place::OsThread),
    })
}

/// The id of the green thread that runs on this OS thread; 0 when none does.
#[inline]
pub(crate) fn running_id() -> u64 {
    with_worker(|worker| worker.map_or(0, Worker::running_id))
}

/// Makes `worker` the one of this OS thread while `f` runs.
///
/// # Panics
///
/// If this OS thread drives a worker already.
fn enter<T>(worker: &Worker, f: impl FnOnce() -> T) -> T {
    struct Leave;
    impl Drop for Leave {
        fn drop(&mut self) {
            WORKER.set(ptr::null());
        }
    }
    assert!(
        WORKER.get().is_null(),
        "a runtime is already running on this OS thread: call `spawn` in it, or use another OS thread for another runtime"
    );
    WORKER.set(worker);
    let _leave = Leave;
    #[cfg(feature = "patch")]
    if let Some(at_entry) = AT_ENTRY.get() {
        at_entry();
    }
    f()
}

/// What [`at_entry`] was given.
#[cfg(feature = "patch")]
static AT_ENTRY: std::sync::OnceLock<fn()> = std::sync::OnceLock::new();

/// Has `call` called on each OS thread that begins to run green threads from now on. Only one is ever called.
#[cfg(feature = "patch")]
pub(crate) fn at_entry(call: fn()) {
    let _ = AT_ENTRY.set(call);
}

/// Has an overflow of a stack reported, on this OS thread from now on, with the green thread that runs on it.
fn arm_overflow_report() {
    overflow::set_description(describe_running);
    overflow::arm();
}

/// Says which green thread's stack it is that begins at `limit`. Runs in a signal handler: takes no lock and allocates nothing.
fn describe_running(limit: usize, write: &mut dyn FnMut(&[u8])) {
    with_worker(|worker| {
        let running = worker.and_then(|worker| Some((worker, worker.running()?)));
        if running.is_some_and(|(worker, task)| task.home(worker).stack_limit.get() != limit) {
            write(b"a greenlet or generator on ");
        }
    });
    describe_running_in_handler(write);
}

/// Says which green thread runs, if one does. As [`describe_running`].
pub(crate) fn describe_running_in_handler(write: &mut dyn FnMut(&[u8])) {
    with_worker(|worker| {
        let Some(task) = worker.and_then(Worker::running) else { return };
        write(b"green thread '");
        match task.attributes.name.as_deref() {
            Some(name) => write(name.as_bytes()),
            None => {
                write(DEFAULT_NAME.as_bytes());
                overflow::write_number(task.id as usize, write);
            }
        }
        write(b"' (id ");
        overflow::write_number(task.id as usize, write);
        write(b")");
    });
}

/// In the child of a fork: forgets the runtime that this OS thread drives. Its green threads stay suspended for ever, and nothing is
/// dropped: they are the parent's. What has forked goes on as on a plain OS thread, on the green thread's stack if it was on one, and
/// must not return into it: see [`end_copy`].
extern "C" fn forget_runtime() {
    COPIES.fetch_add(1, Ordering::Relaxed);
    let worker = WORKER.replace(ptr::null());
    // SAFETY: as in `with_worker`: what called us runs inside of the worker's entry.
    if let Some(worker) = unsafe { worker.as_ref() } {
        worker.remote().forget_descriptors();
    }
    // Without a descriptor of their own signals of this process would wake the parent. If there is none to be had they do.
    let _ = signal::after_fork();
}

/// How often a process has become another one; relaxed, since a new process has one OS thread.
static COPIES: AtomicUsize = AtomicUsize::new(0);

/// Which process this is: a number that is another one in each child of a fork.
pub(crate) fn copies() -> usize {
    COPIES.load(Ordering::Relaxed)
}

/// Has [`forget_runtime`] called when it is due. To be called before there is any runtime to be forgotten.
fn watch_forks() -> io::Result<()> {
    // SAFETY: it takes no lock but one that is free, and allocates nothing.
    unsafe { at_fork(forget_runtime) }
}

/// Called at the end of what ran on a green thread, or drove a runtime by turns, with whether it has panicked, and before each turn: in
/// the child of a fork there is nothing to go back to, and the process ends.
pub(crate) fn end_copy(panicked: bool) {
    if with_worker(|worker| worker.is_none()) {
        // Nothing is left to be done if it cannot be written.
        let _ = std::io::stdout().flush();
        exit_at_once(if panicked { PANICKED } else { 0 });
    }
}

/// The code with which a process ends that has panicked, as std has it.
pub(crate) const PANICKED: i32 = 101;

/// Ends the wait of a green thread, or its next one.
pub(crate) fn unpark(task: &Arc<Task>) {
    with_worker(|worker| match worker {
        Some(worker) if task.is_of(worker) => worker.unpark(task),
        // Without an owner it has not started: the token of `thread::park`, set before, is the mark that will be seen.
        _ => tell_owner(task),
    });
}

/// [`unpark`] wherever it is called from: in the middle of what a worker does, or in a signal handler.
#[cfg(feature = "patch")]
pub(crate) fn unpark_from_anywhere(task: &Arc<Task>) {
    with_worker(|worker| match worker {
        Some(worker) if task.is_of(worker) && worker.is_free() => worker.unpark(task),
        _ => tell_owner(task),
    });
}

fn tell_owner(task: &Arc<Task>) {
    if let Some(remote) = task.owner.after_mark() {
        remote.push(task.clone());
    }
}

/// Marks a green thread as killed, and ends its wait if it is in one.
pub(crate) fn kill(task: &Arc<Task>) {
    if !task.mark_killed() {
        return;
    }
    with_worker(|worker| match worker {
        Some(worker) if task.is_of(worker) => worker.receive_kill(task),
        _ => tell_owner(task),
    });
}

/// Lets the other ready green threads run first; on an OS thread, std's yield.
///
/// # Errors
///
/// As `park`.
#[inline]
pub(crate) fn yield_now() -> Result<(), Cancelled> {
    with_place(|place| match place {
        Place::Green(worker) => worker.yield_now(),
        Place::Driver(worker) => {
            worker.drive(|worker| _ = worker.turn(Some(worker.now())));
            Ok(())
        }
        Place::OsThread => {
            std::thread::yield_now();
            Ok(())
        }
    })
}

/// To be called at the start of every call that may succeed without waiting: after so many of these in a row that one yields.
///
/// # Errors
///
/// As `park`.
#[inline]
pub(crate) fn checkpoint() -> Result<(), Cancelled> {
    with_worker(|worker| match worker {
        Some(worker) if worker.spend() => yield_now(),
        _ => Ok(()),
    })
}

/// The offload pool, when the call is made on a green thread; elsewhere the OS thread may block.
pub(crate) fn offload_pool() -> Option<Pool> {
    with_place(|place| match place {
        Place::Green(worker) => Some(worker.remote().offload.clone()),
        Place::Driver(_) | Place::OsThread => None,
    })
}
