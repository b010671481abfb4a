//! Entries: the calls inside which stacks may be switched, and at whose end nothing stays suspended.
//!
//! A stack that is suspended refers to what was there when it was suspended: thread-locals, locals of a green thread,
//! what a caller lent. So it is resumed only inside the call in which it began, and that call's end unwinds whatever is
//! still suspended in it. Such a call is an *entry*: `greenlet::scope`, and each green thread's body. (Unwinding in the
//! destructor of a thread-local instead would be a use after free: other thread-locals may already be gone.)
//!
//! Owns one word for each OS thread, the innermost entry of the stack that runs now. The scheduler takes it away and puts
//! it back around each of its switches with [`apart`]; greenlets and generators leave it alone, since they run inside the
//! entry of whoever resumes them.
//!
//! # Invariants
//!
//! 1. An entry lies in the frame of [`nested`] or [`fresh`], which takes it out of the OS thread's word before it returns.
//!    So the word, and the chain of `outer`s behind it, only ever name entries whose frames are beneath the running code.
//! 2. What is suspended inside an entry is in its list of residents, from its first resume to its end.
//! 3. When the entry has ended, each of its residents has ended too, or has been leaked and counted.

use crate::running;
use core::any::Any;
use core::cell::{Cell, OnceCell, RefCell};
use core::ptr;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

thread_local! {
    /// The number given last on this OS thread.
    static LAST_NUMBER: Cell<u64> = const { Cell::new(0) };
}

/// A call inside which stacks may be switched.
pub(crate) struct Entry {
    /// The entry around this one, on the same stack or on one that it was resumed from; null when there is none.
    outer: *const Entry,
    /// The family of greenlets; empty until one is made.
    owner: OnceCell<Rc<dyn Family>>,
    freeze: Cell<Freeze>,
    /// How many of its greenlets and generators unwind because they were told to end: nothing has failed there.
    exits: Cell<usize>,
    /// What must be unwound when the entry ends, by number: the newest goes first.
    residents: RefCell<BTreeMap<u64, Rc<dyn Resident>>>,
}

/// Whether greenlets of an entry may switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Freeze {
    No,
    /// The current greenlet was resumed only to be unwound: all that it can do is to go back.
    Victim,
    /// The code was called from a destructor that runs because its stack unwinds.
    Unwinding,
}

/// A greenlet or generator that an entry must not leave suspended.
pub(crate) trait Resident {
    /// Ends it: unwinds its stack, or gives it up. Called on the entry's own stack, with the entry current.
    fn end(self: Rc<Self>) -> Ended;
}

/// What [`Resident::end`] has done.
pub(crate) enum Ended {
    /// It has ended, or its stack was leaked and counted.
    Yes,
    /// It runs beneath another resident, whose end will end it.
    Busy,
}

/// The greenlets of an entry, whatever type they exchange.
pub(crate) trait Family: Any {
    /// The entry has ended.
    fn close(&self);
}

/// A number that no other greenlet or generator of this OS thread has.
pub(crate) fn next_number() -> u64 {
    let number = LAST_NUMBER.get() + 1;
    LAST_NUMBER.set(number);
    number
}

/// Runs `body` in a new entry inside the current one, if any; then unwinds what is suspended in it. Returns what `body`
/// returned, or its panic.
pub(crate) fn nested<R>(body: impl FnOnce() -> R) -> std::thread::Result<R> {
    enclose(current_address(), body)
}

/// [`nested`], in an entry that has none around it: for the body of a green thread, which is not inside of what its worker
/// happens to be inside of. Costs a few words on the stack as long as neither greenlets nor generators are used.
pub(crate) fn fresh<R>(body: impl FnOnce() -> R) -> std::thread::Result<R> {
    enclose(ptr::null(), body)
}

#[inline]
fn enclose<R>(outer: *const Entry, body: impl FnOnce() -> R) -> std::thread::Result<R> {
    let entry = Entry {
        outer,
        owner: OnceCell::new(),
        freeze: Cell::new(Freeze::No),
        exits: Cell::new(0),
        residents: RefCell::new(BTreeMap::new()),
    };
    running::shut();
    let before = replace(&raw const entry);
    let result = catch_unwind(AssertUnwindSafe(body));
    debug_assert!(ptr::eq(current_address(), &raw const entry), "an entry was left out of order");
    if entry.owner.get().is_some() || !entry.residents.borrow().is_empty() {
        entry.close();
    }
    running::shut();
    replace(before);
    result
}

/// Runs `switch` with no entry current, and makes the current one current again: for the scheduler, around each resume and
/// each suspension of a green thread, and around its loop, which no greenlet of an entry outside may leave.
#[inline]
pub(crate) fn apart<R>(switch: impl FnOnce() -> R) -> R {
    PutBack::replace(ptr::null(), switch)
}

/// Puts the OS thread's word back, also when unwinding.
struct PutBack(*const Entry);

impl PutBack {
    #[inline]
    fn replace<R>(entry: *const Entry, f: impl FnOnce() -> R) -> R {
        running::shut();
        let _back = PutBack(replace(entry));
        f()
    }
}

impl Drop for PutBack {
    #[inline]
    fn drop(&mut self) {
        // Each entry that was current in between was taken away in one of the ways above.
        debug_assert!(running::open().0.is_null(), "an entry was left with its family open");
        replace(self.0);
    }
}

/// The address of the current entry; null outside of all.
#[inline]
pub(crate) fn current_address() -> *const Entry {
    running::with(|running| running.entry.get())
}

#[inline]
fn replace(entry: *const Entry) -> *const Entry {
    running::with(|running| running.entry.replace(entry))
}

/// The current entry; `None` outside of all.
#[inline]
pub(crate) fn current<'a>() -> Option<&'a Entry> {
    // SAFETY: the entry lies in a frame beneath the caller's (invariant 1), which cannot end before the caller's does; a caller
    // that is suspended is unwound before that frame ends, or never resumed. No caller keeps the reference in a place that
    // outlives its own frame (they use it at once; nothing in this crate stores an `&Entry`).
    unsafe { current_address().as_ref() }
}

/// Whether the running code, or what it runs inside of, unwinds because a greenlet or generator was told to end.
pub(crate) fn exits() -> bool {
    let mut entry = current();
    while let Some(this) = entry {
        if this.exits.get() > 0 {
            return true;
        }
        // SAFETY: as in `enclosing`.
        entry = unsafe { this.outer.as_ref() };
    }
    false
}

/// The entry at `address` if it is the current one or around it.
pub(crate) fn enclosing<'a>(address: *const Entry) -> Option<&'a Entry> {
    let mut entry = current();
    while let Some(this) = entry {
        if ptr::eq(this, address) {
            break;
        }
        // SAFETY: as in `current`: an outer entry's frame is beneath the inner one's.
        entry = unsafe { this.outer.as_ref() };
    }
    entry
}

impl Entry {
    /// Runs `f` with this entry, which is around the current one, as the current one.
    pub(crate) fn make_current<R>(&self, f: impl FnOnce() -> R) -> R {
        PutBack::replace(self, f)
    }

    /// The family of greenlets; made by `make` if there is none.
    pub(crate) fn family(&self, make: impl FnOnce() -> Rc<dyn Family>) -> Rc<dyn Family> {
        Rc::clone(self.owner.get_or_init(make))
    }

    /// Whether `family` is the address of this entry's family.
    pub(crate) fn owns(&self, family: *const ()) -> bool {
        self.owner.get().is_some_and(|owner| ptr::addr_eq(Rc::as_ptr(owner), family))
    }

    /// Whether, and why, its greenlets may not switch.
    pub(crate) fn frozen(&self) -> Freeze {
        self.freeze.get()
    }

    /// Runs `f` while greenlets of this entry may not switch, because of `freeze`.
    pub(crate) fn freeze<R>(&self, freeze: Freeze, f: impl FnOnce() -> R) -> R {
        struct Thaw<'a>(&'a Entry, Freeze);
        impl Drop for Thaw<'_> {
            fn drop(&mut self) {
                self.0.freeze.set(self.1);
            }
        }
        let _thaw = Thaw(self, self.freeze.replace(freeze));
        running::shut();
        f()
    }

    /// One of its greenlets or generators is told to end, and unwinds.
    pub(crate) fn exit_begins(&self) {
        self.exits.set(self.exits.get() + 1);
    }

    /// It has ended, or goes on all the same.
    pub(crate) fn exit_ends(&self) {
        self.exits.set(self.exits.get() - 1);
    }

    /// Takes in what must be unwound at the end.
    pub(crate) fn register(&self, number: u64, resident: Rc<dyn Resident>) {
        self.residents.borrow_mut().insert(number, resident);
    }

    /// Lets go of what has ended.
    pub(crate) fn unregister(&self, number: u64) {
        let resident = self.residents.borrow_mut().remove(&number);
        // Its destructor may come back here, so not while the list is borrowed.
        drop(resident);
    }

    /// Ends all residents, the newest first.
    #[cold]
    fn close(&self) {
        let mut busy = Vec::new();
        loop {
            let newest = self.residents.borrow_mut().pop_last();
            if let Some((_, resident)) = newest {
                if matches!(end(&resident), Ended::Busy) {
                    busy.push(resident);
                }
            } else if let Some(resident) = busy.pop() {
                // Those beneath which it ran have been unwound, and it with them; or leaked: then it is part of a leaked stack.
                if matches!(end(&resident), Ended::Busy) {
                    crate::stack::count_leak();
                    core::mem::forget(resident);
                }
            } else {
                // Only now: whatever was ended last may have started others.
                break;
            }
        }
        running::shut();
        if let Some(family) = self.owner.get() {
            family.close();
        }
    }
}

/// Ends a resident. A destructor that panics must not keep the others from being unwound; the hook has seen its message.
fn end(resident: &Rc<dyn Resident>) -> Ended {
    loop {
        match catch_unwind(AssertUnwindSafe(|| Rc::clone(resident).end())) {
            Ok(ended) => return ended,
            // What was left of it is ended by the next try; each try uses up one of its attempts or ends it.
            Err(panic) => discard(panic),
        }
    }
}

/// Runs user code for whose panics there is nobody to tell.
pub(crate) fn quietly(f: impl FnOnce()) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(f)) {
        discard(panic);
    }
}

/// Drops the payload of a panic that nobody can be told of.
pub(crate) fn discard(panic: Box<dyn Any + Send>) {
    if let Err(another) = catch_unwind(AssertUnwindSafe(|| drop(panic))) {
        core::mem::forget(another);
    }
}
