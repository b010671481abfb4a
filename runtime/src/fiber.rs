//! A stack with a saved context: can be resumed and suspended. The only file that names corosensei.
//!
//! Nothing but `()` travels through the switch; everything else goes through the control blocks of those who own fibers.
//!
//! # Invariants
//!
//! 1. A fiber is resumed only by its owner, through `&mut`, on the OS thread on which it was first resumed (the owners are
//!    `!Send`; the one exception argues its case in [`crate::panic_count`]).
//! 2. A body never unwinds out of its fiber: its owner wraps it in `catch_unwind`.
//! 3. A suspended fiber that is dropped is leaked and counted, never resumed (DESIGN, promise 5): what its stack refers to
//!    may be gone. Whoever wants it unwound makes it unwind, with a payload of its own, before.
//! 4. The limits on waiting ([`crate::limits`]) of a stack are in force exactly while it runs.
//!
//! # Cost
//!
//! Switches go by call and return, which the processor's return prediction gets wrong: about 16 ns a pair through one
//! real frame, 2 ns when all is inlined. Keep the functions between a wait and its switch few and `#[inline]`. A switch
//! routine of our own would replace the bodies of `resume` and `suspend` and nothing else.

use crate::limits;
use crate::stack::{self, Stack};
use core::fmt;
use core::mem::ManuallyDrop;
use core::ptr::NonNull;
use corosensei::{Coroutine, CoroutineResult, Yielder};

/// A stack with a saved context.
pub(crate) struct Fiber {
    /// Taken only by `into_stack` and `Drop`.
    coroutine: ManuallyDrop<Coroutine<(), (), (), Stack>>,
}

/// How a resume ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// The body has called [`Suspender::suspend`] and can be resumed.
    Suspended,
    /// The body has returned; the stack can be taken back.
    Finished,
}

/// What a fiber's body needs to suspend its fiber, at any depth of calls, also on the stack of a fiber that runs inside it.
#[derive(Clone, Copy)]
pub(crate) struct Suspender {
    /// Lies on the fiber's own stack: valid as long as the body runs or is suspended.
    yielder: NonNull<Yielder<(), ()>>,
}

impl Fiber {
    /// A fiber that will run `body` on `stack` at its first resume. `body` must not unwind (invariant 2).
    #[inline]
    pub(crate) fn new(stack: Stack, body: impl FnOnce(Suspender) + 'static) -> Fiber {
        let coroutine = Coroutine::with_stack(stack, move |yielder: &Yielder<(), ()>, ()| {
            // A stack starts without limits of its own; the resumer's come back with the next switch.
            limits::replace(core::ptr::null());
            body(Suspender { yielder: NonNull::from(yielder) });
        });
        Fiber { coroutine: ManuallyDrop::new(coroutine) }
    }

    /// Runs the body until it suspends or returns.
    ///
    /// # Panics
    ///
    /// If the body has returned before.
    #[inline]
    pub(crate) fn resume(&mut self) -> State {
        let limits = limits::head();
        let result = self.coroutine.resume(());
        limits::replace(limits);
        match result {
            CoroutineResult::Yield(()) => State::Suspended,
            CoroutineResult::Return(()) => State::Finished,
        }
    }

    /// [`Fiber::resume`] for an owner that sees to the limits itself.
    ///
    /// # Safety
    ///
    /// The body must not have returned.
    #[inline(always)]
    pub(crate) unsafe fn resume_noted(&mut self) -> State {
        // SAFETY: the caller's promise.
        unsafe { core::hint::assert_unchecked(!self.coroutine.done()) };
        match self.coroutine.resume(()) {
            CoroutineResult::Yield(()) => State::Suspended,
            CoroutineResult::Return(()) => State::Finished,
        }
    }

    /// Gives the stack back.
    ///
    /// # Panics
    ///
    /// If the body has started and has not returned.
    #[inline]
    pub(crate) fn into_stack(self) -> Stack {
        assert!(self.coroutine.done(), "the stack of an unfinished fiber cannot be taken");
        let mut this = ManuallyDrop::new(self);
        // SAFETY: `this` is never used again, nor dropped, so the coroutine is taken once.
        unsafe { ManuallyDrop::take(&mut this.coroutine) }.into_stack()
    }
}

/// Where the running stack ends now. (The address of a local is not it: sanitizers move locals to the heap.)
#[inline(always)]
pub(crate) fn stack_pointer() -> usize {
    let pointer: usize;
    #[cfg(target_arch = "x86_64")]
    // SAFETY: it copies a register, and touches neither memory nor flags.
    unsafe {
        core::arch::asm!("mov {}, rsp", out(reg) pointer, options(nomem, nostack, preserves_flags));
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: as above.
    unsafe {
        core::arch::asm!("mov {}, sp", out(reg) pointer, options(nomem, nostack, preserves_flags));
    }
    pointer
}

/// The addresses of a stack, its guard included.
pub(crate) fn bounds(stack: &Stack) -> core::ops::Range<usize> {
    use corosensei::stack::Stack as Bounds;
    Bounds::limit(stack).get()..Bounds::base(stack).get()
}

impl Drop for Fiber {
    fn drop(&mut self) {
        if self.coroutine.started() && !self.coroutine.done() {
            stack::count_leak();
        } else {
            // SAFETY: this is the only drop of the coroutine: `into_stack` forgets the fiber that it takes it from. Nothing is
            // unwound here: the body has not begun (then its captured values are dropped) or has returned.
            unsafe { ManuallyDrop::drop(&mut self.coroutine) };
        }
    }
}

impl fmt::Debug for Fiber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fiber")
            .field("started", &self.coroutine.started())
            .field("finished", &self.coroutine.done())
            .finish()
    }
}

impl Suspender {
    /// Goes back to whoever resumed the fiber; returns when it is resumed again.
    ///
    /// # Safety
    ///
    /// The fiber must be running: the caller is on its stack, or on the stack of a fiber that was resumed, at some depth,
    /// from it; and the fiber's body has not returned.
    #[inline]
    pub(crate) unsafe fn suspend(self) {
        let limits = limits::head();
        // SAFETY: the body has not returned, so the yielder on its stack is alive; it is running, so there is a resumer to go to.
        unsafe { self.yielder.as_ref() }.suspend(());
        limits::replace(limits);
    }

    /// [`Suspender::suspend`] for an owner that sees to the limits itself.
    ///
    /// # Safety
    ///
    /// As for `suspend`.
    #[inline(always)]
    pub(crate) unsafe fn suspend_noted(self) {
        // SAFETY: as in `suspend`.
        unsafe { self.yielder.as_ref() }.suspend(());
    }

    /// [`Suspender::suspend`] for a fiber that may be resumed on another OS thread: touches no thread-local.
    ///
    /// # Safety
    ///
    /// As for `suspend`.
    #[inline(never)]
    pub(crate) unsafe fn suspend_bare(self) {
        // SAFETY: as in `suspend`.
        unsafe { self.yielder.as_ref() }.suspend(());
    }
}
