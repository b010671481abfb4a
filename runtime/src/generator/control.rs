//! The control block of a generator: its life, from its first resume to its end, and what passes between it and its driver.

use super::{GeneratorExit, Yielder};
use crate::entry::{self, Ended, Entry, Freeze, Resident};
use crate::fiber::{self, Fiber};
use crate::limits::{self, Origin};
use crate::panic_count;
use crate::stack;
use core::any::Any;
use core::cell::{Cell, UnsafeCell};
use core::marker::PhantomData;
use core::ptr;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;

/// How often a generator is asked to end before its stack is given up: when it is dropped and when its entry ends, or twice
/// then.
const MAX_ATTEMPTS: u8 = 2;

/// What a generator will run.
pub(super) type Body<Y, S, R> = Box<dyn FnOnce(&Yielder<Y, S>) -> R>;

/// The control block.
pub(super) struct Control<Y: 'static, S: 'static, R: 'static> {
    number: u64,
    pub(super) stage: Cell<Stage>,
    pub(super) mail: Mailbox<Y, S>,
    /// `None` before the first resume and after the end.
    fiber: UnsafeCell<Option<Fiber>>,
    /// `None` from the start on.
    body: Cell<Option<Body<Y, S, R>>>,
    /// What the body has returned or raised, until it is taken.
    pub(super) result: Cell<Option<Result<R, Box<dyn Any + Send>>>>,
    /// The innermost limit on waiting of whoever drives it.
    driver: Origin,
    /// Leads to `driver`; null before the start.
    link: Cell<*const Origin>,
    /// The entry that it was first driven in; null before the start.
    pub(super) home: Cell<*const Entry>,
    /// Bytes.
    stack_size: usize,
    /// How often it was asked to end; see [`MAX_ATTEMPTS`].
    pub(super) attempts: Cell<u8>,
}

/// What passes between a generator and its driver.
pub(super) struct Mailbox<Y, S> {
    /// For the driver.
    pub(super) yielded: Cell<Option<Y>>,
    /// For the generator.
    pub(super) sent: Cell<Sent<S>>,
    /// The entry that it is driven in.
    pub(super) driven_in: Cell<*const Entry>,
    /// It is suspended in a destructor while its stack unwinds: nothing can be raised there.
    pub(super) unwinding: Cell<bool>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    New,
    Suspended,
    Running,
    Ended,
}

pub(super) enum Sent<S> {
    Nothing,
    Value(S),
    Throw(Box<dyn Any + Send>),
}

impl<Y, S> Mailbox<Y, S> {
    /// Takes what the driver has for the generator.
    #[inline(always)]
    pub(super) fn receive(&self) -> Sent<S> {
        // SAFETY: the reference ends here, and nobody else refers into the cell.
        if matches!(unsafe { &*self.sent.as_ptr() }, Sent::Nothing) {
            return Sent::Nothing;
        }
        self.sent.replace(Sent::Nothing)
    }
}

impl<Y: 'static, S: 'static, R: 'static> Control<Y, S, R> {
    pub(super) fn new(stack_size: usize, body: Body<Y, S, R>) -> Control<Y, S, R> {
        Control {
            number: entry::next_number(),
            stage: Cell::new(Stage::New),
            mail: Mailbox {
                yielded: Cell::new(None),
                sent: Cell::new(Sent::Nothing),
                driven_in: Cell::new(ptr::null()),
                unwinding: Cell::new(false),
            },
            fiber: UnsafeCell::new(None),
            body: Cell::new(Some(body)),
            result: Cell::new(None),
            driver: Origin::new(),
            link: Cell::new(ptr::null()),
            home: Cell::new(ptr::null()),
            stack_size,
            attempts: Cell::new(0),
        }
    }

    /// Resumes it with `sent`, and returns what it yields; `None` when it has returned.
    #[inline]
    pub(super) fn drive(self: &Rc<Self>, sent: Sent<S>) -> Option<Y> {
        // One that is suspended has a home. If that is current, there is one around; if not, it may be further out.
        if self.stage.get() != Stage::Suspended || !ptr::eq(self.home.get(), entry::current_address()) {
            self.start_or_check();
        }
        self.resume(sent);
        if self.stage.get() == Stage::Ended
            && let Err(panic) = self.finish()
        {
            resume_unwind(panic);
        }
        self.mail.yielded.take()
    }

    /// Makes a new generator ready to be resumed, and panics unless it may be driven here.
    #[cold]
    pub(super) fn start_or_check(self: &Rc<Self>) {
        if self.home.get().is_null() {
            if let Err(error) = self.start() {
                panic!("no memory for a generator's stack of {} bytes: {error}", self.stack_size);
            }
        } else if entry::enclosing(self.home.get()).is_none() {
            panic!(
                "a generator can only be driven in the scope or green thread in which it was first driven"
            );
        }
    }

    /// Takes a stack and becomes a resident of the current entry.
    pub(super) fn start(self: &Rc<Self>) -> io::Result<()> {
        let entry = entry::current().expect(
            "generators are driven inside `greenlet::scope`, a green thread or `osier::run`: put one of them around",
        );
        stack::overflow::arm();
        let stack = stack::acquire(self.stack_size)?;
        let bounds = fiber::bounds(&stack);
        let Some(body) = self.body.take() else { return Ok(()) };
        let control = Rc::as_ptr(self);
        let fiber = Fiber::new(stack, move |suspender| {
            // SAFETY: the fiber runs only while its control block is registered with its entry, or is being ended by it.
            let control = unsafe { &*control };
            let yielder = Yielder {
                suspender,
                mail: &raw const control.mail,
                stack: bounds,
                _on_its_stack: PhantomData,
            };
            let result = catch_unwind(AssertUnwindSafe(|| {
                // SAFETY: the cell is the control block's own, and leads to its `driver`, whose head is noted at each resume by the
                // one who resumes, who is beneath as long as the body runs.
                unsafe { limits::inherit(&raw const control.link, || body(&yielder)) }
            }));
            control.result.set(Some(result));
        });
        // SAFETY: there is no fiber yet that could run, so nobody holds a reference into the cell.
        unsafe { *self.fiber.get() = Some(fiber) };
        self.link.set(&raw const self.driver);
        self.home.set(entry);
        entry.register(self.number, Rc::<Self>::clone(self));
        Ok(())
    }

    /// Runs it until it yields or ends. It must be suspended, or started and new, and its home must be around.
    #[inline]
    pub(super) fn resume(&self, sent: Sent<S>) {
        // A body takes what it is sent, so there is nothing to replace.
        if !matches!(sent, Sent::Nothing) {
            self.mail.sent.set(sent);
        }
        self.mail.driven_in.set(entry::current_address());
        self.stage.set(Stage::Running);
        let state = if std::thread::panicking() { self.switch_while_unwinding() } else { self.switch() };
        self.stage.set(if state == fiber::State::Suspended { Stage::Suspended } else { Stage::Ended });
    }

    /// The driver's stack unwinds: its panics are not the generator's. Nor may the generator's code switch greenlets, or be told
    /// to end by what the driver is past, since it runs on behalf of a destructor.
    #[cold]
    fn switch_while_unwinding(&self) -> fiber::State {
        let mut state = fiber::State::Suspended;
        let mut switch = || limits::while_unwinding(|| panic_count::lend(|| state = self.switch()));
        match entry::current() {
            Some(entry) => entry.freeze(Freeze::Unwinding, switch),
            None => switch(),
        }
        state
    }

    #[inline]
    fn switch(&self) -> fiber::State {
        self.driver.note();
        // SAFETY: a generator that can be resumed has a fiber, and it does not run: `stage` said so, and whoever resumes it
        // nevertheless while it runs finds `stage` changed. So nobody else holds a reference into the cell.
        let fiber = unsafe { &mut *self.fiber.get() };
        // SAFETY: as above.
        let fiber = unsafe { fiber.as_mut().unwrap_unchecked() };
        // SAFETY: as above: its body has not returned.
        let state = unsafe { fiber.resume_noted() };
        self.driver.put_back();
        state
    }

    /// After its body has ended: gives back the stack; what the body has raised is the error.
    #[cold]
    pub(super) fn finish(&self) -> Result<(), Box<dyn Any + Send>> {
        self.retire();
        match self.result.take() {
            Some(Err(panic)) => Err(panic),
            returned => {
                self.result.set(returned);
                Ok(())
            }
        }
    }

    /// Ends one that has not begun; its body is dropped.
    #[cold]
    pub(super) fn abandon(&self) {
        let body = self.body.take();
        self.retire();
        drop(body);
    }

    /// Ends it and leaves its entry: it has not begun, has finished, or is given up, which counts its stack as leaked.
    fn retire(&self) {
        self.stage.set(Stage::Ended);
        // SAFETY: it does not run, so nobody holds a reference into the cell.
        let fiber = unsafe { &mut *self.fiber.get() }.take();
        // SAFETY: null, or the entry has not ended: its end would have come here, and then this was null.
        let home = unsafe { self.home.replace(ptr::null()).as_ref() };
        if let Some(home) = home {
            home.unregister(self.number);
        }
        drop(fiber);
    }

    /// Raises a [`GeneratorExit`] in a suspended one, and runs it until it yields or ends. Its home must be around.
    #[cold]
    pub(super) fn exit(&self) {
        let entry = entry::current();
        if let Some(entry) = entry {
            entry.exit_begins();
        }
        self.resume(Sent::Throw(Box::new(GeneratorExit)));
        if let Some(entry) = entry {
            entry.exit_ends();
        }
    }

    /// Asks a suspended one to end; what it yields, returns or raises instead is dropped. Its home must be around.
    #[cold]
    pub(super) fn unwind(&self) {
        if self.mail.unwinding.get() {
            // Raising in a destructor of a stack that unwinds would abort the process.
            self.retire();
            return;
        }
        self.attempts.set(self.attempts.get() + 1);
        self.exit();
        if self.stage.get() == Stage::Suspended {
            entry::quietly(|| drop(self.mail.yielded.take()));
        } else if let Err(panic) = self.finish() {
            entry::discard(panic);
        }
    }
}

impl<Y: 'static, S: 'static, R: 'static> Resident for Control<Y, S, R> {
    fn end(self: Rc<Self>) -> Ended {
        if self.stage.get() == Stage::Running {
            return Ended::Busy;
        }
        if self.stage.get() == Stage::New {
            self.abandon();
        }
        while self.stage.get() == Stage::Suspended && self.attempts.get() < MAX_ATTEMPTS {
            self.unwind();
        }
        if self.stage.get() == Stage::Suspended {
            self.retire();
        }
        Ended::Yes
    }
}
