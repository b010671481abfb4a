//! Green threads that do nothing but use std's channels, or yield where that lets no other one run.
//!
//! To send to a channel that has room, and to look into one, calls nobody. A green thread that does so in a loop, until its neighbour
//! answers or is gone, keeps its OS thread for ever, where an OS thread would be made to share its processor. No call shows that. Nor
//! does one that yields in a loop [without being Rust code](super::yields). So while the group `futex` or `sleep` is active each OS
//! thread that runs green threads has a timer of its processor time, and the signal looks: at whether the same green thread has run all
//! the time while others wait for it. When that has lasted for half the [limit](super::std_park_limit) it notes for as long again where
//! that is; if that was in a channel of std's often, or in `sched_yield` mostly, the process ends with a report, as with a
//! [park](super::std_park) that nobody ends. But one that yields may wait for another OS thread, as libraries do that have a pool which
//! computes: as long as one runs nothing is reported.
//!
//! Whether it is in a channel the names of the functions tell: those of a program that was not stripped. Code that computes, however long, is
//! none of this. Nothing is found in a program that catches the signal, SIGURG, itself.

use super::std_park::{LOOKS, look_every};
use super::{Group, is_active, is_any_active, write_error};
use crate::inside;
use crate::scheduler::stacks::describe;
use crate::scheduler::{self, copies, with_worker};
use crate::sys::cpu_timer::{self, CpuTimer};
use crate::sys::process::others_run;
use crate::sys::program::Symbols;
use core::cell::{Cell, RefCell};
use core::mem::ManuallyDrop;

/// Looks that are noted: the later half.
const NOTED: usize = LOOKS as usize / 2;

/// How many of these are to be in a channel. Of one that does nothing else a quarter at least is, in a debug build, whose channels call many
/// functions that others call too; and more in a release build.
const OFTEN: usize = NOTED * 3 / 20;

/// How many are to be in a call of `sched_yield`: nearly all, of one that does nothing else until somebody has done something.
const MOSTLY: u32 = NOTED as u32 / 2;

/// How many such calls in a row are to find that no other OS thread runs, before it is reported: those of a pool may sleep for a moment, between
/// two pieces of work.
const CALLS: u32 = 20;

/// Bytes of stack that it takes to look functions up. Where a handler has less, nothing is found.
const ROOM: usize = 4096;

/// What the names of functions of std's channels have in them, in either way in which compilers write paths; and of those that std
/// has them from.
const CHANNELS: [&[u8]; 3] = [b"3std4sync4mpsc", b"3std4sync4mpmc", b"17crossbeam_channel"];

/// A timer, and the process that has it: the child of a fork has another one of that number, or none.
struct Armed {
    timer: ManuallyDrop<CpuTimer>,
    process: usize,
}

impl Drop for Armed {
    fn drop(&mut self) {
        if self.process == copies() {
            // SAFETY: not used any more.
            unsafe { ManuallyDrop::drop(&mut self.timer) };
        }
    }
}

thread_local! {
    /// Of this OS thread, once it has run green threads.
    static TIMER: RefCell<Option<Armed>> = const { RefCell::new(None) };
    /// Looks in a row that have found the same green thread running and others waiting.
    static FOUND: Cell<u32> = const { Cell::new(0) };
    /// Where the noted ones of these have found it.
    static PLACES: [Cell<usize>; NOTED] = const { [const { Cell::new(0) }; NOTED] };
    /// Whether a call of `sched_yield` is under way, of the green thread that runs.
    static YIELDS: Cell<bool> = const { Cell::new(false) };
    /// How many of the noted looks have found it so.
    static YIELDED: Cell<u32> = const { Cell::new(0) };
    /// If that was mostly so, and is to be reported where that can be done, outside of the signal handler: how many calls are still to find that
    /// no other OS thread runs. 0 if nothing is to be reported.
    static DUE: Cell<u32> = const { Cell::new(0) };
}

/// Looks from now on at OS threads that run green threads: at this one, if it does, and at all that begin to.
pub(super) fn watch() {
    if cpu_timer::install(look) {
        scheduler::at_entry(arm);
        if with_worker(|worker| worker.is_some()) {
            arm();
        }
    }
}

/// Looks at this OS thread from now on.
fn arm() {
    let Some(every) = look_every() else { return };
    TIMER.with_borrow_mut(|armed| {
        if armed.as_ref().is_none_or(|armed| armed.process != copies()) {
            // Without one nothing is found.
            let timer = CpuTimer::start(every).ok().map(ManuallyDrop::new);
            *armed = timer.map(|timer| Armed { timer, process: copies() });
        }
    });
}

/// Runs in a signal handler, on the OS thread that it looks at, which was at the address `at`.
fn look(at: usize) {
    let stuck = with_worker(|worker| {
        worker.is_some_and(|worker| worker.runs_without_a_switch() && worker.starves_others())
    });
    if !stuck || !is_any_active(Group::Futex.bit() | Group::Sleep.bit()) {
        return FOUND.set(0);
    }
    let found = FOUND.get() + 1;
    FOUND.set(found);
    if let Some(noted) = (found as usize).checked_sub(NOTED + 1) {
        PLACES.with(|places| places[noted].set(at));
        let before = if noted == 0 { 0 } else { YIELDED.get() };
        YIELDED.set(before + u32::from(YIELDS.get()));
    }
    if found == LOOKS {
        FOUND.set(0);
        if YIELDED.get() >= MOSTLY {
            DUE.set(CALLS);
        } else if is_active(Group::Futex) && cpu_timer::room() >= ROOM {
            judge();
        }
    }
}

/// Notes that the running green thread begins a call of `sched_yield`.
pub(super) fn begins_to_yield() {
    YIELDS.set(true);
}

/// Notes that others may run now.
pub(super) fn lets_others_run() {
    YIELDS.set(false);
}

/// Notes that such a call is over in which no others could run. Ends the process if that has long been so.
pub(super) fn has_yielded() {
    YIELDS.set(false);
    if DUE.get() > 0 {
        judge_yields();
    }
}

/// Ends the process after the last call that was to find nobody.
#[cold]
fn judge_yields() {
    let left = if inside::run(others_run) { 0 } else { DUE.get() - 1 };
    if DUE.replace(left) == 1 && left == 0 {
        report_yields();
    }
}

#[cold]
fn report_yields() {
    with_worker(|worker| {
        // Unless it was another one, or has let others run since.
        let Some(worker) = worker.filter(|worker| worker.runs_without_a_switch()) else { return };
        write_error(b"\nosier: ");
        scheduler::describe_running_in_handler(&mut |text| write_error(text));
        write_error(
            b" has long done nothing but call `sched_yield`, and no other one of its OS thread could run: it lets others run \
              only where code calls it that is known to be Rust's, by a name that the program was not stripped of, and not in a \
              panic hook. Use `osier::yield_now`, or a lock. `osier::patch::std_park_limit` says how long is long. It is here:\n",
        );
        write_error(describe(&worker.current_task()).as_bytes());
        std::process::abort();
    });
}

/// Ends the process if the places are a channel's often enough.
fn judge() {
    let Some(symbols) = Symbols::of_program() else { return };
    let mut in_channel = 0;
    each_name(&symbols, &mut |name| {
        in_channel +=
            usize::from(CHANNELS.iter().any(|path| name.windows(path.len()).any(|part| part == *path)));
    });
    if in_channel < OFTEN {
        return;
    }
    write_error(b"\nosier: ");
    scheduler::describe_running_in_handler(&mut |text| write_error(text));
    write_error(
        b" has long done nothing but use std's channels, and no other one of its OS thread could run: such a \
          channel lets nobody run as long as it can be used. Use `osier::sync::mpsc` instead of std's, or an OS thread for each \
          end. `osier::patch::std_park_limit` says how long is long. It was found in these functions, one after the other:\n",
    );
    each_name(&symbols, &mut |name| {
        write_error(b"  ");
        write_error(name);
        write_error(b"\n");
    });
    std::process::abort();
}

/// The functions of the places that were noted, some at a time, as a handler's stack is small.
fn each_name(symbols: &Symbols, each: &mut dyn FnMut(&[u8])) {
    const SOME: usize = 10;
    for start in (0..NOTED).step_by(SOME) {
        let places = PLACES.with(|places| core::array::from_fn::<_, SOME, _>(|at| places[start + at].get()));
        symbols.names_of(&places).into_iter().flatten().for_each(&mut *each);
    }
}
