//! The mutants: each is one exact substitution in a shipped source, which one model must notice.
//!
//! The build script makes them from these tables, and fails if a text does not occur exactly once.

mod workers;

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
pub(crate) const MUTANTS: &[&[Mutant]] = &[REST, workers::MUTANTS];

/// Those that are not in a file of their own.
const REST: &[Mutant] = &[
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
    Mutant {
        name: "mutex_publishes_nothing",
        source: "sync/mutex_core",
        model: "mutex",
        original: "self.state.compare_exchange(LOCKED, 0, Ordering::Release, Ordering::Relaxed)",
        mistake: "self.state.compare_exchange(LOCKED, 0, Ordering::Relaxed, Ordering::Relaxed)",
    },
    Mutant {
        name: "mutex_sees_nothing",
        source: "sync/mutex_core",
        model: "mutex",
        original: "self.state.fetch_or(LOCKED, Ordering::Acquire)",
        mistake: "self.state.fetch_or(LOCKED, Ordering::Relaxed)",
    },
    Mutant {
        name: "unlock_for_a_woken_one_publishes_nothing",
        source: "sync/mutex_core",
        model: "mutex",
        original: "self.state.swap(WAITERS | WOKEN, Ordering::Release);",
        mistake: "self.state.swap(WAITERS | WOKEN, Ordering::Relaxed);",
    },
    Mutant {
        name: "unlock_wakes_nobody",
        source: "sync/mutex_core",
        model: "mutex",
        original: "drop(waiters);
        if let Some(next) = next {
            next.unpark();
        }
    }
}

/// Marks",
        mistake: "drop((waiters, next));
    }
}

/// Marks",
    },
    Mutant {
        name: "barging_is_not_noticed",
        source: "sync/mutex_core",
        model: "mutex",
        original: "if self.take_woken() {",
        mistake: "self.take_woken();
            if true {",
    },
    Mutant {
        name: "killed_owner_keeps_the_lock",
        source: "sync/mutex_core",
        model: "mutex_kill",
        original: "return ended.map(|_| true).inspect_err(|_| self.unlock());",
        mistake: "return ended.map(|_| true);",
    },
    Mutant {
        name: "killed_waiter_keeps_the_wake_up",
        source: "sync/mutex_core",
        model: "mutex_kill",
        original: "Some(first) if woken => next = wake(first),",
        mistake: "Some(first) if woken => next = wake(first).filter(|_| false),",
    },
    Mutant {
        name: "late_waiter_has_the_lock",
        source: "sync/mutex_core",
        model: "mutex_timeout",
        original: "return ended.map(|_| false);",
        mistake: "return ended.map(|_| true);",
    },
    Mutant {
        name: "late_waiter_keeps_the_wake_up",
        source: "sync/mutex_core",
        model: "mutex_timeout",
        original: "Some(first) if woken => next = wake(first),",
        mistake: "Some(first) if woken => next = wake(first).filter(|_| false),",
    },
    Mutant {
        name: "unlocked_before_it_waits",
        source: "sync/condvar_core",
        model: "condvar",
        original: "let (ticket, round) = {",
        mistake: "mutex.unlock();
        let (ticket, round) = {",
    },
    Mutant {
        name: "killed_one_keeps_the_notification",
        source: "sync/condvar_core",
        model: "condvar",
        original: "if locked.is_err() && ended != Ok(Wake::Deadline) {",
        mistake: "if false {",
    },
    Mutant {
        name: "late_one_stays_in_the_queue",
        source: "sync/condvar_core",
        model: "condvar_timeout",
        original: "} else if state.waiters.remove(ticket) {",
        mistake: "} else if state.waiters.contains(ticket) {",
    },
    Mutant {
        name: "last_sender_tells_nobody",
        source: "sync/channel",
        model: "channel_close",
        original: "state.senders -= 1;
        let left = state.left_waiting();",
        mistake: "state.senders -= 1;
        let left: Vec<Unparker> = Vec::new();",
    },
    Mutant {
        name: "it_is_over_while_a_message_is_promised",
        source: "sync/channel",
        model: "channel_kill",
        original: "self.senders == 0 && self.messages.is_empty()",
        mistake: "self.senders == 0",
    },
    Mutant {
        name: "receiver_is_over_at_once",
        source: "sync/channel",
        model: "channel_close",
        original: "if self.free() > 0
            && let Some(message) = self.pop()",
        mistake: "if self.free() > 0
            && self.senders > 0
            && let Some(message) = self.pop()",
    },
    Mutant {
        name: "senders_are_not_told_of_the_end",
        source: "sync/channel",
        model: "channel_hang_up",
        original: "waiting.iter().for_each(Unparker::unpark);",
        mistake: "drop(waiting);",
    },
    Mutant {
        name: "message_is_left_in_the_queue",
        source: "sync/channel",
        model: "channel_hang_up",
        original: "let messages = core::mem::take(&mut state.messages);",
        mistake: "core::mem::forget(core::mem::take(&mut state.messages));
        let messages = String::new();",
    },
    Mutant {
        name: "killed_receiver_keeps_the_message",
        source: "sync/channel",
        model: "channel_kill",
        original: "let next = if chosen { state.decline_promised() } else { None };",
        mistake: "let next = None;",
    },
    Mutant {
        name: "killed_receiver_stays_in_the_queue",
        source: "sync/channel",
        model: "channel_kill",
        original: "let chosen = !state.waiting_receivers.remove(ticket);",
        mistake: "let chosen = !state.waiting_receivers.contains(ticket);",
    },
    Mutant {
        name: "late_receiver_leaves_what_was_sent_to_it",
        source: "sync/channel",
        model: "channel_rendezvous",
        original: "Ok(_) if chosen => {",
        mistake: "Ok(Wake::Unparked) if chosen => {",
    },
    Mutant {
        name: "late_sender_leaves_its_message",
        source: "sync/channel",
        model: "channel_rendezvous",
        original: "(Ok(_), Some(message)) => Err(Unsent::Late(message)),",
        mistake: "(Ok(_), Some(_)) => Ok(()),",
    },
    Mutant {
        name: "any_wake_up_is_a_message",
        source: "sync/channel",
        model: "oneshot",
        original: "&& state.waiting_receivers.contains(ticket) {",
        mistake: "&& false {",
    },
    Mutant {
        name: "the_end_hides_the_message",
        source: "sync/channel",
        model: "oneshot",
        original: "Ok(_) if chosen => {",
        mistake: "Ok(_) if chosen && state.senders > 0 => {",
    },
    Mutant {
        name: "end_wakes_nobody",
        source: "sync/once_core",
        model: "once",
        original: "waiters.pop_all()",
        mistake: "Vec::<Unparker>::new()",
    },
    Mutant {
        name: "happening_publishes_nothing",
        source: "sync/once_core",
        model: "once",
        original: "self.state.store(state, Ordering::Release);",
        mistake: "self.state.store(state, Ordering::Relaxed);",
    },
    Mutant {
        name: "two_are_at_it",
        source: "sync/once_core",
        model: "once",
        original: "RUNNING => None,",
        mistake: "RUNNING => Some(Begin::Run { poisoned: false }),",
    },
    Mutant {
        name: "reader_publishes_nothing",
        source: "sync/rwlock_core",
        model: "rwlock",
        original: "self.state.fetch_sub(READER, Ordering::Release)",
        mistake: "self.state.fetch_sub(READER, Ordering::Relaxed)",
    },
    Mutant {
        name: "writer_publishes_nothing",
        source: "sync/rwlock_core",
        model: "rwlock",
        original: "self.state.fetch_sub(WRITER, Ordering::Release)",
        mistake: "self.state.fetch_sub(WRITER, Ordering::Relaxed)",
    },
    Mutant {
        name: "late_writer_serves_nobody",
        source: "sync/rwlock_core",
        model: "rwlock_timeout",
        original: "// Others may have waited for the sake of this one only.
                self.serve();",
        mistake: "",
    },
    Mutant {
        name: "reader_comes_in_beside_a_writer",
        source: "sync/rwlock_core",
        model: "rwlock",
        original: "(state & (WRITER | QUEUED) == 0).then_some(state + READER)",
        mistake: "(state & QUEUED == 0).then_some(state + READER)",
    },
    Mutant {
        name: "set_publishes_nothing",
        source: "sync/event",
        model: "event_set",
        original: "self.set.store(true, Ordering::Release);",
        mistake: "self.set.store(true, Ordering::Relaxed);",
    },
    Mutant {
        name: "waiter_does_not_look_again",
        source: "sync/event",
        model: "event_set",
        original: "            let mut waiters = lock(&self.waiters);
            if self.is_set() {
                return Ok(Wake::Unparked);
            }",
        mistake: "            let mut waiters = lock(&self.waiters);",
    },
    Mutant {
        name: "last_member_wakes_nobody",
        source: "sync/wait_group",
        model: "wait_group_leave",
        original: "while let Some(waiter) = state.waiters.pop() {",
        mistake: "while let Some(waiter) = None::<Unparker> {",
    },
    Mutant {
        name: "late_member_is_not_counted",
        source: "sync/wait_group",
        model: "wait_group_leave",
        original: "state.members += usize::from(outcome == Ok(Wake::Deadline));",
        mistake: "",
    },
    Mutant {
        name: "barrier_lets_pass_who_is_woken",
        source: "sync/barrier_core",
        model: "barrier",
        original: "if !waiters.contains(ticket) {",
        mistake: "if true {",
    },
    Mutant {
        name: "last_one_wakes_nobody",
        source: "sync/barrier_core",
        model: "barrier",
        original: "all.iter().for_each(Unparker::unpark);",
        mistake: "drop(all);",
    },
    Mutant {
        name: "caller_looks_before_the_os_thread_is_idle",
        source: "offload/pool",
        model: "offload_run",
        original: "about_to_be_idle();
                drop(place);
                caller.unpark();",
        mistake: "drop(place);
                about_to_be_idle();
                caller.unpark();",
    },
    Mutant {
        name: "idle_os_threads_are_not_told_of_the_end",
        source: "offload/pool",
        model: "offload_run",
        original: "self.shared.submitted.notify_all();",
        mistake: "",
    },
    Mutant {
        name: "os_thread_ends_with_a_call_in_the_queue",
        source: "offload/pool",
        model: "offload_timeout",
        original: "state.idle -= 1;
            if state.jobs.is_empty() {",
        mistake: "state.idle -= 1;
            if true {",
    },
    Mutant {
        name: "call_is_left_in_the_queue",
        source: "offload/pool",
        model: "offload_close",
        original: "unbegun.into_iter().for_each(scheduler::drop_quietly);",
        mistake: "core::mem::forget(unbegun);",
    },
    Mutant {
        name: "end_leaves_the_line_open",
        source: "scheduler/theft",
        model: "theft_once",
        original: "line.closed = true;",
        mistake: "line.closed = false;",
    },
    Mutant {
        name: "idler_announces_without_a_fence",
        source: "scheduler/theft",
        model: "theft_idle",
        original: "// Pairs with the fence in `call_idle`.
        fence(Ordering::SeqCst);",
        mistake: "",
    },
    Mutant {
        name: "caller_looks_without_a_fence",
        source: "scheduler/theft",
        model: "theft_idle",
        original: "// Pairs with the fences in `announce` and `withdraw`.
            fence(Ordering::SeqCst);",
        mistake: "",
    },
    Mutant {
        name: "idler_stays_called",
        source: "scheduler/theft",
        model: "theft_idle",
        original: "self.called.swap(false, Ordering::Relaxed);
        // Pairs",
        mistake: "// Pairs",
    },
    Mutant {
        name: "who_was_called_is_called_again",
        source: "scheduler/theft",
        model: "theft_idle",
        original: "if idle.load(Ordering::Relaxed) && idle.swap(false, Ordering::AcqRel) {",
        mistake: "if idle.load(Ordering::Relaxed) {
                    self.called.swap(false, Ordering::Relaxed);",
    },
    Mutant {
        name: "owner_settles_without_a_fence",
        source: "scheduler/owner",
        model: "owner_mark",
        original: "// Pairs with the fence in `after_mark`.
        fence(Ordering::SeqCst);",
        mistake: "",
    },
    Mutant {
        name: "marker_looks_without_a_fence",
        source: "scheduler/owner",
        model: "owner_mark",
        original: "// Pairs with the fence in `settle`.
            fence(Ordering::SeqCst);",
        mistake: "",
    },
    Mutant {
        name: "spawn_is_not_refused_at_the_end",
        source: "inbox",
        model: "spawn_at_the_end",
        original: "    pub(crate) fn close(&self) -> Drain<T> {
        self.take(closed())",
        mistake: "    pub(crate) fn close(&self) -> Drain<T> {
        self.take(ptr::null_mut())",
    },
];
