//! Something that is to happen once.

use super::once_core::{Begin, End, OnceCore};
use crate::os_thread::OsThread;
use crate::park::{Holder, Reason};
use crate::{scheduler, unwinding};
use core::cell::Cell;
use core::fmt;
use core::marker::PhantomData;
use core::sync::atomic::{AtomicU64, Ordering};
use std::panic::{RefUnwindSafe, UnwindSafe};

/// Has something happen once, whoever asks for it first. As [`std::sync::Once`].
///
/// Works between green threads of any runtime and OS threads. Who asks while it happens waits for that.
///
/// ```
/// use osier::sync::Once;
/// static GREETING: Once = Once::new();
/// osier::run(|| {
///     let threads: Vec<_> = (0..3).map(|n| osier::spawn(move || {
///         let mut mine = false;
///         GREETING.call_once(|| mine = true);
///         mine
///     })).collect();
///     assert_eq!(threads.into_iter().map(|thread| u32::from(thread.join().unwrap())).sum::<u32>(), 1);
/// });
/// assert!(GREETING.is_completed());
/// ```
///
/// # Poisoning
///
/// A panic in the closure poisons it, as std's: whoever asks later panics, but for [`Once::call_once_force`]. When the green
/// thread that runs the closure is killed, or the time of a [`timeout`](crate::time::timeout) around it is over, nothing has
/// happened yet: the next one that asks, or waits already, runs its own closure.
pub struct Once {
    core: OnceCore,
    /// Who runs the closure, if that is a green thread.
    holder: Holder,
    /// The id of the thread, green or OS, that runs the closure; 0 when none does.
    runs_on: AtomicU64,
}

impl UnwindSafe for Once {}
impl RefUnwindSafe for Once {}

/// What [`Once::call_once_force`] tells its closure.
pub struct OnceState {
    poisoned: bool,
    /// Not `Sync`, as std's.
    _not_sync: PhantomData<Cell<()>>,
}

impl OnceState {
    /// Whether it has failed before.
    #[must_use]
    pub fn is_poisoned(&self) -> bool {
        self.poisoned
    }
}

impl Once {
    /// One that has not happened.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "std's has no default, either")]
    pub const fn new() -> Once {
        Once::with(OnceCore::new())
    }

    /// One that has happened.
    pub(super) const fn complete() -> Once {
        Once::with(OnceCore::complete())
    }

    const fn with(core: OnceCore) -> Once {
        Once { core, holder: Holder::nobody(), runs_on: AtomicU64::new(0) }
    }

    /// Runs `f`, unless it has happened; waits while another thread is at it. When this returns, it has happened.
    ///
    /// # Panics
    ///
    /// With the panic of `f`; if it has failed before; and if it is called by the closure that runs for the same `Once`.
    ///
    /// # Cancellation
    ///
    /// A kill or an enclosing [`timeout`](crate::time::timeout) ends the wait and unwinds.
    #[inline]
    #[track_caller]
    pub fn call_once<F>(&self, f: F)
    where
        F: FnOnce(),
    {
        if !self.is_completed() {
            self.call(false, OnFailure::AsItFails, |_| f(), "Once instance has previously been poisoned");
        }
    }

    /// [`Once::call_once`], also if it has failed before, which `f` is told.
    ///
    /// ```
    /// use osier::sync::Once;
    /// let once = Once::new();
    /// std::panic::catch_unwind(|| once.call_once(|| panic!("the first time"))).unwrap_err();
    /// once.call_once_force(|state| assert!(state.is_poisoned()));
    /// assert!(once.is_completed());
    /// ```
    ///
    /// # Panics
    ///
    /// As [`Once::call_once`], but for failures before.
    ///
    /// # Cancellation
    ///
    /// As [`Once::call_once`].
    #[inline]
    #[track_caller]
    pub fn call_once_force<F>(&self, f: F)
    where
        F: FnOnce(&OnceState),
    {
        if !self.is_completed() {
            self.call(true, OnFailure::AsItFails, f, "");
        }
    }

    /// Whether it has happened. Never waits.
    #[inline]
    #[must_use]
    pub fn is_completed(&self) -> bool {
        self.core.is_complete()
    }

    /// Waits until it has happened.
    ///
    /// # Panics
    ///
    /// If it has failed, or fails.
    ///
    /// # Cancellation
    ///
    /// As [`Once::call_once`].
    pub fn wait(&self) {
        if !self.is_completed() && !self.wait_slow(false) {
            panic!("Once instance has previously been poisoned");
        }
    }

    /// Waits until it has happened, through failures.
    ///
    /// # Cancellation
    ///
    /// As [`Once::call_once`].
    pub fn wait_force(&self) {
        if !self.is_completed() {
            self.wait_slow(true);
        }
    }

    #[cold]
    fn wait_slow(&self, force: bool) -> bool {
        self.core.wait(force, self.reason()).unwrap_or_else(|cancelled| cancelled.raise())
    }

    fn reason(&self) -> Reason<'_> {
        Reason::Once(core::ptr::from_ref(self).addr(), &self.holder)
    }

    /// Whether it has failed. Never waits.
    pub(super) fn is_poisoned(&self) -> bool {
        self.core.is_poisoned()
    }

    /// [`Once::call_once`]; `poisoned` is what it panics with if it has failed before and `force` is not set.
    #[cold]
    #[track_caller]
    pub(super) fn call(
        &self,
        force: bool,
        on_failure: OnFailure,
        f: impl FnOnce(&OnceState),
        poisoned: &str,
    ) {
        let me =
            Some(scheduler::running_id()).filter(|&id| id != 0).unwrap_or_else(|| OsThread::current().id);
        // Relaxed: only the thread itself can have put its own id there.
        assert!(
            self.runs_on.load(Ordering::Relaxed) != me,
            "what is to happen once has asked for itself while it happens"
        );
        let begun = self.core.begin(force, self.reason()).unwrap_or_else(|cancelled| cancelled.raise());
        match begun {
            Begin::Complete => {}
            Begin::Poisoned => panic!("{poisoned}"),
            Begin::Run { poisoned } => {
                self.holder.name();
                self.runs_on.store(me, Ordering::Relaxed);
                let mut running = Running { once: self, poisoned, on_failure, done: false };
                f(&OnceState { poisoned, _not_sync: PhantomData });
                running.done = true;
            }
        }
    }
}

/// What becomes of a `Once` whose closure unwinds.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum OnFailure {
    /// A panic poisons it; a kill or a deadline leaves it as it was.
    AsItFails,
    /// It is poisoned: what the closure was made of is gone.
    Poison,
}

/// Ends what was begun, when it is dropped.
struct Running<'a> {
    once: &'a Once,
    /// Whether it had failed before.
    poisoned: bool,
    on_failure: OnFailure,
    /// The closure has returned.
    done: bool,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let end = if self.done {
            End::Complete
        } else if self.poisoned || self.on_failure == OnFailure::Poison || unwinding::by_failure() {
            End::Poisoned
        } else {
            End::Incomplete
        };
        self.once.runs_on.store(0, Ordering::Relaxed);
        self.once.holder.clear();
        self.once.core.end(end);
    }
}

impl fmt::Debug for Once {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Once").finish_non_exhaustive()
    }
}

impl fmt::Debug for OnceState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OnceState").field("poisoned", &self.is_poisoned()).finish()
    }
}
