//! What bounds the waits of a stack besides their own deadlines: the enclosing `timeout`s and `shield`s.
//!
//! Owns one word for each OS thread, the innermost frame of the stack that runs now. A frame lives on the stack of the
//! function that set it and is linked to the one around it; since functions nest, so do frames. A fiber takes its word
//! with it when it is switched out ([`crate::fiber`] saves and restores it), so a deadline never ends somebody else's wait. Of
//! greenlets that switch in the quick way each keeps the word in its own [`Origin`] ([`crate::running`] says when).
//!
//! A generator or greenlet is also bound by what encloses its driver or parent *now*: its outermost frame is a link to the
//! [`Origin`] where those keep their own innermost frame while they are switched out.

use crate::clock::Instant;
use crate::panic_count;
use crate::running;
use core::cell::Cell;
use core::marker::PhantomPinned;
use core::pin::Pin;
use core::ptr;

/// The innermost frame of a stack; null when there is none.
pub(crate) type Head = *const Frame;

thread_local! {
    /// The number of the last timeout of this OS thread: tells nested ones apart.
    static LAST_ID: Cell<u64> = const { Cell::new(0) };
}

/// Names one call of `timeout`; unique on its OS thread, which is as far as its unwinding can travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TimeoutId(u64);

/// One bound on the waits inside a function call.
pub(crate) struct Frame {
    kind: Kind,
    /// The frame around this one; null at the bottom of the stack.
    outer: Cell<Head>,
    /// How many unwindings were under way when it was made: more than 0 in a destructor of a stack that unwinds.
    unwindings: usize,
    _pinned: PhantomPinned,
}

enum Kind {
    /// Every wait inside ends at the instant.
    Timeout(TimeoutId, Instant),
    /// Nothing outside of this frame ends a wait inside of it.
    Shield,
    /// Bottom of a generator or greenlet: go on with the frames of its driver or parent, which the cell names now.
    Link(*const Cell<*const Origin>),
}

/// Where a driver or parent keeps its innermost frame while another stack runs.
pub(crate) struct Origin {
    /// Null when it has no frame: then the search goes on with `outer`.
    head: Cell<Head>,
    /// The driver's or parent's own driver or parent, asked only when it has no frame itself, having ended or not begun (a
    /// stack that runs has a link at its bottom); null when there is none.
    outer: Cell<*const Origin>,
}

impl Origin {
    pub(crate) const fn new() -> Origin {
        Origin { head: Cell::new(ptr::null()), outer: Cell::new(ptr::null()) }
    }

    /// Where the innermost frame is kept; see [`running`].
    #[inline(always)]
    pub(crate) fn head(&self) -> &Cell<Head> {
        &self.head
    }

    /// Notes the running stack's innermost frame, before a switch away from it.
    #[inline]
    pub(crate) fn note(&self) {
        self.head.set(head());
    }

    /// Puts back what was noted, after the switch back to it.
    #[inline]
    pub(crate) fn put_back(&self) {
        set_head(self.head.get());
    }

    /// The stack has ended.
    pub(crate) fn clear(&self) {
        self.head.set(ptr::null());
    }

    /// What bounds those that have this as their `outer` when this has no frame; for [`inherit`] too.
    pub(crate) fn outer(&self) -> &Cell<*const Origin> {
        &self.outer
    }
}

/// What the frames of the running stack say, taken together.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// The earliest enclosing deadline and whose it is (the outermost of equal ones); `None` when there is none.
    pub(crate) timeout: Option<(Instant, TimeoutId)>,
    /// Whether a kill must wait.
    pub(crate) shielded: bool,
}

impl Limits {
    /// The limits of the stack that runs now. While it unwinds, nothing that was set before ends a wait.
    #[inline]
    pub(crate) fn now() -> Limits {
        let unwinding = std::thread::panicking();
        let head = head();
        if head.is_null() {
            return Limits { timeout: None, shielded: unwinding };
        }
        Limits::of(head, unwinding)
    }

    fn of(mut head: Head, unwinding: bool) -> Limits {
        let mut limits = Limits { timeout: None, shielded: unwinding };
        // Known only when it is needed, since it is dear.
        let mut depth = None;
        // SAFETY: a frame is unlinked before its stack frame ends (`enclose`), and stacks are unwound or leaked, never freed
        // under a live frame; what a link leads to is valid while the body that `inherit` bounds runs.
        while let Some(frame) = unsafe { head.as_ref() } {
            // An unwinding that has begun inside of the frame must not be left by another one.
            if unwinding
                && (frame.unwindings == 0 || frame.unwindings < *depth.get_or_insert_with(panic_count::depth))
            {
                break;
            }
            match frame.kind {
                Kind::Timeout(id, at) => {
                    if limits.timeout.is_none_or(|(earliest, _)| at <= earliest) {
                        limits.timeout = Some((at, id));
                    }
                    head = frame.outer.get();
                }
                Kind::Shield => {
                    limits.shielded = true;
                    break;
                }
                Kind::Link(of) => {
                    // SAFETY: as above.
                    let mut origin = unsafe { &*of }.get();
                    head = ptr::null();
                    // SAFETY: as above.
                    while let Some(this) = unsafe { origin.as_ref() } {
                        head = this.head.get();
                        if !head.is_null() {
                            break;
                        }
                        origin = this.outer.get();
                    }
                }
            }
        }
        limits
    }
}

/// Exchanges the running stack's innermost frame; for the switch itself.
#[inline]
pub(crate) fn replace(head: Head) -> Head {
    running::with(|running| running.limits().replace(head))
}

/// The running stack's innermost frame.
#[inline]
pub(crate) fn head() -> Head {
    running::with(|running| running.limits().get())
}

#[inline]
fn set_head(head: Head) {
    running::with(|running| running.limits().set(head));
}

/// Runs `f`; its waits end at `at`, which makes them fail with the id that `f` is given.
pub(crate) fn with_timeout<T>(at: Instant, f: impl FnOnce(TimeoutId) -> T) -> T {
    let id = TimeoutId(LAST_ID.get() + 1);
    LAST_ID.set(id.0);
    enclose(Kind::Timeout(id, at), || f(id))
}

/// Runs `f`; nothing outside ends its waits.
pub(crate) fn with_shield<T>(f: impl FnOnce() -> T) -> T {
    enclose(Kind::Shield, f)
}

/// Runs `f` under the limits of now, for a stack that cannot see that this one unwinds: what was set before that began must not end
/// its waits either, since that would raise a panic in a destructor.
#[cold]
pub(crate) fn while_unwinding<T>(f: impl FnOnce() -> T) -> T {
    let Limits { timeout, shielded } = Limits::now();
    debug_assert!(shielded, "to be called while the stack unwinds");
    with_shield(|| match timeout {
        Some((at, id)) => enclose(Kind::Timeout(id, at), f),
        None => f(),
    })
}

/// Runs `body` at the bottom of a fiber's stack; its waits are bound by the frames that `of` leads to at the time of each.
///
/// # Safety
///
/// `of` must stay valid until this returns or unwinds. Whenever `body` runs, each origin that `of` leads to must be valid,
/// and its head null or the innermost frame of a stack that is suspended, or beneath `body`'s.
pub(crate) unsafe fn inherit<T>(of: *const Cell<*const Origin>, body: impl FnOnce() -> T) -> T {
    enclose(Kind::Link(of), body)
}

fn enclose<T>(kind: Kind, f: impl FnOnce() -> T) -> T {
    struct Unlink<'a>(Pin<&'a Frame>);
    impl Drop for Unlink<'_> {
        fn drop(&mut self) {
            debug_assert!(ptr::eq(head(), &*self.0), "a frame of limits was left out of order");
            set_head(self.0.outer.get());
        }
    }
    let frame = core::pin::pin!(Frame {
        kind,
        outer: Cell::new(head()),
        unwindings: if std::thread::panicking() { panic_count::depth() } else { 0 },
        _pinned: PhantomPinned,
    });
    set_head(&raw const *frame);
    let _unlink = Unlink(frame.as_ref());
    f()
}
