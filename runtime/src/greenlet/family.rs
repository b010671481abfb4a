//! The greenlets of one entry: who runs, who comes next, and what passes between them.
//!
//! # How a switch goes
//!
//! Greenlets are symmetric, fibers are not: a fiber goes back to whoever resumed it. So every fiber of a family is resumed
//! from the stack of the main greenlet, by one loop, the *hub*, that runs while the main greenlet is switched away:
//!
//! ```text
//!   main -> G      main enters the hub, which resumes G
//!   G    -> H      G names H as current and suspends; the hub resumes H
//!   H    -> main   H names main as current and suspends; the hub returns
//! ```
//!
//! The value travels in the target's mailbox, so one hop more costs no copy. The one exception to the hub is unwinding a
//! greenlet whose last handle was dropped, or whose entry ends: it is resumed from the stack of whoever drops it, strictly
//! nested, and can do nothing but end or go back there.
//!
//! # Invariants
//!
//! 1. A node that is active is among its entry's residents, so it lives at least as long as its fiber is not finished. That
//!    is why `current` and the hub may hold bare pointers.
//! 2. Only a fiber that is suspended is resumed: by the hub, which runs only while the main greenlet is switched away, or
//!    nested, and then neither the current greenlet nor one `beneath` it.
//! 3. When control passes between two stacks the panic count of the OS thread is zero: a switch while a stack unwinds is
//!    refused, and a nested resume moves the count out first. So each stack keeps a count of its own.
//! 4. `limits` of a greenlet are noted in its `origin` before any other greenlet of its family runs.

use super::trace::{self, Kind};
use super::{Greenlet, GreenletExit};
use crate::entry::{self, Ended, Entry, Freeze, Resident};
use crate::fiber::{self, Fiber, Suspender};
use crate::limits::{self, Origin};
use crate::{panic_count, stack};
use core::any::Any;
use core::cell::{Cell, RefCell, UnsafeCell};
use core::mem::MaybeUninit;
use core::ptr;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;

/// How often a greenlet is asked to end before its stack is given up: when its last handle is dropped and when its entry
/// ends, or twice then.
const MAX_ATTEMPTS: u8 = 2;

/// What a pending greenlet will run.
pub(super) type Body<T> = Box<dyn FnOnce(T) -> T>;

/// The greenlets of one entry.
pub(super) struct Family<T: 'static> {
    /// Null when the entry has ended.
    entry: Cell<*const Entry>,
    /// Whose code runs, or is resumed next.
    current: Cell<*const Node<T>>,
    /// The number of the greenlet that the last switch left, if that is traced.
    left: Cell<u64>,
    /// The greenlet of the entry's own stack; `None` when the entry has ended, which breaks their mutual references.
    main: RefCell<Option<Rc<Node<T>>>>,
    /// The address of `main`; null when the entry has ended.
    main_address: Cell<*const Node<T>>,
}

/// The control block of a greenlet.
pub(super) struct Node<T: 'static> {
    pub(super) number: u64,
    pub(super) family: Rc<Family<T>>,
    pub(super) stage: Cell<super::State>,
    /// How many [`Greenlet`]s name it. The `Rc`s besides those only keep the memory.
    pub(super) handles: Cell<usize>,
    /// What the greenlet finds when it next runs; when its fiber has finished, what it left.
    pub(super) mail: Mailbox<T>,
    /// `None` before the first switch, after the end, and in the main greenlet.
    fiber: UnsafeCell<Option<Fiber>>,
    /// Valid while `fiber` has started and has not finished; `None` before.
    suspender: Cell<Option<Suspender>>,
    /// `None` when none was set, or it was taken to run.
    pub(super) body: Cell<Option<Body<T>>>,
    /// `None` in the main greenlet only.
    pub(super) parent: RefCell<Option<Greenlet<T>>>,
    pub(super) origin: Origin,
    /// Bytes.
    stack_size: usize,
    /// It runs, or is about to, beneath a greenlet that is being unwound.
    beneath: Cell<bool>,
    /// How often it was asked to end; see [`MAX_ATTEMPTS`].
    attempts: Cell<u8>,
}

/// Where a greenlet finds what a switch has brought it. The value has a place of its own beside the rare rest, so that
/// the usual way is two stores and two loads.
pub(super) struct Mailbox<T> {
    holds: Cell<Holds>,
    /// Initialised when `holds` is `Value`.
    value: UnsafeCell<MaybeUninit<T>>,
    /// Meaningful when `holds` is `Other`.
    other: Cell<Mail<T>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Holds {
    Nothing,
    Value,
    Other,
}

/// What a switch brings to its target.
pub(super) enum Mail<T> {
    Empty,
    Value(T),
    /// A greenlet has ended by `GreenletExit`.
    Exit,
    /// To be raised.
    Throw(Box<dyn Any + Send>),
}

impl<T> Mailbox<T> {
    fn new() -> Mailbox<T> {
        Mailbox {
            holds: Cell::new(Holds::Nothing),
            value: UnsafeCell::new(MaybeUninit::uninit()),
            other: Cell::new(Mail::Empty),
        }
    }

    /// Puts in a value, for a switch that is not traced. What is there is not dropped: a greenlet that can be switched to has taken its mail.
    #[inline(always)]
    pub(super) fn put_value(&self, value: T) {
        debug_assert!(self.holds.get() == Holds::Nothing, "a greenlet has not taken its mail");
        // SAFETY: no reference into the cell outlives a method of this type.
        unsafe { self.value.get().write(MaybeUninit::new(value)) };
        self.holds.set(Holds::Value);
    }

    /// Takes the value; `None` if there is something else.
    #[inline(always)]
    fn take_value(&self) -> Option<T> {
        if self.holds.get() != Holds::Value {
            return None;
        }
        self.holds.set(Holds::Nothing);
        // SAFETY: it was initialised, and will not be read again now that `holds` says so.
        Some(unsafe { self.value.get().read().assume_init() })
    }

    /// Puts in anything, in place of what is there. A value that comes this way is traced where it arrives.
    pub(super) fn put(&self, mail: Mail<T>) {
        drop(self.take());
        self.other.set(mail);
        self.holds.set(Holds::Other);
    }

    fn take(&self) -> Mail<T> {
        match self.take_value() {
            Some(value) => Mail::Value(value),
            None => {
                self.holds.set(Holds::Nothing);
                self.other.replace(Mail::Empty)
            }
        }
    }
}

impl<T> Drop for Mailbox<T> {
    fn drop(&mut self) {
        drop(self.take());
    }
}

/// Why a switch cannot be made.
pub(super) enum Refusal {
    NoEntry,
    Foreign,
    Unwinding,
    /// The caller is only there to be unwound, and has caught that.
    Victim,
}

/// Why a pending greenlet cannot start.
pub(super) enum NoStart {
    Body,
    Stack(io::Error),
}

impl<T: 'static> Family<T> {
    /// The current entry's family, made if there is none yet.
    ///
    /// # Panics
    ///
    /// Outside of all entries, or if the family exchanges another type.
    pub(super) fn current() -> Rc<Family<T>> {
        let entry = entry::current().expect(
            "greenlets live inside `greenlet::scope`, a green thread or `osier::run`: call this inside of one of them",
        );
        let family: Rc<dyn Any> = entry.family(|| Family::<T>::new(entry));
        family.downcast().unwrap_or_else(|_| {
            panic!(
                "the greenlets of this scope exchange another type than {}: open a `greenlet::scope` of its own for it",
                core::any::type_name::<T>()
            )
        })
    }

    fn new(entry: &Entry) -> Rc<Family<T>> {
        let family = Rc::new(Family {
            entry: Cell::new(entry),
            current: Cell::new(ptr::null()),
            left: Cell::new(0),
            main: RefCell::new(None),
            main_address: Cell::new(ptr::null()),
        });
        let main = Rc::new(Node::new(&family, None, 0));
        main.stage.set(super::State::Active);
        family.current.set(Rc::as_ptr(&main));
        family.main_address.set(Rc::as_ptr(&main));
        *family.main.borrow_mut() = Some(main);
        family
    }

    #[inline]
    pub(super) fn address(&self) -> *const () {
        ptr::from_ref(self).cast()
    }

    /// The greenlet whose code runs. Only while the entry has not ended.
    #[inline]
    pub(super) fn running(&self) -> *const Node<T> {
        self.current.get()
    }

    /// A handle to the greenlet whose code runs. Only while the entry has not ended.
    pub(super) fn running_handle(&self) -> Greenlet<T> {
        Greenlet::of(Node::to_rc(self.current.get()))
    }

    pub(super) fn is_main(&self, node: *const Node<T>) -> bool {
        ptr::eq(self.main_address.get(), node)
    }

    /// The entry, while it has not ended.
    pub(super) fn entry(&self) -> Option<&Entry> {
        // SAFETY: not null means that the entry has not ended (`close`), and its memory lasts until then. It is not used across
        // the end: the end runs on the entry's own stack, after all greenlets have ended.
        unsafe { self.entry.get().as_ref() }
    }

    /// Whether the running code may switch to another greenlet of this family.
    pub(super) fn check(&self) -> Result<(), Refusal> {
        let entry = entry::current().ok_or(Refusal::NoEntry)?;
        if !entry.owns(self.address()) {
            return Err(Refusal::Foreign);
        }
        match entry.frozen() {
            Freeze::Unwinding => Err(Refusal::Unwinding),
            _ if std::thread::panicking() => Err(Refusal::Unwinding),
            Freeze::Victim => Err(Refusal::Victim),
            Freeze::No => Ok(()),
        }
    }

    /// Switches from the running greenlet to `target`, in whose mailbox there is something. Returns when somebody has
    /// switched back, with something in the running greenlet's mailbox.
    ///
    /// # Safety
    ///
    /// `check` must hold; `target` must be active, of this family, and not the running greenlet.
    #[inline(always)]
    pub(super) unsafe fn transfer(&self, target: *const Node<T>) {
        let me = self.current.get();
        // SAFETY: who runs is alive: the main greenlet until the entry ends, the others by invariant 1.
        let me = unsafe { &*me };
        me.origin.note();
        self.current.set(target);
        if ptr::eq(me, self.main_address.get()) {
            self.hub();
            me.origin.put_back();
        } else {
            // SAFETY: by `check` and not being main, `me` runs in its fiber, whose body has therefore not returned.
            unsafe { me.suspend() };
        }
    }

    /// Notes, for the trace function, who is about to be left.
    pub(super) fn leave(&self, me: &Node<T>) {
        self.left.set(me.number);
    }

    /// Runs whoever is current until that is the main greenlet.
    #[inline(always)]
    fn hub(&self) {
        loop {
            let next = self.current.get();
            // SAFETY: it was made current as an active greenlet, so it lives (invariant 1), and it is not main; since the main
            // greenlet is switched away and whoever made it current has suspended, its fiber is suspended (invariant 2).
            let state = unsafe { (*next).fiber() }.resume_noted();
            // SAFETY: it is unregistered only by `settle`.
            let handles = unsafe { &(*next).handles }.get();
            if state == fiber::State::Finished || handles == 0 {
                self.settle(next, state);
            }
            if ptr::eq(self.current.get(), self.main_address.get()) {
                break;
            }
        }
    }

    /// After `node` has gone back to the hub: takes its leave if it has finished, and unwinds it if nobody can switch to it.
    ///
    /// What this drops may run destructors of the user on the hub's stack while another greenlet is current: they cannot
    /// switch, and their panics end here.
    #[cold]
    #[inline(never)]
    fn settle(&self, node: *const Node<T>, state: fiber::State) {
        let Some(entry) = self.entry() else { return };
        let node = Node::to_rc(node);
        // The hub runs on the main greenlet's stack, under its limits.
        // SAFETY: the main greenlet lives until the entry ends.
        unsafe { &*self.main_address.get() }.origin.put_back();
        let settle = move || {
            if state == fiber::State::Finished {
                let left = node.mail.take();
                node.bury();
                self.left.set(node.number);
                self.deliver(&node, left);
                self.unregister(&node);
            } else if node.attempts.get() == 0 {
                node.unwind(false);
            }
        };
        if let Err(panic) = entry.freeze(Freeze::Unwinding, || catch_unwind(AssertUnwindSafe(settle))) {
            entry::discard(panic);
        }
    }

    /// Gives what `from` has left to the nearest of its ancestors that can take it, and makes that one current.
    fn deliver(&self, from: &Rc<Node<T>>, mut mail: Mail<T>) {
        let mut target = from.above();
        loop {
            match target.stage.get() {
                super::State::Active => break,
                super::State::Dead => {}
                super::State::Pending if matches!(mail, Mail::Value(_)) => match target.start() {
                    Ok(()) => break,
                    Err(NoStart::Body) => {}
                    Err(NoStart::Stack(error)) => {
                        target.abandon();
                        mail = Mail::Throw(Box::new(error));
                    }
                },
                super::State::Pending => target.abandon(),
            }
            target = target.above();
        }
        target.mail.put(mail);
        self.current.set(Rc::as_ptr(&target));
    }

    fn unregister(&self, node: &Node<T>) {
        if let Some(entry) = self.entry() {
            entry.unregister(node.number);
        }
    }

    /// Tells the trace function, in the greenlet that a switch has just reached.
    #[cold]
    fn trace(&self, kind: Kind, target: u64) {
        if let Err(panic) = trace::call(kind, self.left.get(), target) {
            resume_unwind(panic);
        }
    }
}

impl<T: 'static> entry::Family for Family<T> {
    fn close(&self) {
        self.entry.set(ptr::null());
        self.main_address.set(ptr::null());
        self.current.set(ptr::null());
        if let Some(main) = self.main.take() {
            main.bury();
        }
    }
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
            stage: Cell::new(super::State::Pending),
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
        }
    }

    /// Another `Rc` of a node that is alive: one that runs, or that was just resumed.
    fn to_rc(node: *const Node<T>) -> Rc<Node<T>> {
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
        self.stage.set(super::State::Active);
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
    unsafe fn fiber(&self) -> &mut Fiber {
        // SAFETY: while the fiber runs nobody else touches the cell: it is resumed only when suspended (invariant 2), and taken
        // only when it has finished or is given up while suspended.
        let fiber = unsafe { &mut *self.fiber.get() };
        // SAFETY: an active greenlet other than main has a fiber.
        unsafe { fiber.as_mut().unwrap_unchecked() }
    }

    /// Goes back to whoever resumed this greenlet; its limits have been noted.
    ///
    /// # Safety
    ///
    /// It must be the running greenlet, and not the main one.
    #[inline]
    unsafe fn suspend(&self) {
        // SAFETY: `run` has set it before anything else.
        let suspender = unsafe { self.suspender.get().unwrap_unchecked() };
        // SAFETY: the greenlet runs: the caller is on its stack or on one that was resumed from it (a generator's).
        unsafe { suspender.suspend_noted() };
        self.origin.put_back();
    }

    /// Goes back to the one who wanted this greenlet unwound; returns when it is resumed.
    ///
    /// # Safety
    ///
    /// It must be the running greenlet, `check` must have said `Victim`.
    #[cold]
    pub(super) unsafe fn go_back(&self) {
        self.origin.note();
        // SAFETY: a victim runs in its fiber; the rest is the caller's promise.
        unsafe { self.suspend() };
    }

    /// Takes what a switch to this greenlet, which runs, has brought.
    #[inline(always)]
    pub(super) fn receive(&self) -> Result<T, GreenletExit> {
        match self.mail.take_value() {
            Some(value) => Ok(value),
            None => self.receive_other(),
        }
    }

    #[cold]
    #[inline(never)]
    fn receive_other(&self) -> Result<T, GreenletExit> {
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
            Mail::Throw(payload) => resume_unwind(payload),
            Mail::Exit => Err(GreenletExit),
            Mail::Value(value) => Ok(value),
            Mail::Empty => unreachable!("a greenlet was resumed with nothing to receive"),
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
    fn bury(&self) {
        self.stage.set(super::State::Dead);
        self.origin.clear();
        // SAFETY: called for a fiber that has finished, is given up while suspended, or is not there: it does not run, so nobody
        // holds a reference into the cell.
        let fiber = unsafe { &mut *self.fiber.get() }.take();
        drop(fiber);
    }

    /// The last handle was dropped.
    #[cold]
    #[inline(never)]
    pub(super) fn forsaken(self: &Rc<Self>) {
        match self.stage.get() {
            super::State::Dead => {}
            super::State::Pending => self.abandon(),
            super::State::Active => {
                let busy = ptr::eq(self.family.running(), Rc::as_ptr(self)) || self.beneath.get();
                // One that runs is unwound when it switches away; one that has caught its unwinding waits for the end of the entry.
                if !busy && !self.family.is_main(Rc::as_ptr(self)) && self.attempts.get() == 0 {
                    self.unwind(true);
                }
            }
        }
    }

    /// Has a suspended greenlet unwound, from the running code's stack. Does nothing outside of its entry (on another green
    /// thread, say): the running code's stack would then not be strictly inside of the family's, and the end of the entry
    /// does it. `by_current`: the running code is the current greenlet's, not the hub's.
    fn unwind(self: &Rc<Self>, by_current: bool) {
        let family = &self.family;
        let Some(home) = entry::enclosing(family.entry.get()) else { return };
        let current = family.current.get();
        // SAFETY: the current greenlet is active, or main, and stays so while it is `beneath` (invariant 1).
        let current = unsafe { &*current };
        if by_current {
            current.origin.note();
        }
        let beneath = current.beneath.replace(true);
        self.attempts.set(self.attempts.get() + 1);
        self.mail.put(Mail::Throw(Box::new(GreenletExit)));
        family.left.set(current.number);
        family.current.set(Rc::as_ptr(self));
        let mut state = fiber::State::Suspended;
        let resume = || {
            // SAFETY: it is active, not main, and suspended: it is neither current nor beneath, as the callers have seen.
            state = unsafe { self.fiber() }.resume();
        };
        home.make_current(|| home.freeze(Freeze::Victim, || panic_count::lend(resume)));
        family.left.set(self.number);
        family.current.set(current);
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
        if self.stage.get() == super::State::Pending {
            self.abandon();
        }
        while self.stage.get() == super::State::Active && self.attempts.get() < MAX_ATTEMPTS {
            self.unwind(true);
        }
        if self.stage.get() == super::State::Active {
            // Dropping its fiber counts its stack as leaked.
            self.bury();
        }
        Ended::Yes
    }
}
