//! Whether any worker can go on, and how worker 0 hears that none can.
//!
//! Owns what workers say of themselves before they sleep ([`Pulse`]) and what worker 0 wants to be told ([`Wanted`]). Worker 0 alone
//! draws conclusions: it moves a clock that stands still, finds a deadlock, or ends the entry.
//!
//! # What a worker does
//!
//! | on its way to sleep | when it gets up |
//! |---|---|
//! | 1. has run what it has, and counted the turn ([`Pulse::count_turn`]) | 7. takes its announcement back, with what was pushed (`Inbox::drain`) |
//! | 2. looks at what may be taken; its own closures are in its run queue, too | 8. looks for std's token, and whether a deadline has passed |
//! | 3. says what could end its sleep ([`Pulse::publish`]) | 9. takes a closure of another worker, or from elsewhere |
//! | 4. announces its sleep (`Inbox::sleep`), which fails if anything was pushed | 10. runs: back to 1 |
//! | 5. fence ([`announced`]) | |
//! | 6. looks at the others, and tells worker 0 | |
//!
//! So there are three rules:
//!
//! - *Who brings something is up.* Green threads push and offer at 10, when their worker is not announced as asleep.
//! - *What is brought shows.* A push replaces the announcement of the worker that it is for. A closure stands in no inbox; but whose it is stays
//!   up until it has found it taken, under the lock of the offers, and who takes it is up, from 7 on.
//! - *What is run shows.* Between two announcements in which anything ran, the turns have grown.
//!
//! # Why nobody is called still who is not
//!
//! [`stillness`] finds each worker asleep, and then each asleep again with the turns that it had. Between its two looks at one, that
//! one has run nothing, by the third rule. So at the instant between the two rounds none ran; and none has brought anything since the
//! first look at it, by the first rule. What was brought earlier has shown, by the second rule, until it was run, which was before the first
//! look at the worker that ran it: else that one would have been found up, or with other turns.
//!
//! That is said of a memory that all see alike. In the real one each look must see what those did that were looked at before: so announcements,
//! turns and the count of offers are released and acquired. Whoever has the turns of a worker, say, sees what that one has pushed
//! until then.
//!
//! Not all that comes to a worker is in these rules. An order ends a sleep, but the announcement stands until the worker gets up: orders bring
//! nothing that a green thread waits for, but for a close, and the answer to a roll call, which are external waits: who is in one is not
//! stuck. Deadlines and events end the sleep of none that is stuck. OS threads outside may push at any time: see below.
//!
//! # Why it is found in the end
//!
//! Of those that fall asleep, one fences last (5), and sees the announcements of all others (6). If it is worker 0, that bounds its sleep by
//! the time after which it looks closer. If it is another one, it tells worker 0 what that wants to know. Whoever gets up for nothing falls
//! asleep again, and is then the last one. What was noticed already is not told again: the turns say whether it is the same.
//!
//! # Why a deadlock is certain
//!
//! A stillness may be over by the time that it is found, since an OS thread outside has pushed. Worker 0 lets some time pass, and orders each
//! worker to report, which therefore gets up; then [`look_outside`] asks, in this order:
//!
//! 1. Each report says that nobody could run, and nothing but others could end that. They come through a lock: what each worker has brought until
//!    its report is seen from now on.
//! 2. Who is there besides: the OS threads of the process, all but the workers and the idle ones of the offload pool.
//! 3. Fence. Whoever was not there has ended, and what it has brought before is seen from now on.
//! 4. Whether each worker still sleeps, with the turns that it has reported, and nothing has come from elsewhere, nor to worker 0 itself. One that
//!    has got up by 2 has left a trace: a turn, or its announcement taken back.
//!
//! So at 2 nobody ran, nothing was on its way, and there was nobody who could bring anything. Looked for in the other order, the last act of
//! an OS thread that ends would be missed: it comes after the look for what it brings, and the thread is gone at the look for it.
//!
//! # The end
//!
//! An entry is over when nobody lives. Who ends is counted by its worker ([`super::tally`]) before that sleeps, and worker 0 wants to be
//! told ([`Wanted::await_end`]): of two workers whose last ones end at the same time, the one that fences last sees both.

use crate::primitive::{Arc, AtomicBool, AtomicU64, Ordering, fence};

/// What a worker says of itself before it sleeps. Written by the worker alone, before it announces its sleep in the inbox: whoever
/// finds it asleep there reads what it wrote.
pub(crate) struct Pulse {
    /// Turns in which green threads ran.
    turns: AtomicU64,
    /// Nothing but another worker or another OS thread can end its sleep: it waits neither for a time nor for anything outside.
    stuck: AtomicBool,
    /// Its next deadline, in the clock's nanoseconds; `u64::MAX` for none.
    deadline: AtomicU64,
}

impl Pulse {
    pub(crate) fn new() -> Pulse {
        Pulse { turns: AtomicU64::new(0), stuck: AtomicBool::new(false), deadline: AtomicU64::new(u64::MAX) }
    }

    /// Notes a turn in which green threads have run.
    pub(crate) fn count_turn(&self) {
        // Release: pairs with the load in `turns`, by others: who has heard of the turn sees what was pushed in it. Relaxed load: nobody
        // else writes it.
        self.turns.store(self.turns.load(Ordering::Relaxed) + 1, Ordering::Release);
    }

    pub(crate) fn turns(&self) -> u64 {
        self.turns.load(Ordering::Acquire)
    }

    /// To be called before each announcement of a sleep.
    pub(crate) fn publish(&self, stuck: bool, deadline: u64) {
        // Relaxed, both: the announcement releases them.
        self.stuck.store(stuck, Ordering::Relaxed);
        self.deadline.store(deadline, Ordering::Relaxed);
    }

    fn is_stuck(&self) -> bool {
        self.stuck.load(Ordering::Relaxed)
    }

    pub(crate) fn deadline(&self) -> u64 {
        self.deadline.load(Ordering::Relaxed)
    }
}

/// A worker, for those who look whether it sleeps.
pub(crate) trait Sleeper {
    /// Whether it has announced its sleep, and nothing has come since. Acquires what it did before.
    fn is_asleep(&self) -> bool;

    fn pulse(&self) -> &Pulse;
}

/// To be called by a worker that has announced its sleep, before it looks at others.
pub(crate) fn announced() {
    // Pairs with itself, on other workers: of those that fall asleep, one sees all others asleep. And with the fence in `has_ended`.
    fence(Ordering::SeqCst);
}

/// If all `workers` but `me` sleep with nothing on its way to them: the turns so far of all taken together. With `stuck`, only if
/// nothing but an OS thread that is none of the runtime's could end it. `none_injected`: whether nothing has come from elsewhere
/// that anybody may take. A worker that calls this on its way to sleep has called [`announced`].
pub(crate) fn stillness<W: Sleeper>(
    workers: &[Arc<W>],
    me: usize,
    stuck: bool,
    none_injected: impl FnOnce() -> bool,
) -> Option<u64> {
    let look = || {
        let mut turns = 0;
        for (index, worker) in workers.iter().enumerate() {
            let pulse = worker.pulse();
            let asleep = index == me || worker.is_asleep() && (!stuck || pulse.is_stuck());
            if !asleep {
                return None;
            }
            turns += pulse.turns();
        }
        Some(turns)
    };
    let first = look()?;
    // In between: whoever takes what is injected is found out by the second look.
    (none_injected() && look() == Some(first)).then_some(first)
}

/// Whether each worker with such an index and so many turns, as it has reported them, sleeps and has run nothing since; and nothing
/// has come from elsewhere.
pub(crate) fn still_as_reported<W: Sleeper>(
    workers: &[Arc<W>],
    mut reported: impl Iterator<Item = (usize, u64)>,
    none_injected: impl FnOnce() -> bool,
) -> bool {
    // First what comes from elsewhere: whoever takes that is awake, or has run, and is found out below.
    none_injected()
        && reported.all(|(index, turns)| {
            let worker = &workers[index];
            worker.is_asleep() && worker.pulse().turns() == turns
        })
}

/// Whether there is nobody outside who could wake anybody; `None` if something has happened meanwhile. `idle`: the OS threads of the
/// offload pool, if all of them are idle. `is_alone`: whether there are no other OS threads besides those. `still`: whether
/// everything is as it was before this was called.
pub(crate) fn look_outside(
    idle: impl Fn() -> Option<usize>,
    is_alone: impl FnOnce(usize) -> bool,
    still: impl FnOnce() -> bool,
) -> Option<bool> {
    // A call that a kill has abandoned may still wake somebody: as long as it runs nothing is known.
    let pool = idle()?;
    let alone = is_alone(pool);
    // One of the pool's may have ended in between, and another OS thread was counted in its place.
    if idle() != Some(pool) {
        return None;
    }
    // Pairs with the end of an OS thread, as the kernel makes it known: what one has brought that was not counted any more is seen now.
    fence(Ordering::SeqCst);
    still().then_some(alone)
}

/// What worker 0 wants to be told by others that fall asleep.
pub(crate) struct Wanted {
    /// That nobody lives any more.
    end: AtomicBool,
    /// That nobody can run any more.
    stillness: AtomicBool,
    /// The turns of all workers taken together when worker 0 last knew of a stillness; it need not be told of that one again. `u64::MAX`
    /// for none.
    noticed: AtomicU64,
}

impl Wanted {
    /// Nothing.
    pub(crate) fn new() -> Wanted {
        Wanted {
            end: AtomicBool::new(false),
            stillness: AtomicBool::new(false),
            noticed: AtomicU64::new(u64::MAX),
        }
    }

    /// An entry begins. No other worker runs.
    pub(crate) fn begin(&self) {
        // Relaxed: the start of the OS threads orders it.
        self.end.store(false, Ordering::Relaxed);
    }

    /// Has worker 0 told from now on when nobody lives any more.
    pub(crate) fn await_end(&self) {
        // Relaxed: the fence in `has_ended`, where worker 0 looks by itself after this, orders it.
        self.end.store(true, Ordering::Relaxed);
    }

    /// Whether there are none that are `live`, counted by this; for worker 0, which is told otherwise once it has asked to be.
    pub(crate) fn has_ended(&self, live: impl FnOnce() -> usize) -> bool {
        // Pairs with the fence in `announced`: of two workers that were done at the same time, one sees both; and either that one
        // sees that it is to tell of it, or worker 0 sees whom it has counted as done.
        fence(Ordering::SeqCst);
        live() == 0
    }

    /// Whether worker 0 wants to know when nobody can run any more.
    pub(crate) fn await_stillness(&self, awaits: bool) {
        // Relaxed, both: who announces its sleep after worker 0 has announced its own sees them, by the fences; else worker 0 sees by
        // itself.
        self.noticed.store(u64::MAX, Ordering::Relaxed);
        self.stillness.store(awaits, Ordering::Relaxed);
    }

    /// Worker 0 knows of the stillness that began after so many turns.
    pub(crate) fn notice(&self, turns: u64) {
        // Relaxed, here and below: who has not heard of it tells worker 0 once more than it must.
        self.noticed.store(turns, Ordering::Relaxed);
    }

    pub(crate) fn noticed(&self) -> u64 {
        self.noticed.load(Ordering::Relaxed)
    }

    /// Whether `me`, not worker 0, which has announced its sleep, must tell worker 0. `virtual_time`: the clock stands still until
    /// nobody can run. `live`: counts those that live.
    pub(crate) fn is_met<W: Sleeper>(
        &self,
        workers: &[Arc<W>],
        me: usize,
        virtual_time: bool,
        live: impl FnOnce() -> usize,
        none_injected: impl Fn() -> bool,
    ) -> bool {
        announced();
        let end = self.end.load(Ordering::Relaxed) && live() == 0;
        let still = || virtual_time && stillness(workers, me, false, &none_injected).is_some();
        let stuck = || {
            self.stillness.load(Ordering::Relaxed)
                && workers[me].pulse().is_stuck()
                && stillness(workers, me, true, &none_injected).is_some_and(|turns| turns != self.noticed())
        };
        end || still() || stuck()
    }
}
