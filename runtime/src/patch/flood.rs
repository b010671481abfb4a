//! Green threads that do nothing but use std's channels.
//!
//! To send to a channel that has room, and to look into one, calls nobody. A green thread that does so in a loop, until its neighbour
//! answers or is gone, keeps its OS thread for ever, where an OS thread would be made to share its processor. No call shows
//! that. So while the group `futex` is active each OS thread that runs green threads has a timer of its processor time, and the signal looks: at
//! whether the same green thread has run all the time while others wait for it. When that has lasted for half the
//! [limit](super::std_park_limit) it looks for as long again, at whether that is in a channel of std's; if it is so most of the times the
//! process ends with a report, as with a [park](super::std_park) that nobody ends.
//!
//! Where it is, its stack and the names of the functions tell: those of a program that was not stripped. Code that computes, however long, is none
//! of this. Nothing is found in a program that catches the signal, SIGURG, itself.

use super::std_park::{LOOKS, look_every};
use super::{Group, is_active, write_error};
use crate::scheduler::{self, with_worker};
use crate::sys::cpu_timer::{self, CpuTimer};
use crate::sys::program::Symbols;
use crate::sys::unwind;
use core::cell::{Cell, RefCell};

/// The innermost frames of a stack, of which one is a channel's if that is what runs: the handler's own, and some of what channels are
/// made of.
const FRAMES: usize = 24;

/// Bytes of stack that it takes to walk another one. Where a handler has less, nothing is found.
const ROOM: usize = 4096;

/// What the names of functions of std's channels have in them, in either way in which compilers write paths; and of those that std
/// has them from.
const CHANNELS: [&[u8]; 3] = [b"3std4sync4mpsc", b"3std4sync4mpmc", b"17crossbeam_channel"];

thread_local! {
    /// Of this OS thread, once it has run green threads.
    static TIMER: RefCell<Option<CpuTimer>> = const { RefCell::new(None) };
    /// Looks in a row that have found the same green thread running and others waiting.
    static FOUND: Cell<u32> = const { Cell::new(0) };
    /// Of the later ones of these, those that have found it in a channel.
    static IN_CHANNEL: Cell<u32> = const { Cell::new(0) };
}

/// Looks from now on at OS threads that run green threads: at this one, if it does, and at all that begin to.
pub(super) fn watch() {
    if cpu_timer::install(look) {
        // The dynamic linker has to find some functions for the first use, for which a signal's stack is too small.
        unwind::frames(&mut |_| true);
        scheduler::at_entry(arm);
        if with_worker(|worker| worker.is_some()) {
            arm();
        }
    }
}

/// Looks at this OS thread from now on.
fn arm() {
    let Some(every) = look_every() else { return };
    TIMER.with_borrow_mut(|timer| {
        if timer.is_none() {
            // Without one nothing is found.
            *timer = CpuTimer::start(every).ok();
        }
    });
}

/// Runs in a signal handler, on the OS thread that it looks at.
fn look() {
    let stuck = with_worker(|worker| {
        worker.is_some_and(|worker| worker.runs_without_a_switch() && worker.starves_others())
    });
    if !stuck || !is_active(Group::Futex) {
        return FOUND.set(0);
    }
    let found = FOUND.get() + 1;
    FOUND.set(found);
    if found <= LOOKS / 2 {
        return IN_CHANNEL.set(0);
    }
    let in_channel = IN_CHANNEL.get() + u32::from(cpu_timer::room() >= ROOM && stack(is_in_channel));
    IN_CHANNEL.set(in_channel);
    if found == LOOKS {
        if in_channel > LOOKS / 4 {
            report();
        }
        FOUND.set(0);
    }
}

/// Hands to `f` the names of the functions on the stack of the code that was interrupted, from the innermost on.
fn stack<T>(f: impl FnOnce(&[Option<&[u8]>; FRAMES]) -> T) -> T {
    let mut addresses = [0; FRAMES];
    let mut next = addresses.iter_mut();
    unwind::frames(&mut |address| next.next().map(|place| *place = address).is_some());
    match Symbols::of_program() {
        Some(symbols) => f(&symbols.names_of(&addresses)),
        None => f(&[None; FRAMES]),
    }
}

fn is_in_channel(stack: &[Option<&[u8]>; FRAMES]) -> bool {
    let has = |name: &[u8], path: &[u8]| name.windows(path.len()).any(|part| part == path);
    stack.iter().flatten().any(|name| CHANNELS.iter().any(|path| has(name, path)))
}

#[cold]
fn report() -> ! {
    write_error(b"\nosier: ");
    scheduler::describe_running_in_handler(&mut |text| write_error(text));
    write_error(
        b" has long done nothing but use std's channels, and no other one of its OS thread could run: such a \
          channel lets nobody run as long as it can be used. Use `osier::sync::mpsc` instead of std's, or an OS thread for each \
          end. `osier::patch::std_park_limit` says how long is long. Its innermost functions:\n",
    );
    stack(|names| {
        for name in names.iter().flatten() {
            [b"  ", *name, b"\n"].into_iter().for_each(write_error);
        }
    });
    std::process::abort();
}
