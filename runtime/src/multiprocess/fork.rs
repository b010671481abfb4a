//! Copies of this process.
//!
//! # Why `Process` is safe
//!
//! Of a process with several OS threads a copy has only one, and what the others were about to do is half done in it: a
//! lock that one of them held stays locked for ever, and what it protected may be in pieces. So [`check_alone`] refuses unless
//! the calling OS thread is the only one. And memory that is mapped as shared would not be a copy: a library that takes it for
//! its own, and lends it as `&mut`, would see it change under its feet. So [`check_private`] refuses if there is any that can be
//! written. What is left is a process in which each byte is a copy, and in which one OS thread goes on: whatever it does
//! there, it could have done in the parent.
//!
//! # What the child does with the runtime
//!
//! Nothing: it forgets it. The green threads of the parent stay suspended for ever, on stacks that nobody touches, and the child
//! never returns to them. Its function runs in a runtime of its own, with a reactor of its own: an epoll instance is shared by
//! the two processes, so the parent's must not be used.

use crate::process::orphans;
use crate::scheduler::{self, PANICKED};
use crate::sys::{self, process::exit_at_once};
use core::time::Duration;
use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

/// How long an OS thread that has said that it ends may take to do so. Others run meanwhile.
const ENDING: Duration = Duration::from_secs(1);

/// The same for those of the offload pool, which end when nobody else may run any more. Longer, since it is known that they do end.
const RETIRING: Duration = Duration::from_secs(10);

/// The same if there is one of which that is not known, and that was waited for before.
const UNKNOWN: Duration = Duration::from_millis(100);

/// What is to be done before a copy is made, and before anything is checked: it might let others run.
pub(super) fn prepare() {
    orphans::collect();
    // An OS thread that was joined, say, is there for some time after that.
    let end = Instant::now() + ENDING;
    while sys::process::threads().is_some_and(|threads| threads > 1 + pooled()) && Instant::now() < end {
        crate::thread::sleep(Duration::from_millis(1));
    }
    // What is buffered would be written by both. Whether it can be written is not what we were asked.
    let _ = io::stdout().flush();
}

/// The idle OS threads of the offload pool.
fn pooled() -> usize {
    let pool = scheduler::with_worker(|worker| worker.map(|worker| worker.remote().offload.clone()));
    pool.and_then(|pool| pool.idle_threads()).unwrap_or(0)
}

/// Green threads do not run meanwhile, which std's `yield_now` would let where it is patched.
fn let_os_threads_run() {
    // It does not fail.
    let _ = sys::raw::sched_yield();
}

/// Has the offload pool end its idle OS threads, and makes sure that there are no others.
pub(super) fn check_alone() -> io::Result<()> {
    let busy = |what: &str| Err(io::Error::new(io::ErrorKind::Unsupported, what));
    let pool = scheduler::with_worker(|worker| worker.map(|worker| worker.remote().offload.clone()));
    // Counted last: one that ends meanwhile is among the pool's.
    let known = 1 + pooled();
    let all_known = sys::process::threads().is_some_and(|threads| threads <= known);
    let patience = if all_known { RETIRING } else { UNKNOWN };
    if let Some(pool) = pool {
        let retired = loop {
            match pool.retire() {
                Ok(0) => break true,
                Ok(_) => let_os_threads_run(),
                Err(_) => break false,
            }
        };
        pool.go_on();
        if !retired {
            return busy("the process cannot be copied while offloaded calls are under way");
        }
    }
    // An OS thread is there for some time after it has said that it ends.
    let started = Instant::now();
    loop {
        match sys::process::threads() {
            Some(1) => return Ok(()),
            Some(_) if started.elapsed() < patience => let_os_threads_run(),
            Some(threads) => {
                return busy(&format!("the process cannot be copied while it has {threads} OS threads"));
            }
            None => {
                return busy("the process cannot be copied: /proc does not say how many OS threads it has");
            }
        }
    }
}

/// Makes sure that all memory will be copied.
pub(super) fn check_private() -> io::Result<()> {
    match sys::process::shared_mapping()? {
        None => Ok(()),
        Some(mapping) => Err(io::Error::new(
            io::ErrorKind::Unsupported,
            format!("the process cannot be copied while it has memory that is not: {mapping}"),
        )),
    }
}

/// Copies the process; the child runs `body` and ends. Gives the child's id.
///
/// # Safety
///
/// `alone` must be true only if the process has no other OS thread. If it is false, `body` must call only what is
/// async-signal-safe, and end by itself. If there is memory that is shared with the child, whoever uses it must expect that.
pub(super) unsafe fn fork(alone: bool, body: impl FnOnce()) -> io::Result<u32> {
    // SAFETY: the caller's promise.
    if let Some(pid) = unsafe { sys::process::fork() }? {
        return Ok(pid);
    }
    if alone {
        orphans::forget();
        // Done already if there was a runtime; but here it must not fail unnoticed.
        if sys::signal::after_fork().is_err() {
            exit_at_once(PANICKED);
        }
    }
    // Nothing may return, or unwind, into the parent's stack frames.
    let code = if catch_unwind(AssertUnwindSafe(body)).is_ok() { 0 } else { PANICKED };
    let _ = io::stdout().flush();
    exit_at_once(code)
}
