//! `std::thread::park` on green threads.
//!
//! std gives an OS thread one token for it. A green thread that parks so while others run works: it waits for the futex
//! that the token is, and [`crate::scheduler::std_token`] has its worker look for the token. Two of one OS thread cannot: an
//! unpark does not say for whom it is, and each would take what was meant for the other. So that is reported, with both
//! stacks, and ends the process: the wait has no way to fail, and going on would be a wait for ever, now or some day.
//!
//! One that nobody will wake is reported, too. std's channels pass over a receiver whose OS thread is the sender's, so a receiver among
//! the senders' neighbours waits for ever, and the message lies there. If nobody can run any more, that is a deadlock, and found as
//! such. While others still wait for a socket, say, it cannot be told from a long wait; but where all other OS threads of the process
//! have slept all the time, there is nobody who could send. So such a wait is bounded, by a [limit](std_park_limit). Of other parks
//! green threads of the same OS thread are as good as any to end them, so those may last: whether it is a channel's is seen by the
//! stack.
//!
//! # Which futex it is
//!
//! A word that holds `u32::MAX` may be anything; std's reader-writer lock has such a state. So when a green thread first waits
//! with that value, the OS thread's token is given and taken in a way that has std name its address.

mod report;

use super::addresses::{self, Key, Outcome, What};
use super::deadline::Deadline;
use super::futex;
use crate::inside;
use crate::limits;
use crate::park::Reason;
use crate::scheduler::Worker;
use crate::scheduler::std_token::{EMPTY, NOTIFIED, PARKED};
use crate::sys::process::{Sleepers, threads};
use core::cell::{Cell, RefCell};
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use core::time::Duration;
use libc::c_int;

/// Half of the [limit](std_park_limit), in nanoseconds; `u64::MAX` for none. Relaxed: it says nothing about other memory.
static HALF_LIMIT: AtomicU64 = AtomicU64::new(15_000_000_000);

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

/// Sets how long a green thread may wait in one of std's channels (or crossbeam's, which they are) while all other OS threads of the
/// process sleep until somebody else wakes them; thirty seconds unless set, `None` for as long as it takes. Then the process ends with
/// a report.
///
/// These channels never wake one whose OS thread is the sender's: with all other OS threads asleep nobody is left who could
/// send to it. Set another limit if a green thread is to wait for the last sender to be dropped, or for what OS threads will send
/// once they are started or given work. It counts in runtimes with one worker that [`run`](crate::run) drives, where functions have
/// names: in a program that is stripped of them a channel's wait cannot be told from another `std::thread::park`, which green
/// threads may end. Waits that have a time limit of their own may take that long.
///
/// The same limit is for a green thread that does nothing but use std's channels, and never waits in them, or nothing but
/// [yield](super#yields) where that lets nobody run, while others of its OS thread could run: after so much processor time the process
/// ends with a report; for yields, if no other OS thread runs then. What was set when the OS thread began to run green threads
/// counts.
///
/// Never waits, and may be called anywhere; waits that have begun keep the limit that was set then.
///
/// ```
/// use std::time::Duration;
/// osier::patch::std_park_limit(Some(Duration::from_secs(60)));
/// ```
pub fn std_park_limit(limit: Option<Duration>) {
    let half = limit.and_then(|limit| u64::try_from((limit / 2).as_nanos()).ok()).unwrap_or(u64::MAX);
    HALF_LIMIT.store(half, Ordering::Relaxed);
}

/// Looks at who uses channels in a loop, in the time of the limit.
pub(super) const LOOKS: u32 = 100;

/// How much processor time passes between two of these; `None` for never.
pub(super) fn look_every() -> Option<Duration> {
    half_limit().map(|half| (half * 2 / LOOKS).max(Duration::from_nanos(1)))
}

/// Half of the limit; `None` if there is none.
fn half_limit() -> Option<Duration> {
    Some(HALF_LIMIT.load(Ordering::Relaxed)).filter(|half| *half != u64::MAX).map(Duration::from_nanos)
}

/// A wait, as one that somebody must be there to end.
struct Vigil {
    /// How often it is looked whether there is anybody.
    every: Duration,
    /// The other OS threads that slept at the last look.
    slept: Option<Sleepers>,
}

impl Vigil {
    /// Of a wait without a time limit, if it has another one.
    fn begin(worker: &Worker, deadline: &Deadline) -> Option<Vigil> {
        let every = half_limit().filter(|_| deadline.left(worker).is_none())?;
        worker.std_token().look_around_after(every);
        Some(Vigil { every, slept: None })
    }

    /// Looks around; whether all other OS threads have slept since the last look, so that none could have ended the wait. Then this
    /// was the last look.
    fn is_in_vain(&mut self, worker: &Worker) -> bool {
        inside::run(|| {
            let slept = Sleepers::now();
            let pool = worker.remote().offload.idle_threads();
            // Counted last: those that slept have started nobody.
            let others = threads().and_then(|all| all.checked_sub(1 + pool?));
            let in_vain =
                slept.is_some() && slept == self.slept && others == slept.as_ref().map(Sleepers::len);
            self.slept = slept;
            if in_vain {
                worker.std_token().look_no_more();
            } else {
                worker.std_token().look_around_after(self.every);
            }
            in_vain
        })
    }
}

/// Waits for the token. Gives 0 or an error's number.
pub(super) fn wait(worker: &Worker, word: &AtomicU32, deadline: &Deadline) -> c_int {
    let token = worker.std_token();
    let key = Key { address: word.as_ptr() as usize, what: What::StdToken };
    while token.is_awaited() {
        // Whoever else comes here must find it so, as the invariant says.
        let _ = word.compare_exchange(PARKED, EMPTY, Ordering::Acquire, Ordering::Relaxed);
        if addresses::is_awaited(key) {
            report::second(worker, key);
        }
        // The one before was woken, and has not run since: its wait is over.
        let _ = limits::with_shield(|| worker.yield_now());
    }
    // SAFETY: the word belongs to this OS thread's handle, and the frame that waits holds that.
    if !unsafe { token.watch(word, wake_all) } {
        return 0;
    }
    let mut vigil = Vigil::begin(worker, deadline);
    let code = loop {
        let stop = deadline.next_stop(worker, None);
        let must_wait = || word.load(Ordering::SeqCst) == EMPTY;
        match addresses::wait(worker, key, u32::MAX, Reason::StdToken, stop, must_wait) {
            Outcome::Chosen if token.is_asked() && SECOND.with_borrow(Option::is_none) => {
                if vigil.as_mut().is_some_and(|vigil| vigil.is_in_vain(worker)) && must_wait() {
                    report::in_vain(worker);
                }
            }
            Outcome::Needless | Outcome::Chosen => break 0,
            Outcome::Deadline if deadline.has_passed(stop) => break libc::ETIMEDOUT,
            Outcome::Deadline => {}
        }
    };
    let second = SECOND.take();
    if let Some(second) = second {
        report::first(worker, &second);
    }
    token.leave();
    if code == 0 {
        // Another one may have taken the token. Without it std would not wait for the word again, and spin.
        let _ = word.compare_exchange(EMPTY, NOTIFIED, Ordering::Acquire, Ordering::Relaxed);
    }
    code
}

/// Wakes the one that waits.
fn wake_all(word: &AtomicU32) {
    let key = Key { address: word.as_ptr() as usize, what: What::StdToken };
    addresses::wake(key, usize::MAX, u32::MAX);
}
