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
    Mutant {
        name: "end_publishes_nothing",
        source: "completion",
        model: "join",
        original: "self.done.store(true, Ordering::Release);",
        mistake: "self.done.store(true, Ordering::Relaxed);",
    },
    Mutant {
        name: "join_does_not_look_again",
        source: "completion",
        model: "join",
        original: "                if self.is_done() {
                    return Ok(Wake::Unparked);
                }
                joiners.push",
        mistake: "                joiners.push",
    },
    Mutant {
        name: "end_wakes_one_joiner",
        source: "completion",
        model: "join",
        original: "while let Some(joiner) = joiners.pop()",
        mistake: "if let Some(joiner) = joiners.pop()",
    },
    Mutant {
        name: "unpark_publishes_nothing",
        source: "permit",
        model: "park",
        original: "self.given.swap(true, Ordering::Release);",
        mistake: "self.given.swap(true, Ordering::Relaxed);",
    },
    Mutant {
        name: "second_unpark_hides_the_first",
        source: "permit",
        model: "park",
        original: "self.given.swap(true, Ordering::Release);",
        mistake: "self.given.store(true, Ordering::Release);",
    },
    Mutant {
        name: "permit_stays",
        source: "permit",
        model: "park",
        original: "self.given.load(Ordering::Relaxed) && self.given.swap(false, Ordering::Acquire)",
        mistake: "self.given.load(Ordering::Acquire)",
    },
    Mutant {
        name: "killed_waiter_keeps_its_permit",
        source: "sync/semaphore",
        model: "semaphore_kill",
        original: "return outcome.map(|_| Some(permit));",
        mistake: "let permit = core::mem::ManuallyDrop::new(permit);
            return outcome.map(|_| Some(core::mem::ManuallyDrop::into_inner(permit)));",
    },
    Mutant {
        name: "killed_waiter_stays_in_the_queue",
        source: "sync/semaphore",
        model: "semaphore_kill",
        original: "if state.waiters.remove(ticket) {",
        mistake: "if state.waiters.contains(ticket) {",
    },
    Mutant {
        name: "semaphore_takes_any_wake_up_for_a_permit",
        source: "sync/semaphore",
        model: "semaphore_timeout",
        original: "if state.waiters.contains(ticket) {
                    continue;
                }",
        mistake: "",
    },
    Mutant {
        name: "late_waiter_loses_its_permit",
        source: "sync/semaphore",
        model: "semaphore_timeout",
        original: "return outcome.map(|_| Some(permit));",
        mistake: "core::mem::forget(permit);
            return outcome.map(|_| None);",
    },
];
