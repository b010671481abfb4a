//! Green threads that do nothing but use std's channels.
//!
//! To send to a channel that has room, and to look into one, calls nobody. A green thread that does so in a loop, until its neighbour
//! answers or is gone, keeps its OS thread for ever, where an OS thread would be made to share its processor. No call shows
//! that. So while the group `futex` is active each OS thread that runs green threads has a timer of its processor time, and the signal looks: at
//! whether the same green thread has run all the time while others wait for it. When that has lasted for half the
//! [limit](super::std_park_limit) it notes for as long again where that is; if that was in a channel of std's often the process ends with
//! a report, as with a [park](super::std_park) that nobody ends.
//!
//! Where it is the names of the functions tell: those of a program that was not stripped. Code that computes, however long, is none
//! of this. Nothing is found in a program that catches the signal, SIGURG, itself.

use super::std_park::{LOOKS, look_every};
use super::{Group, is_active, write_error};
use crate::scheduler::{self, copies, with_worker};
use crate::sys::cpu_timer::{self, CpuTimer};
use crate::sys::program::Symbols;
use core::cell::{Cell, RefCell};
use core::mem::ManuallyDrop;

/// Looks that are noted: the later half.
const NOTED: usize = LOOKS as usize / 2;

/// How many of these are to be in a channel. Of one that does nothing else a quarter at least is, in a debug build, whose channels call many
/// functions that others call too; and more in a release build.
const OFTEN: usize = NOTED * 3 / 20;

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
    if !stuck || !is_active(Group::Futex) {
        return FOUND.set(0);
    }
    let found = FOUND.get() + 1;
    FOUND.set(found);
    if let Some(noted) = (found as usize).checked_sub(NOTED + 1) {
        PLACES.with(|places| places[noted].set(at));
    }
    if found == LOOKS {
        FOUND.set(0);
        if cpu_timer::room() >= ROOM {
            judge();
        }
    }
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
