//! The control block of a greenlet: its life, from its first switch to its end.
//!
//! A node is pending until it is started, active until its body ends or its stack is given up, then dead. The invariants
//! that keep its fiber safe are the family's, in [`super::family`], and so are the switches.

use super::family::Family;
use super::mailbox::{Mail, Mailbox};
use super::trace::{self, Kind};
use super::{Greenlet, GreenletExit, State};
use crate::entry::{self, Ended, Freeze, Resident};
use crate::fiber::{self, Fiber, Suspender};
use crate::limits::{self, Origin};
use crate::running::{self, Current};
use crate::{panic_count, stack};
use core::cell::{Cell, RefCell, UnsafeCell};
use core::ptr;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;

/// How often a greenlet is asked to end before its stack is given up: when its last handle is dropped and when its entry
/// ends, or twice then.
const MAX_ATTEMPTS: u8 = 2;

/// What a pending greenlet will run.
pub(super) type Body<T> = Box<dyn FnOnce(T) -> T>;

/// The control block of a greenlet.
// What a switch needs stands side by side, and the origin first: [`running`] counts on that.
#[repr(C)]
pub(super) struct Node<T: 'static> {
    pub(super) origin: Origin,
    /// Valid while `fiber` has started and has not finished; `None` before, and in the main greenlet.
    suspender: Cell<Option<Suspender>>,
    /// `None` before the first switch, after the end, and in the main greenlet.
    fiber: UnsafeCell<Option<Fiber>>,
    /// What the greenlet finds when it next runs; when its fiber has finished, what it left.
    pub(super) mail: Mailbox<T>,
    pub(super) number: u64,
    pub(super) family: Rc<Family<T>>,
    pub(super) stage: Cell<State>,
    /// How many [`Greenlet`]s name it. The `Rc`s besides those only keep the memory.
    pub(super) handles: Cell<usize>,
    /// `None` when none was set, or it was taken to run.
    pub(super) body: Cell<Option<Body<T>>>,
    /// `None` in the main greenlet only.
    pub(super) parent: RefCell<Option<Greenlet<T>>>,
    /// Bytes.
    stack_size: usize,
    /// It runs, or is about to, beneath a greenlet that is being unwound.
    pub(super) beneath: Cell<bool>,
    /// How often it was asked to end; see [`MAX_ATTEMPTS`].
    pub(super) attempts: Cell<u8>,
    /// It unwinds because of a [`GreenletExit`], which its entry counts.
    exits: Cell<bool>,
}

/// Why a pending greenlet cannot start.
pub(super) enum NoStart {
    Body,
    Stack(io::Error),
}

impl<T: 'static> Node<T> {
    pub(super) fn new(family: &Rc<Family<T>>, parent: Option<Greenlet<T>>, stack_size: usize) -> Node<T> {
        let origin = Origin::new();
        if let Some(parent) = &parent {
            origin.outer().set(&raw const parent.node.origin);
        }
        Node {
            number: entry::next_number(),
            family: Rc::clone(family),
            stage: Cell::new(State::Pending),
            handles: Cell::new(0),
            mail: Mailbox::new(),
            fiber: UnsafeCell::new(None),
            suspender: Cell::new(None),
            body: Cell::new(None),
            parent: RefCell::new(parent),
            origin,
            stack_size,
            beneath: Cell::new(false),
            attempts: Cell::new(0),
            exits: Cell::new(false),
        }
    }

    /// Another `Rc` of a node that is alive: one that runs, or that was just resumed.
    pub(super) fn to_rc(node: *const Node<T>) -> Rc<Node<T>> {
        // SAFETY: every node is made in an `Rc`, `node` comes from `Rc::as_ptr`, and it is alive, by this function's contract,
        // which only this module's own calls have to keep.
        unsafe { Rc::increment_strong_count(node) };
        // SAFETY: the count that was just added is given to this `Rc`.
        unsafe { Rc::from_raw(node) }
    }

    /// The parent.
    ///
    /// # Panics
    ///
    /// In the main greenlet.
    pub(super) fn above(&self) -> Rc<Node<T>> {
        let parent = self.parent.borrow();
        Rc::clone(&parent.as_ref().expect("the main greenlet lives as long as its family switches").node)
    }

    /// Gives a pending greenlet its stack and makes it active.
    pub(super) fn start(self: &Rc<Self>) -> Result<(), NoStart> {
        let body = self.body.take().ok_or(NoStart::Body)?;
        stack::overflow::arm();
        let stack = match stack::acquire(self.stack_size) {
            Ok(stack) => stack,
            Err(error) => {
                self.body.set(Some(body));
                return Err(NoStart::Stack(error));
            }
        };
        let node = Rc::as_ptr(self);
        let fiber = Fiber::new(stack, move |suspender| {
            // SAFETY: the fiber runs only while its node is registered (invariant 1).
            unsafe { &*node }.run(suspender, body);
        });
        // SAFETY: a pending greenlet's fiber is not running, so nobody holds a reference into the cell.
        unsafe { *self.fiber.get() = Some(fiber) };
        self.stage.set(State::Active);
        Ok(())
    }

    /// The bottom of a greenlet's stack.
    fn run(&self, suspender: Suspender, body: Body<T>) {
        self.suspender.set(Some(suspender));
        let body = || match self.receive() {
            Ok(value) => Mail::Value(body(value)),
            Err(GreenletExit) => Mail::Exit,
        };
        let result = catch_unwind(AssertUnwindSafe(|| {
            // SAFETY: the cell is this node's own, which outlives its fiber's body. It leads to the parent's origin, alive as long
            // as it is the parent (`set_parent` changes both at once), and so on up to main. The head of each is null or was noted
            // when that greenlet last stopped being the one that runs (invariant 4), and is cleared when it ends.
            unsafe { limits::inherit(self.origin.outer(), body) }
        }));
        self.exit_ends();
        self.mail.put(match result {
            Ok(mail) => mail,
            Err(panic) if panic.is::<GreenletExit>() => Mail::Exit,
            Err(panic) => Mail::Throw(panic),
        });
    }

    /// The fiber, to be resumed.
    ///
    /// # Safety
    ///
    /// It must be active, not the main greenlet, and its fiber must be suspended or not begun.
    #[inline(always)]
    #[allow(clippy::mut_from_ref, reason = "the caller promises that nobody else has it")]
    pub(super) unsafe fn fiber(&self) -> &mut Fiber {
        // SAFETY: while the fiber runs nobody else touches the cell: it is resumed only when suspended (invariant 2), and taken
        // only when it has finished or is given up while suspended.
        let fiber = unsafe { &mut *self.fiber.get() };
        // SAFETY: an active greenlet other than main has a fiber.
        unsafe { fiber.as_mut().unwrap_unchecked() }
    }

    /// What suspends this greenlet, once it has begun; `None` for the main one.
    #[inline(always)]
    pub(super) fn suspender(&self) -> Option<Suspender> {
        self.suspender.get()
    }

    /// Switches to `target`, in whose mailbox there is something. Returns when somebody has switched back, with something in
    /// this greenlet's mailbox.
    ///
    /// # Safety
    ///
    /// This must be the running greenlet, `suspender` its own and `family` its family's. The family's `check` must hold; `target` must be active,
    /// of this family, not the running greenlet, and, unless the family is open, current and with its limits in force; or
    /// null, when this greenlet is forsaken, for the hub to find that and whoever is current.
    #[inline(always)]
    pub(super) unsafe fn transfer(
        &self,
        family: *const Current,
        suspender: Option<Suspender>,
        target: *const Node<T>,
    ) {
        self.mail.wait(family);
        running::set_greenlet(target.cast());
        match suspender {
            None => Family::hub(self, target),
            // SAFETY: by `check` and not being main it runs in its fiber, whose body has therefore not returned.
            Some(suspender) => unsafe { suspender.suspend_noted() },
        }
    }

    /// Goes back to the one who wanted this greenlet unwound; returns when it is resumed.
    ///
    /// # Safety
    ///
    /// It must be the running greenlet, `check` must have said `Victim`.
    #[cold]
    pub(super) unsafe fn go_back(&self) {
        // A victim is not the main greenlet, and it runs.
        let Some(suspender) = self.suspender.get() else { return };
        self.origin.note();
        self.mail.wait(&raw const self.family.current);
        // SAFETY: the greenlet runs: the caller is on its stack or on one that was resumed from it (a generator's).
        unsafe { suspender.suspend_noted() };
    }

    /// Takes what a switch to this greenlet, which runs, has brought.
    pub(super) fn receive(&self) -> Result<T, GreenletExit> {
        // SAFETY: the callers have just come back from a wait, or have not waited yet; then there is something else.
        match unsafe { self.mail.take_value() } {
            Some(value) => Ok(value),
            None => self.receive_other(),
        }
    }

    #[cold]
    #[inline(never)]
    pub(super) fn receive_other(&self) -> Result<T, GreenletExit> {
        let mail = self.mail.take();
        let kind = if matches!(mail, Mail::Throw(_)) { Kind::Throw } else { Kind::Switch };
        if trace::is_set() {
            match entry::current() {
                // It shall not go back before it has seen that it must end.
                Some(entry) if entry.frozen() == Freeze::Victim => {
                    entry.freeze(Freeze::Unwinding, || self.family.trace(kind, self.number));
                }
                _ => self.family.trace(kind, self.number),
            }
        }
        match mail {
            Mail::Throw(payload) => {
                // The main one's stack does not end, so nobody would note that.
                if payload.is::<GreenletExit>()
                    && self.suspender().is_some()
                    && let Some(entry) = self.family.entry()
                    && !self.exits.replace(true)
                {
                    entry.exit_begins();
                }
                resume_unwind(payload)
            }
            Mail::Exit => Err(GreenletExit),
            Mail::Value(value) => Ok(value),
            Mail::Empty => unreachable!("a greenlet was resumed with nothing to receive"),
        }
    }

    /// Its stack has ended, or was left by one who has caught the `GreenletExit`.
    fn exit_ends(&self) {
        if self.exits.replace(false)
            && let Some(entry) = self.family.entry()
        {
            entry.exit_ends();
        }
    }

    /// Makes a pending greenlet dead: its body is dropped and never runs.
    pub(super) fn abandon(&self) {
        self.bury();
        let body = self.body.take();
        self.family.unregister(self);
        drop(body);
    }

    /// Makes it dead.
    pub(super) fn bury(&self) {
        self.stage.set(State::Dead);
        self.mail.close();
        self.origin.clear();
        // SAFETY: called for a fiber that has finished, is given up while suspended, or is not there: it does not run, so nobody
        // holds a reference into the cell.
        let fiber = unsafe { &mut *self.fiber.get() }.take();
        drop(fiber);
    }

    /// Whether nobody can switch to it any more, although it is not the main greenlet. One that runs is unwound when it
    /// switches away.
    pub(super) fn is_forsaken(&self) -> bool {
        self.handles.get() == 0 && self.parent.borrow().is_some()
    }

    /// The last handle was dropped.
    #[cold]
    #[inline(never)]
    pub(super) fn forsaken(self: &Rc<Self>) {
        match self.stage.get() {
            State::Dead => {}
            State::Pending => self.abandon(),
            State::Active => {
                let busy = ptr::eq(self.family.running(), Rc::as_ptr(self)) || self.beneath.get();
                if busy {
                    // The hub must be told, which the quick way does not.
                    running::shut();
                }
                // One that runs is unwound when it switches away; one that has caught its unwinding waits for the end of the entry.
                if !busy && !self.family.is_main(Rc::as_ptr(self)) && self.attempts.get() == 0 {
                    self.unwind();
                }
            }
        }
    }

    /// Has a suspended greenlet unwound, from the running code's stack. Does nothing outside of its entry (on another green
    /// thread, say): the running code's stack would then not be strictly inside of the family's, and the end of the entry
    /// does it.
    pub(super) fn unwind(self: &Rc<Self>) {
        let family = &self.family;
        let Some(home) = entry::enclosing(family.entry.get()) else { return };
        let current = family.running();
        // SAFETY: the current greenlet is active, or main, and stays so while it is `beneath` (invariant 1).
        let current = unsafe { &*current };
        // While this one runs, it is current and running.
        running::shut();
        let settling = family.settling.replace(false);
        if !settling {
            current.origin.note();
        }
        let beneath = current.beneath.replace(true);
        self.attempts.set(self.attempts.get() + 1);
        self.mail.put(Mail::Throw(Box::new(GreenletExit)));
        family.left.set(current.number);
        family.current.set_greenlet(Rc::as_ptr(self).cast());
        let mut state = fiber::State::Suspended;
        let resume = || {
            let limits = limits::head();
            self.origin.put_back();
            // SAFETY: it is active, not main, and suspended: it is neither current nor beneath, as the callers have seen.
            let fiber = unsafe { self.fiber() };
            // SAFETY: it is suspended.
            state = unsafe { fiber.resume_noted() };
            limits::replace(limits);
        };
        home.make_current(|| home.freeze(Freeze::Victim, || panic_count::lend(resume)));
        self.exit_ends();
        family.left.set(self.number);
        family.current.set_greenlet(ptr::from_ref(current).cast());
        family.settling.set(settling);
        current.beneath.set(beneath);
        if state == fiber::State::Finished {
            let left = self.mail.take();
            self.bury();
            home.unregister(self.number);
            if let Mail::Throw(panic) = left {
                entry::discard(panic);
            }
        }
        if trace::is_set()
            && let Err(panic) = trace::call(Kind::Switch, self.number, current.number)
        {
            entry::discard(panic);
        }
    }
}

impl<T: 'static> Resident for Node<T> {
    fn end(self: Rc<Self>) -> Ended {
        if self.stage.get() == State::Pending {
            self.abandon();
        }
        while self.stage.get() == State::Active && self.attempts.get() < MAX_ATTEMPTS {
            self.unwind();
        }
        if self.stage.get() == State::Active {
            // Dropping its fiber counts its stack as leaked.
            self.bury();
        }
        Ended::Yes
    }
}
