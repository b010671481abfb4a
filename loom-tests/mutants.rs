//! The mutants: each is one exact substitution in a shipped source, which one model must notice.
//!
//! The build script makes them from this table, and fails if a text does not occur exactly once.

/// A source with one mistake in it.
pub(crate) struct Mutant {
    /// Its name: the module that holds it.
    pub(crate) name: &'static str,
    /// The shipped source, without `.rs`, below `runtime/src`.
    pub(crate) source: &'static str,
    /// The model that must notice, the name of a file below `src/models`.
    pub(crate) model: &'static str,
    /// What stands in the source, exactly once.
    pub(crate) original: &'static str,
    /// What stands there instead.
    pub(crate) mistake: &'static str,
}

/// All of them.
pub(crate) const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "push_publishes_nothing",
        source: "inbox",
        model: "inbox_order",
        original: "compare_exchange_weak(head, item, Ordering::AcqRel, Ordering::Acquire)",
        mistake: "compare_exchange_weak(head, item, Ordering::Relaxed, Ordering::Relaxed)",
    },
    Mutant {
        name: "take_does_not_turn_the_list_round",
        source: "inbox",
        model: "inbox_order",
        original: "while !head.is_null() {",
        mistake: "reversed = head;
        while false {",
    },
    Mutant {
        name: "repeated_push_publishes_nothing",
        source: "inbox",
        model: "inbox_repeat",
        original: "queued.swap(true, Ordering::AcqRel)",
        mistake: "queued.swap(true, Ordering::Acquire)",
    },
    Mutant {
        name: "drain_does_not_acquire_repeated_pushes",
        source: "inbox",
        model: "inbox_repeat",
        original: "item.link().queued.swap(false, Ordering::AcqRel);",
        mistake: "item.link().queued.store(false, Ordering::Release);",
    },
    Mutant {
        name: "queued_stays_set",
        source: "inbox",
        model: "inbox_repeat",
        original: "item.link().queued.swap(false, Ordering::AcqRel);",
        mistake: "item.link().queued.swap(true, Ordering::AcqRel);",
    },
    Mutant {
        name: "push_does_not_tell_to_wake",
        source: "inbox",
        model: "inbox_sleep",
        original: "Ok(_) if head == sleeping() => return Push::MustWake,",
        mistake: "Ok(_) if head == sleeping() => return Push::Done,",
    },
    Mutant {
        name: "every_push_tells_to_wake",
        source: "inbox",
        model: "inbox_sleep",
        original: "Ok(_) if head == sleeping() => return Push::MustWake,",
        mistake: "Ok(_) if head == sleeping() || !head.is_null() => return Push::MustWake,",
    },
    Mutant {
        name: "sleep_does_not_look",
        source: "inbox",
        model: "inbox_sleep",
        original: "match self.head.compare_exchange(ptr::null_mut(), sleeping(), Ordering::Release, Ordering::Relaxed) {",
        mistake: "match Ok::<*mut T, *mut T>(self.head.swap(sleeping(), Ordering::Release)) {",
    },
    Mutant {
        name: "close_publishes_nothing",
        source: "inbox",
        model: "inbox_close",
        original: "self.head.swap(leave, Ordering::AcqRel)",
        mistake: "self.head.swap(leave, Ordering::Acquire)",
    },
    Mutant {
        name: "refused_item_leaks",
        source: "inbox",
        model: "inbox_close",
        original: "let item = unsafe { Arc::from_raw(item) };",
        mistake: "let item = unsafe { &*item };",
    },
    Mutant {
        name: "close_leaves_the_door_open",
        source: "inbox",
        model: "inbox_close",
        original: "    pub(crate) fn close(&self) -> Drain<T> {
        self.take(closed())",
        mistake: "    pub(crate) fn close(&self) -> Drain<T> {
        self.take(ptr::null_mut())",
    },
];
