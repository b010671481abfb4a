//! The group `sleep`: `sched_yield`, which `std::thread::yield_now` is.
//!
//! Who yields in a loop until somebody has done something may wait for a green thread of its own OS thread, and must let that one run. But
//! allocators do the same while they wait for another OS thread, in the middle of what they keep for each OS thread, and so do other
//! libraries of C: a switch there would let a neighbour see what is half changed. So it counts who calls: Rust code lets the
//! others run, as it does when it waits for a lock of std's or sleeps, and no other code.
//!
//! # Who calls
//!
//! std's function is a jump to libc's, and is often made part of its callers. So what is seen here is an address within the code that
//! has called std's function. (Or the caller of that one, if its last act was such a jump: then it has nothing more to do, and nothing
//! is half changed.) That code is Rust's if the program's symbols have it as part of a function with a name as Rust's compiler makes
//! them, and no C or C++ compiler.
//!
//! All else is taken for C's: functions of Rust with C's names (`no_mangle`), what lies in shared libraries, and a program that was stripped
//! of its symbols. (To know a call of std's function by the instruction in front of the address would help some of those, and not those that
//! were optimised at link time: too little for what it takes.) There the real call is made, and [counted](super::report()); and who does
//! nothing else and so keeps others from running is found by [`flood`].
//!
//! # Cost
//!
//! To look an address up takes as long as a look at each symbol of the program, once for each place that calls. Symbols are in a file,
//! which is mapped when the group is activated. Nothing here allocates, or waits for a lock: who calls may be an allocator.

use super::report::{Blocking, blocks, count, on_patched_green_thread};
use super::wait::on_green;
use super::{Group, flood, is_active, original};
use crate::scheduler::Worker;
use crate::sys::errno;
use crate::sys::program::Symbols;
use core::sync::atomic::{AtomicUsize, Ordering};
use libc::c_int;
use std::sync::OnceLock;

/// As `sched_yield(2)`: goes on with the address that it will return to.
#[unsafe(naked)]
#[unsafe(no_mangle)]
pub(super) extern "C" fn sched_yield() -> c_int {
    #[cfg(target_arch = "x86_64")]
    core::arch::naked_asm!("mov rdi, [rsp]", "jmp {to}", to = sym sched_yield_from);
    #[cfg(target_arch = "aarch64")]
    core::arch::naked_asm!("mov x0, x30", "b {to}", to = sym sched_yield_from);
}

/// As `thrd_yield(3)`, which C has for `sched_yield`.
#[unsafe(naked)]
#[unsafe(no_mangle)]
pub(super) extern "C" fn thrd_yield() {
    #[cfg(target_arch = "x86_64")]
    core::arch::naked_asm!("mov rdi, [rsp]", "jmp {to}", to = sym thrd_yield_from);
    #[cfg(target_arch = "aarch64")]
    core::arch::naked_asm!("mov x0, x30", "b {to}", to = sym thrd_yield_from);
}

extern "C" fn sched_yield_from(caller: usize) -> c_int {
    count!(sched_yield);
    yield_for(caller)
}

extern "C" fn thrd_yield_from(caller: usize) {
    count!(thrd_yield);
    // It cannot say whether this fails.
    let _ = yield_for(caller);
}

fn yield_for(caller: usize) -> c_int {
    if !is_active(Group::Sleep) || !on_patched_green_thread() {
        return original::sched_yield();
    }
    flood::begins_to_yield();
    let is_rusts = is_rusts(caller);
    if is_rusts {
        if on_green(Group::Sleep, let_others_run).is_some() {
            return 0;
        }
    } else {
        blocks(Blocking::Yield);
    }
    let answer = original::sched_yield();
    flood::has_yielded();
    answer
}

fn let_others_run(worker: &Worker) {
    let before = errno::last();
    if !worker.has_ready() {
        // It may be another OS thread that is waited for.
        original::sched_yield();
    }
    flood::lets_others_run();
    // Lets them run also if it says that this one is to end, which the next wait that is entered from Rust will say again.
    let _ = worker.yield_now();
    errno::set(before);
}

/// The program's symbols, once the group is active; `None` if it has none. Never given back, as the program will need them all the time.
static SYMBOLS: OnceLock<Option<Symbols>> = OnceLock::new();

/// To be called before the group is active.
pub(super) fn prepare() {
    SYMBOLS.get_or_init(Symbols::of_program);
}

/// What is known of callers: twice the address, plus 1 if it is Rust's; 0 for nothing. Relaxed throughout: an entry says all in
/// itself.
static KNOWN: [AtomicUsize; 1024] = [const { AtomicUsize::new(0) }; 1024];

/// How many entries an address may have its place in.
const PLACES: usize = 8;

/// Whether the code that a call returns to is Rust's, as far as is known.
fn is_rusts(caller: usize) -> bool {
    // Spreads the addresses, of which those are near each other that are in the same function.
    let first = caller.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (usize::BITS - KNOWN.len().ilog2());
    let mut place = first;
    for at in first..first + PLACES {
        let known = KNOWN[at % KNOWN.len()].load(Ordering::Relaxed);
        if known >> 1 == caller {
            return known & 1 == 1;
        }
        if known == 0 {
            place = at;
            break;
        }
    }
    let is_rusts = has_rusts_name(caller);
    // Where there is no room one that was there before will be looked up once more.
    KNOWN[place % KNOWN.len()].store(caller << 1 | usize::from(is_rusts), Ordering::Relaxed);
    is_rusts
}

/// Whether the function in which a call returns to this address has a name of Rust's.
fn has_rusts_name(caller: usize) -> bool {
    // The call itself is in the function, also if it is the last instruction there.
    let symbols = SYMBOLS.get().and_then(Option::as_ref);
    symbols.is_some_and(|symbols| symbols.all_names_of(caller - 1, is_rusts_name))
}

/// Whether a symbol has a name as Rust's compiler makes them, in either way that it has.
fn is_rusts_name(name: &[u8]) -> bool {
    // What follows says which kind of path it is, or which version. C reserves names of this kind.
    if let Some(path) = name.strip_prefix(b"_R") {
        return path.first().is_some_and(|first| first.is_ascii_uppercase() || first.is_ascii_digit());
    }
    // The names of C++'s, but for the end: a hash, where those have the types of the arguments. LLVM may add more behind a dot.
    let is_hash = |rest: &[u8]| {
        let hash = rest.strip_prefix(b"17h").and_then(|rest| rest.split_at_checked(16));
        hash.is_some_and(|(hash, rest)| {
            hash.iter().all(u8::is_ascii_hexdigit) && (rest == b"E" || rest.starts_with(b"E."))
        })
    };
    name.starts_with(b"_ZN") && (0..name.len()).any(|at| is_hash(&name[at..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_rusts_are_told_from_others() {
        for name in [
            "_RNvNtNtCsjrHSEGnQ3l9_3std6thread9functions9yield_now",
            "_RINvNtC3foo3bar3bazlE.llvm.123",
            "_ZN3std4sync4mpmc4list16Channel$LT$T$GT$20disconnect_receivers17hf90fc633250d582fE",
            "_ZN3foo4spin17h60f34ef9933c994dE.llvm.14437",
            "_ZN3foo4spin17h60f34ef9933c994dE.cold",
        ] {
            assert!(is_rusts_name(name.as_bytes()), "{name}");
        }
        for name in [
            "",
            "_R",
            "_Read",
            "malloc",
            "_rjem_je_malloc_mutex_lock_slow",
            "mi_malloc",
            "_ZN8tcmalloc16CentralFreeList11RemoveRangeEiPPvS2_",
            "_ZN3foo17h60f34ef9933c994dEv",
            "_ZN3foo17h60f34ef9933c994",
            "_Znwm",
        ] {
            assert!(!is_rusts_name(name.as_bytes()), "{name}");
        }
    }
}
