//! `std::thread::park` on green threads.
//!
//! std gives an OS thread one token for it. A green thread that parks so while others run works: it waits for the futex
//! that the token is, and [`crate::scheduler::std_token`] has its worker look for the token. Two of one OS thread cannot: an
//! unpark does not say for whom it is, and each would take what was meant for the other. So that is reported, with both
//! stacks, and ends the process: the wait has no way to fail, and going on would be a wait for ever, now or some day.
//!
//! # Which futex it is
//!
//! A word that holds `u32::MAX` may be anything; std's reader-writer lock has such a state. So when a green thread first waits
//! with that value, the OS thread's token is given and taken in a way that has std name its address.

use super::addresses::{self, Key, Outcome, What};
use super::deadline::Deadline;
use super::futex;
use crate::inside;
use crate::limits;
use crate::park::Reason;
use crate::scheduler::Worker;
use crate::scheduler::std_token::{EMPTY, NOTIFIED, PARKED};
use crate::sys::raw;
use crate::task::Task;
use core::cell::{Cell, RefCell};
use core::sync::atomic::{AtomicU32, Ordering};
use core::time::Duration;
use libc::c_int;
use std::backtrace::Backtrace;
use std::sync::Arc;

thread_local! {
    /// Where this OS thread's token is; 0 while that is unknown.
    static TOKEN: Cell<usize> = const { Cell::new(0) };
    /// Whether the calls on futexes that this OS thread makes now name the token's address.
    static TELLING: Cell<bool> = const { Cell::new(false) };
    /// What the second one has to say: the first adds its own stack.
    static SECOND: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// What a wait for a futex is.
pub(super) enum Kind {
    /// `std::thread::park`.
    StdPark,
    /// The same, which has ended while it was found out.
    Learned,
    Other,
}

/// Whether the address of a futex is told, and nothing done.
#[inline]
pub(super) fn is_being_told() -> bool {
    TELLING.get()
}

/// Notes the address of the token; the error's number for a wait.
pub(super) fn tell(address: usize) -> c_int {
    TOKEN.set(address);
    libc::ETIMEDOUT
}

/// What a wait for `word` to change from `expected` is.
pub(super) fn kind(worker: &Worker, word: &AtomicU32, expected: u32) -> Kind {
    if expected != PARKED {
        return Kind::Other;
    }
    let address = word.as_ptr() as usize;
    if TOKEN.get() == 0 {
        learn();
        if TOKEN.get() == address && !worker.std_token().is_awaited() {
            // Given to find this out: the park ends for no reason, as it may.
            return Kind::Learned;
        }
    }
    if TOKEN.get() == address { Kind::StdPark } else { Kind::Other }
}

/// Has std name the address of the token. The token is there afterwards, so that none is lost; a park may end for no reason.
fn learn() {
    let _see_all = futex::see_all();
    inside::run(|| {
        TELLING.set(true);
        let thread = std::thread::current();
        // Wakes whoever waits for the token, if this OS thread is in the middle of a park.
        thread.unpark();
        if TOKEN.get() == 0 {
            // Takes the token, and then waits for the next one.
            std::thread::park_timeout(Duration::from_nanos(1));
            std::thread::park_timeout(Duration::from_nanos(1));
            thread.unpark();
        }
        TELLING.set(false);
    });
}

/// Waits for the token. Gives 0 or an error's number.
pub(super) fn wait(worker: &Worker, word: &AtomicU32, deadline: &Deadline) -> c_int {
    let token = worker.std_token();
    let key = Key { address: word.as_ptr() as usize, what: What::StdToken };
    while token.is_awaited() {
        // Whoever else comes here must find it so, as the invariant says.
        let _ = word.compare_exchange(PARKED, EMPTY, Ordering::Acquire, Ordering::Relaxed);
        if addresses::is_awaited(key) {
            report_second(worker, key);
        }
        // The one before was woken, and has not run since: its wait is over.
        let _ = limits::with_shield(|| worker.yield_now());
    }
    // SAFETY: the word belongs to this OS thread's handle, and the frame that waits holds that.
    if !unsafe { token.watch(word, wake_all) } {
        return 0;
    }
    let code = loop {
        let stop = deadline.next_stop(worker, None);
        let must_wait = || word.load(Ordering::SeqCst) == EMPTY;
        match addresses::wait(worker, key, u32::MAX, Reason::StdToken, stop, must_wait) {
            Outcome::Needless | Outcome::Chosen => break 0,
            Outcome::Deadline if deadline.has_passed(stop) => break libc::ETIMEDOUT,
            Outcome::Deadline => {}
        }
    };
    let second = SECOND.take();
    if let Some(second) = second {
        report_first(worker, second);
    }
    token.leave();
    if code == 0 {
        // Another one may have taken the token. Without it std would not wait for the word again, and spin.
        let _ = word.compare_exchange(EMPTY, NOTIFIED, Ordering::Acquire, Ordering::Relaxed);
    }
    code
}

fn wake_all(word: &AtomicU32) {
    let key = Key { address: word.as_ptr() as usize, what: What::StdToken };
    addresses::wake(key, usize::MAX, u32::MAX);
}

/// Has the one that waits already report itself and this one.
#[cold]
fn report_second(worker: &Worker, key: Key) -> ! {
    let stack = describe(&worker.current_task());
    SECOND.replace(Some(stack));
    addresses::wake(key, usize::MAX, u32::MAX);
    loop {
        let _ = limits::with_shield(|| worker.park(Reason::StdToken, None));
    }
}

#[cold]
fn report_first(worker: &Worker, second: String) -> ! {
    let first = describe(&worker.current_task());
    let text = format!(
        "\nosier: two green threads of one OS thread wait in `std::thread::park`, and an OS thread has one token for it: \
         whom an unpark is for cannot be told. Use `osier::thread::park`, `osier::sync::mpsc` and `osier::thread::scope` \
         instead of std's, or an OS thread for each.\n{second}{first}"
    );
    inside::run(|| write_error(text.as_bytes()));
    std::process::abort();
}

/// The name and the stack of the green thread that runs.
fn describe(task: &Arc<Task>) -> String {
    let name = task.attributes.name.as_deref().unwrap_or("<unnamed>").to_owned();
    let id = task.id;
    inside::run(|| {
        let stack = Backtrace::force_capture();
        // To look up the names of functions takes more stack than a green thread may have.
        let told = std::thread::spawn(move || format!("green thread '{name}' ({id}):\n{stack}\n"));
        told.join().unwrap_or_default()
    })
}

fn write_error(mut text: &[u8]) {
    while !text.is_empty() {
        // SAFETY: valid for a read of its length.
        match unsafe { raw::write(libc::STDERR_FILENO, text.as_ptr().cast(), text.len()) } {
            Ok(written @ 1..) => text = &text[written..],
            _ => return,
        }
    }
}
