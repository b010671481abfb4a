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
//! 4. The `origin` of a greenlet that does not run holds its innermost limit on waiting. While the family is open the running
//!    one's does too ([`crate::running`]); while it is shut, whoever leaves a greenlet notes its limits there, and puts those
//!    of the one that runs next in force.

use super::mailbox::Mail;
use super::node::{NoStart, Node};
use super::trace::{self, Kind};
use super::{Greenlet, State};
use crate::entry::{self, Entry, Freeze};
use crate::fiber;
use crate::running::{self, Current};
use core::any::Any;
use core::cell::{Cell, RefCell};
use core::ptr;
use std::panic::resume_unwind;
use std::rc::Rc;

/// The greenlets of one entry.
pub(super) struct Family<T: 'static> {
    /// Null when the entry has ended.
    pub(super) entry: Cell<*const Entry>,
    /// Whose code runs, or is resumed next.
    pub(super) current: Current,
    /// The number of the greenlet that the last switch left, if that is traced.
    pub(super) left: Cell<u64>,
    /// The hub itself runs code of the user (`settle`), on the main greenlet's stack: what runs is not the current greenlet,
    /// whose limits are noted.
    pub(super) settling: Cell<bool>,
    /// The greenlet of the entry's own stack; `None` when the entry has ended, which breaks their mutual references.
    main: RefCell<Option<Rc<Node<T>>>>,
    /// The address of `main`; null when the entry has ended.
    main_address: Cell<*const Node<T>>,
}

/// Why a switch cannot be made.
pub(super) enum Refusal {
    NoEntry,
    Foreign,
    Unwinding,
    /// The caller is only there to be unwound, and has caught that.
    Victim,
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
            current: Current::new(),
            left: Cell::new(0),
            settling: Cell::new(false),
            main: RefCell::new(None),
            main_address: Cell::new(ptr::null()),
        });
        let main = Rc::new(Node::new(&family, None, 0));
        main.stage.set(State::Active);
        family.current.set_greenlet(Rc::as_ptr(&main).cast());
        family.main_address.set(Rc::as_ptr(&main));
        *family.main.borrow_mut() = Some(main);
        family
    }

    #[inline]
    pub(super) fn address(&self) -> *const () {
        ptr::from_ref(self).cast()
    }

    /// The greenlet whose code runs. Only while the entry has not ended.
    pub(super) fn running(&self) -> *const Node<T> {
        self.current.greenlet().cast()
    }

    /// A handle to the greenlet whose code runs. Only while the entry has not ended.
    pub(super) fn running_handle(&self) -> Greenlet<T> {
        Greenlet::of(Node::to_rc(self.running()))
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

    /// Opens it, so that the next switch can go the quick way, unless somebody must be told of that: the trace function, or
    /// the hub. `check` must hold.
    pub(super) fn open(&self) {
        // SAFETY: it runs, so it is alive: the main greenlet until the entry ends, the others by invariant 1.
        let me = unsafe { &*self.running() };
        if !trace::is_set() && !me.is_forsaken() {
            self.current.open();
        }
    }

    /// Switches to `target`, in whose mailbox there is something; open or not.
    ///
    /// # Safety
    ///
    /// `check` must hold; `me` must be the running greenlet; `target` must be active, of this family, and not `me`.
    pub(super) unsafe fn transfer(&self, me: &Node<T>, target: *const Node<T>) {
        me.origin.note();
        self.current.set_greenlet(target.cast());
        // SAFETY: active, by the caller's promise, so it lives (invariant 1).
        unsafe { &*target }.origin.put_back();
        let target = if me.is_forsaken() { ptr::null() } else { target };
        // SAFETY: the caller's promises. The family of one that is forsaken is not open: it was shut, and not opened, for that.
        unsafe { me.transfer(&raw const self.current, me.suspender(), target) };
    }

    /// Notes, for the trace function, who is about to be left.
    pub(super) fn leave(&self, me: &Node<T>) {
        self.left.set(me.number);
    }

    /// The hub: runs `node`, which is current, and then whoever is, until that is `main`, the main greenlet.
    #[inline(always)]
    pub(super) fn hub(main: &Node<T>, node: *const Node<T>) {
        let state = Family::run_once(node);
        // Whoever sends main a value in the quick way switches to it at once.
        if !main.mail.has_value() {
            Family::hub_on(main, node, state);
        }
    }

    /// The rest of it, after `node` has gone back to the hub. Apart, since a greenlet that is switched to from main mostly
    /// switches back.
    #[inline(never)]
    fn hub_on(main: &Node<T>, mut node: *const Node<T>, mut state: fiber::State) {
        loop {
            let mut next = running::greenlet().cast::<Node<T>>();
            if state == fiber::State::Finished || next.is_null() {
                main.family.settle(node, state);
                next = main.family.running();
                // SAFETY: it was made current as an active greenlet or is main, so it lives.
                unsafe { &*next }.origin.put_back();
            }
            if ptr::eq(next, main) {
                break;
            }
            node = next;
            state = Family::run_once(node);
        }
    }

    /// Runs `node`, which is current, until it goes back to the hub.
    #[inline(always)]
    fn run_once(node: *const Node<T>) -> fiber::State {
        // SAFETY: it was made current as an active greenlet, so it lives (invariant 1), and it is not main; since the main
        // greenlet is switched away and whoever made it current has suspended, its fiber is suspended (invariant 2).
        let fiber = unsafe { (*node).fiber() };
        // SAFETY: it is suspended.
        unsafe { fiber.resume_noted() }
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
        running::shut();
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
                node.unwind();
            }
        };
        self.settling.set(true);
        entry.freeze(Freeze::Unwinding, || entry::quietly(settle));
        self.settling.set(false);
    }

    /// Gives what `from` has left to the nearest of its ancestors that can take it, and makes that one current.
    fn deliver(&self, from: &Rc<Node<T>>, mut mail: Mail<T>) {
        let mut target = from.above();
        loop {
            match target.stage.get() {
                State::Active => break,
                State::Dead => {}
                State::Pending if matches!(mail, Mail::Value(_)) => match target.start() {
                    Ok(()) => break,
                    Err(NoStart::Body) => {}
                    Err(NoStart::Stack(error)) => {
                        entry::quietly(|| target.abandon());
                        mail = Mail::Throw(Box::new(error));
                    }
                },
                // Were a panic of its destructors to leave here, nobody would be current.
                State::Pending => entry::quietly(|| target.abandon()),
            }
            target = target.above();
        }
        target.mail.put(mail);
        self.current.set_greenlet(Rc::as_ptr(&target).cast());
    }

    pub(super) fn unregister(&self, node: &Node<T>) {
        if let Some(entry) = self.entry() {
            entry.unregister(node.number);
        }
    }

    /// Tells the trace function, in the greenlet that a switch has just reached.
    #[cold]
    pub(super) fn trace(&self, kind: Kind, target: u64) {
        if let Err(panic) = trace::call(kind, self.left.get(), target) {
            resume_unwind(panic);
        }
    }
}

impl<T: 'static> entry::Family for Family<T> {
    fn close(&self) {
        self.entry.set(ptr::null());
        self.main_address.set(ptr::null());
        self.current.set_greenlet(ptr::null());
        if let Some(main) = self.main.take() {
            main.bury();
        }
    }
}
