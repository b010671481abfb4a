//! Mutants of what workers have to do with each other: stillness, the end of an entry, orders, kills.

use super::Mutant;

pub(crate) const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "workers_are_looked_at_once",
        source: "scheduler/stillness",
        model: "stillness_push",
        original: "look() == Some(first)",
        mistake: "true",
    },
    Mutant {
        name: "turn_publishes_nothing",
        source: "scheduler/stillness",
        model: "stillness_push",
        original: "self.turns.load(Ordering::Relaxed) + 1, Ordering::Release",
        mistake: "self.turns.load(Ordering::Relaxed) + 1, Ordering::Relaxed",
    },
    Mutant {
        name: "turn_is_seen_without_its_pushes",
        source: "scheduler/stillness",
        model: "stillness_push",
        original: "self.turns.load(Ordering::Acquire)",
        mistake: "self.turns.load(Ordering::Relaxed)",
    },
    Mutant {
        name: "sleep_is_announced_without_a_fence",
        source: "scheduler/stillness",
        model: "stillness_push",
        original: "    // Pairs with itself, on other workers: of those that fall asleep, one sees all others asleep. And with the fence in `has_ended`.
    fence(Ordering::SeqCst);",
        mistake: "",
    },
    Mutant {
        name: "known_stillness_is_all_that_is_told",
        source: "scheduler/stillness",
        model: "stillness_push",
        original: "turns != self.noticed()",
        mistake: "turns == self.noticed()",
    },
    Mutant {
        name: "robber_stays_announced",
        source: "inbox",
        model: "stillness_theft",
        original: "        self.take(ptr::null_mut())
",
        mistake: "        self.take(sleeping())
",
    },
    Mutant {
        name: "turns_of_thefts_are_not_compared",
        source: "scheduler/stillness",
        model: "stillness_theft",
        original: "look() == Some(first)",
        mistake: "look().is_some()",
    },
    Mutant {
        name: "injected_ones_are_looked_at_last",
        source: "scheduler/stillness",
        model: "stillness_injected",
        original: "none_injected() && look() == Some(first)",
        mistake: "look() == Some(first) && none_injected()",
    },
    Mutant {
        name: "taking_publishes_nothing",
        source: "scheduler/theft",
        model: "stillness_injected",
        original: "self.count.store(line.filled, Ordering::Release)",
        mistake: "self.count.store(line.filled, Ordering::Relaxed)",
    },
    Mutant {
        name: "taking_is_not_acquired",
        source: "scheduler/theft",
        model: "stillness_injected",
        original: "self.count.load(Ordering::Acquire)",
        mistake: "self.count.load(Ordering::Relaxed)",
    },
    Mutant {
        name: "reports_hold_whoever_has_come",
        source: "scheduler/stillness",
        model: "stillness_injected",
        original: "none_injected()
        && reported.all",
        mistake: "reported.all",
    },
    Mutant {
        name: "reports_hold_whatever_has_run",
        source: "scheduler/stillness",
        model: "stillness_injected",
        original: "worker.is_asleep() && worker.pulse().turns() == turns",
        mistake: "worker.is_asleep()",
    },
    Mutant {
        name: "what_has_come_is_looked_at_before_who_is_there",
        source: "scheduler/stillness",
        model: "stillness_outside",
        original: "let pool = idle()?;",
        mistake: "let pool = idle()?;
    let was_still = still();
    let still = || was_still;",
    },
    Mutant {
        name: "pool_is_counted_once",
        source: "scheduler/stillness",
        model: "stillness_outside",
        original: "if idle() != Some(pool) {",
        mistake: "if false {",
    },
    Mutant {
        name: "who_has_ended_has_left_nothing",
        source: "scheduler/stillness",
        model: "stillness_outside",
        original: "    // Pairs with the end of an OS thread, as the kernel makes it known: what one has brought that was not counted any more is seen now.
    fence(Ordering::SeqCst);",
        mistake: "",
    },
    Mutant {
        name: "end_is_looked_at_without_a_fence",
        source: "scheduler/stillness",
        model: "entry_end",
        original: "        // Pairs with the fence in `announced`: of two workers that were done at the same time, one sees both; and either that one
        // sees that it is to tell of it, or worker 0 sees whom it has counted as done.
        fence(Ordering::SeqCst);",
        mistake: "",
    },
    Mutant {
        name: "last_one_is_done_without_a_fence",
        source: "scheduler/stillness",
        model: "entry_end",
        original: "    // Pairs with itself, on other workers: of those that fall asleep, one sees all others asleep. And with the fence in `has_ended`.
    fence(Ordering::SeqCst);",
        mistake: "",
    },
    Mutant {
        name: "end_is_not_told",
        source: "scheduler/stillness",
        model: "entry_end",
        original: "end || still() || stuck()",
        mistake: "still() || stuck()",
    },
    Mutant {
        name: "seal_is_not_looked_at",
        source: "scheduler/tally",
        model: "entry_end",
        original: "!self.is_closed()",
        mistake: "true",
    },
    Mutant {
        name: "seal_closes_without_a_fence",
        source: "scheduler/tally",
        model: "seal",
        original: "        // Pairs with the fence in `admits`.
        fence(Ordering::SeqCst);",
        mistake: "",
    },
    Mutant {
        name: "seal_is_looked_at_without_a_fence",
        source: "scheduler/tally",
        model: "seal",
        original: "        // Pairs with the fence in `close`.
        fence(Ordering::SeqCst);",
        mistake: "",
    },
    Mutant {
        name: "births_are_counted_first",
        source: "scheduler/tally",
        model: "tally_live",
        original: "        let done: usize = workers.clone().map(|tally| tally.done.load(Ordering::Acquire)).sum();
        let born: usize = workers.map(|tally| tally.born.load(Ordering::Acquire)).sum();
",
        mistake: "        let born: usize = workers.clone().map(|tally| tally.born.load(Ordering::Acquire)).sum();
        let done: usize = workers.map(|tally| tally.done.load(Ordering::Acquire)).sum();
",
    },
    Mutant {
        name: "end_hides_a_birth",
        source: "scheduler/tally",
        model: "tally_live",
        original: "self.done.load(Ordering::Relaxed) + 1, Ordering::Release",
        mistake: "self.done.load(Ordering::Relaxed) + 1, Ordering::Relaxed",
    },
    Mutant {
        name: "end_is_seen_without_births",
        source: "scheduler/tally",
        model: "tally_live",
        original: "tally.done.load(Ordering::Acquire)",
        mistake: "tally.done.load(Ordering::Relaxed)",
    },
    Mutant {
        name: "first_leaves_without_a_fence",
        source: "scheduler/theft",
        model: "theft_away",
        original: "        // Pairs with the fence in `call_idle`: either worker 0 sees what was offered, or whoever has offered it sees this.
        fence(Ordering::SeqCst);",
        mistake: "",
    },
    Mutant {
        name: "who_is_away_is_looked_for_without_a_fence",
        source: "scheduler/theft",
        model: "theft_away",
        original: "// Pairs with the fences in `announce` and `withdraw`.
            fence(Ordering::SeqCst);",
        mistake: "",
    },
    Mutant {
        name: "order_publishes_nothing",
        source: "scheduler/orders",
        model: "orders_sleep",
        original: "self.bits.fetch_or(what, Ordering::Release)",
        mistake: "self.bits.fetch_or(what, Ordering::Relaxed)",
    },
    Mutant {
        name: "order_is_not_acquired",
        source: "scheduler/orders",
        model: "orders_sleep",
        original: "self.bits.swap(0, Ordering::Acquire)",
        mistake: "self.bits.swap(0, Ordering::Relaxed)",
    },
    Mutant {
        name: "order_hides_another",
        source: "scheduler/orders",
        model: "orders_sleep",
        original: "self.bits.fetch_or(what, Ordering::Release)",
        mistake: "self.bits.store(what, Ordering::Release)",
    },
    Mutant {
        name: "kill_publishes_nothing",
        source: "kill_mark",
        model: "kill_done",
        original: "self.killed.swap(true, Ordering::AcqRel)",
        mistake: "self.killed.swap(true, Ordering::Acquire)",
    },
    Mutant {
        name: "kill_is_not_acquired",
        source: "kill_mark",
        model: "kill_done",
        original: "self.killed.load(Ordering::Acquire)",
        mistake: "self.killed.load(Ordering::Relaxed)",
    },
    Mutant {
        name: "first_killer_tells_nobody",
        source: "kill_mark",
        model: "kill_done",
        original: "!self.killed.swap",
        mistake: "self.killed.swap",
    },
    Mutant {
        name: "killed_one_is_taken_without_a_fence",
        source: "scheduler/owner",
        model: "kill_done",
        original: "// Pairs with the fence in `after_mark`.
        fence(Ordering::SeqCst);",
        mistake: "",
    },
    Mutant {
        name: "word_says_awake_while_the_worker_sleeps",
        source: "scheduler/std_token",
        model: "std_token_still",
        original: "word.compare_exchange(EMPTY, PARKED, Ordering::Acquire, Ordering::Acquire).is_ok()",
        mistake: "word.load(Ordering::Acquire) == EMPTY",
    },
    Mutant {
        name: "token_is_overwritten_by_sleep",
        source: "scheduler/std_token",
        model: "std_token_still",
        original: "word.compare_exchange(EMPTY, PARKED, Ordering::Acquire, Ordering::Acquire).is_ok()",
        mistake: "word.swap(PARKED, Ordering::Acquire) != PARKED",
    },
    Mutant {
        name: "getting_up_publishes_nothing",
        source: "scheduler/std_token",
        model: "std_token_still",
        original: "word.compare_exchange(PARKED, EMPTY, Ordering::AcqRel, Ordering::Acquire)",
        mistake: "word.compare_exchange(PARKED, EMPTY, Ordering::Acquire, Ordering::Acquire)",
    },
];
