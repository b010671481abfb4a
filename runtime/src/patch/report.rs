//! What is patched, and what came of it: counts for each shim, of calls on green threads alone.

use super::symbols::{Symbol, TABLE};
use super::{Group, is_active, is_any_active, system_calls};
use crate::scheduler::{Worker, with_worker};
use core::cell::Cell;
use core::fmt;
use core::ptr;
use core::sync::atomic::{AtomicU64, Ordering};

struct Counts {
    calls: AtomicU64,
    waits: AtomicU64,
}

/// For each symbol of the table. Relaxed throughout: they say nothing of other memory.
static COUNTS: [Counts; TABLE.len()] =
    [const { Counts { calls: AtomicU64::new(0), waits: AtomicU64::new(0) } }; TABLE.len()];

/// Calls that block the OS thread on a green thread although their group is active.
#[derive(Clone, Copy)]
pub(super) enum Blocking {
    PriorityFutex,
    Sigsuspend,
    Pause,
    StandardStream,
    Yield,
}

const BLOCKING: [&str; 5] = [
    "syscall(SYS_futex, ..) with an operation of priority inheritance",
    "sigsuspend that an unblocked signal's handler may end",
    "pause that an unblocked signal's handler may end",
    "read or poll of the descriptors 0 to 2",
    "sched_yield by code that is not known to be Rust's",
];

static BLOCKED: [AtomicU64; BLOCKING.len()] = [const { AtomicU64::new(0) }; BLOCKING.len()];

/// For each of the list of [`system_calls`].
static BLOCKED_IN_SYSTEM_CALL: [AtomicU64; system_calls::LIST.len()] =
    [const { AtomicU64::new(0) }; system_calls::LIST.len()];

/// Whether a green thread calls, and anything is patched.
#[inline]
pub(super) fn on_patched_green_thread() -> bool {
    is_any_active(u32::MAX) && with_worker(|worker| worker.is_some_and(Worker::runs_green_thread))
}

/// Notes a call that blocks the OS thread, if a green thread makes it.
pub(super) fn blocks(what: Blocking) {
    if on_patched_green_thread() {
        BLOCKED[what as usize].fetch_add(1, Ordering::Relaxed);
    }
}

/// Notes a system call of this place in the list, which blocks a green thread's OS thread.
pub(super) fn blocks_in_system_call(at: usize) {
    BLOCKED_IN_SYSTEM_CALL[at].fetch_add(1, Ordering::Relaxed);
}

/// A call of a shim that is under way. When it is dropped it notes whether the green thread has waited.
pub(super) struct Call {
    /// `None` if it is not counted. The green thread's own count lives as long as it runs, and it is the one that returns from the
    /// call.
    counted: Option<(&'static Counts, *const Cell<u64>)>,
    /// The waits of the green thread before.
    waits: u64,
}

/// Counts a call of the shim of this name, if it is one on a green thread.
macro_rules! count {
    ($name:ident) => {
        let _call = const { $crate::patch::report::index_of(stringify!($name)) };
        let _call = $crate::patch::report::Call::begin(_call, const {
            $crate::patch::symbols::TABLE[$crate::patch::report::index_of(stringify!($name))].bits()
        });
    };
}
pub(super) use count;

/// The place of a name in the table.
pub(super) const fn index_of(name: &str) -> usize {
    let mut index = 0;
    while index < TABLE.len() {
        if is_same(TABLE[index].c_name().to_bytes(), name.as_bytes()) {
            return index;
        }
        index += 1;
    }
    panic!("a shim is missing in the table");
}

const fn is_same(one: &[u8], other: &[u8]) -> bool {
    let mut at = 0;
    while at < one.len() && at < other.len() && one[at] == other[at] {
        at += 1;
    }
    at == one.len() && at == other.len()
}

impl Call {
    /// `bits`: of the groups of the shim.
    #[inline(always)]
    pub(super) fn begin(index: usize, bits: u32) -> Call {
        let waits = if is_any_active(bits) { waits() } else { ptr::null() };
        if waits.is_null() {
            return Call { counted: None, waits: 0 };
        }
        let counts = &COUNTS[index];
        counts.calls.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the count of the green thread that runs.
        Call { counted: Some((counts, waits)), waits: unsafe { &*waits }.get() }
    }
}

impl Drop for Call {
    #[inline]
    fn drop(&mut self) {
        let Some((counts, waits)) = self.counted else { return };
        // SAFETY: the count of the green thread that runs, which began the call.
        let now = unsafe { &*waits }.get();
        if now != self.waits {
            counts.waits.fetch_add(now.wrapping_sub(self.waits), Ordering::Relaxed);
        }
    }
}

/// Where the running green thread counts the waits that it has begun; null if none runs. Here and below in few steps also where
/// nothing is optimised: each call of a shim comes here.
#[inline(always)]
fn waits() -> *const Cell<u64> {
    with_worker(|worker| {
        if let Some(worker) = worker
            && let Some(waits) = worker.waits()
        {
            return ptr::from_ref(waits);
        }
        ptr::null()
    })
}

/// One shim in a [`Report`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Shim {
    /// Which of libc's functions it stands in front of.
    pub symbol: Symbol,
    /// Whether the process uses it; see [`Symbol::is_linked`].
    pub linked: bool,
    /// Whether a group that it belongs to was activated.
    pub active: bool,
    /// How often green threads have called it while it was active.
    pub calls: u64,
    /// How often green threads were parked in these calls.
    pub waits: u64,
}

/// What is patched, and what came of it so far. Its `Display` is a table.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Report {
    /// Each shim.
    pub shims: Vec<Shim>,
    /// Calls on green threads that blocked the OS thread although their group was active, as far as they are seen; and
    /// how often they were made.
    pub blocking: Vec<(&'static str, u64)>,
}

/// What is patched, and what came of it so far: for each shim whether it is linked and active, how often green threads have
/// called it, and how often that has parked them.
///
/// ```
/// use std::sync::{Arc, Mutex};
/// osier::patch::all();
/// osier::run(|| {
///     let mutex = Arc::new(Mutex::new(()));
///     let held = mutex.lock().unwrap();
///     let theirs = mutex.clone();
///     let waits = osier::spawn(move || drop(theirs.lock()));
///     osier::yield_now();
///     drop(held);
///     waits.join().unwrap();
/// });
/// let report = osier::patch::report();
/// let syscall = report.shims.iter().find(|shim| shim.symbol.name() == "syscall").unwrap();
/// assert!(syscall.linked && syscall.active);
/// assert!(syscall.calls >= 1 && syscall.waits >= 1);
/// assert!(report.to_string().contains("pthread_mutex_lock"));
/// ```
#[must_use]
pub fn report() -> Report {
    let shims = TABLE.iter().zip(&COUNTS).map(|(symbol, counts)| Shim {
        symbol: *symbol,
        linked: symbol.is_linked(),
        active: symbol.groups().iter().any(|group: &Group| is_active(*group)),
        calls: counts.calls.load(Ordering::Relaxed),
        waits: counts.waits.load(Ordering::Relaxed),
    });
    let names = BLOCKING.into_iter().chain(system_calls::LIST.iter().map(|call| call.name));
    let counts = BLOCKED.iter().chain(&BLOCKED_IN_SYSTEM_CALL).map(|count| count.load(Ordering::Relaxed));
    Report { shims: shims.collect(), blocking: names.zip(counts).collect() }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:28} {:9} {:8} {:>12} {:>12}", "function", "linked", "active", "calls", "waits")?;
        let word = |is: bool| if is { "yes" } else { "no" };
        for shim in &self.shims {
            let (name, linked, active) = (shim.symbol.name(), word(shim.linked), word(shim.active));
            writeln!(f, "{name:28} {linked:9} {active:8} {:>12} {:>12}", shim.calls, shim.waits)?;
        }
        for (what, count) in self.blocking.iter().filter(|(_, count)| *count > 0) {
            writeln!(f, "blocked the OS thread, {count} times: {what}")?;
        }
        Ok(())
    }
}
