//! What stacks keep to. Tests that need a process of their own run this executable again, with the name of one test.

use super::arena::{Way, guard_at};
use super::cache::kept;
use super::depot::Depot;
use super::*;
use crate::fiber::{Fiber, State};
use crate::sys::memory;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Output};
use std::sync::mpsc;

/// Set in a child process, to what the test asks of it.
const CHILD: &str = "OSIER_STACK_TEST";

/// Runs the test of this name again in a process of its own, where [`child`] gives `what`.
fn run_child(test: &str, what: &str) -> Output {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", &format!("stack::tests::{test}"), "--nocapture", "--test-threads=1"]);
    command.env(CHILD, what).output().unwrap()
}

/// What this process was started for; `None` in the test run itself.
fn child() -> Option<String> {
    std::env::var(CHILD).ok()
}

fn assert_succeeds(test: &str) {
    let output = run_child(test, "run");
    assert!(output.status.success(), "{output:?}");
}

/// A class that no other test uses, so that its depot and lists are this test's alone.
fn class_of_one_test(log2: u32) -> (Class, usize) {
    let class = Class { log2 };
    (class, class.size())
}

fn top_byte(stack: &Stack) -> *mut u8 {
    (stack.base.get() - 1) as *mut u8
}

/// How many pages of the range have memory behind them.
fn touched_pages(start: usize, bytes: usize) -> usize {
    let mut pages = vec![0_u8; bytes / PAGE];
    // SAFETY: the range is mapped, and `pages` has a byte for each page.
    let result = unsafe { libc::mincore(start as *mut _, bytes, pages.as_mut_ptr()) };
    assert_eq!(result, 0);
    pages.iter().filter(|page| **page & 1 != 0).count()
}

#[test]
fn sizes_round_up_to_classes() {
    for (asked, given) in [
        (0, MIN_SIZE),
        (1, MIN_SIZE),
        (MIN_SIZE, MIN_SIZE),
        (MIN_SIZE + 1, 2 * MIN_SIZE),
        (DEFAULT_SIZE - 1, DEFAULT_SIZE),
        (DEFAULT_SIZE, DEFAULT_SIZE),
        (DEFAULT_SIZE + 1, 2 * DEFAULT_SIZE),
        (MAX_SIZE, MAX_SIZE),
    ] {
        assert_eq!(Class::for_size(asked).unwrap().size(), given, "{asked} bytes asked for");
    }
    for absurd in [MAX_SIZE + 1, usize::MAX / 2 + 1, usize::MAX] {
        let error = acquire(absurd).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        assert!(error.to_string().contains(&absurd.to_string()), "{error}");
    }
}

#[test]
fn every_class_has_its_usable_bytes_and_knows_itself() {
    for index in 0..Class::COUNT {
        let class = Class::with_index(index);
        let mut depot = Depot::new(class, Way::Mark);
        // SAFETY: of the depot's class; never given back.
        let stack = unsafe { depot.take_cold().unwrap().into_stack(class) };
        assert_eq!(stack.class(), class);
        assert!(stack.base.get() - stack.limit.get() - GUARD >= class.size());
        assert_eq!(stack.base.get() % 64, 0);
        assert_eq!(stack.limit.get() % PAGE, 0);
        assert_eq!(Slot { base: stack.base }.limit(class), stack.limit.get());
        core::mem::forget(stack);
    }
}

#[test]
fn neighbours_have_different_colours_within_half_a_page() {
    let class = Class { log2: 14 };
    let mut depot = Depot::new(class, Way::Mark);
    let slots: Vec<Slot> = (0..64).map(|_| depot.take_cold().unwrap()).collect();
    for pair in slots.windows(2) {
        assert_ne!(pair[0].base.get() % PAGE, pair[1].base.get() % PAGE);
        assert!(pair[0].end() - pair[0].base.get() <= PAGE / 2);
    }
}

/// Guards of both ways fault, from the first byte to the last, and the bytes around them do not.
#[test]
fn guards_fault() {
    if let Some(what) = child() {
        let (way, byte) = what.split_once(' ').unwrap();
        let mut depot =
            Depot::new(Class { log2: 14 }, if way == "mark" { Way::Mark } else { Way::Protection });
        let slots = [depot.take_cold().unwrap(), depot.take_cold().unwrap()];
        let guard = slots[1].limit(Class { log2: 14 });
        let byte = match byte {
            "first" => guard,
            "last" => guard + GUARD - 1,
            "below" => guard - 1,
            "above" => guard + GUARD,
            other => panic!("{other}"),
        };
        // SAFETY: for "below" and "above", memory of the two stacks, which are ours; else the fault that is tested.
        unsafe { (byte as *mut u8).write_volatile(1) };
        std::process::exit(42);
    }
    for way in ["mark", "protection"] {
        for (byte, faults) in [("first", true), ("last", true), ("below", false), ("above", false)] {
            let output = run_child("guards_fault", &format!("{way} {byte}"));
            if faults {
                assert_eq!(output.status.signal(), Some(libc::SIGSEGV), "{way} {byte}: {output:?}");
            } else {
                assert_eq!(output.status.code(), Some(42), "{way} {byte}: {output:?}");
            }
        }
    }
}

#[test]
fn a_guard_survives_giving_pages_back() {
    if let Some(what) = child() {
        let class = Class { log2: 14 };
        let mut depot = Depot::new(class, if what == "mark" { Way::Mark } else { Way::Protection });
        let slots: Vec<Slot> = (0..100).map(|_| depot.take_cold().unwrap()).collect();
        slots.iter().for_each(|slot| depot.put(*slot));
        depot.trim();
        assert_eq!(depot.warm(), 0);
        // SAFETY: the fault that is tested.
        unsafe { ((slots[50].limit(class) + GUARD - 1) as *mut u8).write_volatile(1) };
        std::process::exit(42);
    }
    for way in ["mark", "protection"] {
        let output = run_child("a_guard_survives_giving_pages_back", way);
        assert_eq!(output.status.signal(), Some(libc::SIGSEGV), "{way}: {output:?}");
    }
}

/// What the choice at run time stands on: a mapping that refuses marks gets the other kind of guard.
#[test]
fn refused_marks_fall_back_to_protection() {
    let class = Class { log2: 14 };
    let mut uncut = arena::Uncut::map(class, 4).unwrap();
    let mut way = Way::Mark;
    let first = uncut.cut(class, &mut way).unwrap().unwrap();
    // Locked memory refuses marks, also where the kernel has them.
    // SAFETY: memory of the arena; locking changes no content.
    let locked = unsafe { libc::mlock(first.end() as *const _, 3 * class.spacing()) };
    assert_eq!(locked, 0, "{}", io::Error::last_os_error());
    let second = uncut.cut(class, &mut way).unwrap().unwrap();
    assert_eq!(way, Way::Protection);
    assert_eq!(
        guard_at(second.limit(class)),
        Some(arena::Guarded { limit: second.limit(class), size: class.size() })
    );
    // SAFETY: unlocks what was locked.
    unsafe { libc::munlock(first.end() as *const _, 3 * class.spacing()) };
}

#[test]
fn the_last_dropped_is_acquired_first() {
    let (_, size) = class_of_one_test(24);
    let stacks: Vec<Stack> = (0..4).map(|_| acquire(size).unwrap()).collect();
    let bases: Vec<_> = stacks.iter().map(|stack| stack.base).collect();
    stacks.into_iter().for_each(drop);
    let again: Vec<Stack> = (0..4).map(|_| acquire(size).unwrap()).collect();
    assert!(again.iter().map(|stack| stack.base).eq(bases.into_iter().rev()));
}

/// Through spills and refills no stack is lost and none is given twice, and the order stays last in first out.
#[test]
fn the_order_stays_through_the_depot() {
    let (class, size) = class_of_one_test(23);
    let count = 15; // the list holds 4, the depot keeps 32 warm
    let stacks: Vec<Stack> = (0..count).map(|_| acquire(size).unwrap()).collect();
    let bases: Vec<_> = stacks.iter().map(|stack| stack.base).collect();
    stacks.into_iter().for_each(drop);
    assert!(depot::of(class).warm() >= count - 4);
    let again: Vec<Stack> = (0..count).map(|_| acquire(size).unwrap()).collect();
    assert!(again.iter().map(|stack| stack.base).eq(bases.into_iter().rev()));
    assert_eq!(depot::of(class).warm(), 0);
}

#[test]
fn a_stack_dropped_on_another_os_thread_is_used_again_there() {
    let (_, size) = class_of_one_test(25);
    let stack = acquire(size).unwrap();
    let base = stack.base;
    struct Sent(Stack);
    let sent = Sent(stack);
    let there = std::thread::spawn(move || {
        let Sent(stack) = sent;
        drop(stack);
        acquire(size).unwrap().base
    });
    assert_eq!(there.join().unwrap(), base);
    // The OS thread has ended, and its cached stack has gone to the depot.
    assert_eq!(acquire(size).unwrap().base, base);
}

#[test]
fn stacks_dropped_while_thread_locals_are_destroyed_are_kept() {
    use std::cell::RefCell;
    thread_local! { static HELD: RefCell<Vec<Stack>> = const { RefCell::new(Vec::new()) } }
    let (class, size) = class_of_one_test(26);
    let on_os_thread = move |before| {
        // Destructors run in the order in which std registered them. In one round this comes before the cache, in the other after it.
        if before {
            HELD.with_borrow_mut(|held| held.reserve(3));
        }
        let stacks = [acquire(size).unwrap(), acquire(size).unwrap(), acquire(size).unwrap()];
        HELD.with_borrow_mut(|held| held.extend(stacks));
    };
    for before in [true, false] {
        std::thread::spawn(move || on_os_thread(before)).join().unwrap();
        assert_eq!(depot::of(class).warm(), 3);
    }
    assert_eq!(depot::of(class).warm(), 3);
}

/// In a process of its own, since other tests use stacks meanwhile.
#[test]
fn counts_return_to_the_baseline() {
    if child().is_none() {
        return assert_succeeds("counts_return_to_the_baseline");
    }
    let before = stats();
    assert_eq!((before.in_use, before.leaked), (0, 0));
    let stacks: Vec<Stack> = (0..100).map(|_| acquire(DEFAULT_SIZE).unwrap()).collect();
    assert_eq!((stats().in_use, stats().pooled), (100, 0));
    assert!(stats().mapped_bytes >= 100 * DEFAULT_SIZE);
    struct Sent(Vec<Stack>);
    let sent = Sent(stacks);
    let (done, wait) = mpsc::channel::<()>();
    let (report, reported) = mpsc::channel();
    let there = std::thread::spawn(move || {
        let Sent(stacks) = sent;
        drop(stacks);
        report.send(()).unwrap();
        let _ = wait.recv();
    });
    reported.recv().unwrap();
    assert_eq!((stats().in_use, stats().pooled), (0, 100), "dropped by an OS thread that still runs");
    drop(done);
    there.join().unwrap();
    assert_eq!((stats().in_use, stats().pooled), (0, 100), "and after its end");
    core::mem::forget(acquire(DEFAULT_SIZE).unwrap());
    count_leak();
    assert_eq!((stats().in_use, stats().pooled, stats().leaked), (0, 99, 1));
}

/// Many idle neighbours cease to exist in a trim; cut again, they have guards again, of either kind.
#[test]
fn stacks_cut_again_are_guarded_again() {
    if let Some(what) = child() {
        let (way, access) = what.split_once(' ').unwrap();
        let class = Class { log2: 24 };
        let mut depot = Depot::new(class, if way == "mark" { Way::Mark } else { Way::Protection });
        let slots: Vec<Slot> = (0..64).map(|_| depot.take_cold().unwrap()).collect();
        slots.iter().for_each(|slot| depot.put(*slot));
        depot.trim();
        let guard_of = |slot: &Slot| slot.limit(class) as *mut u8;
        if access == "uncut" {
            let guard = guard_of(&slots[63]);
            // SAFETY: address space of the arena that is no stack now; without a guard, it can be read.
            unsafe { guard.read_volatile() };
            std::process::exit(42);
        }
        let again: Vec<Slot> = slots.iter().map(|_| depot.take_cold().unwrap()).collect();
        for slot in &again {
            // SAFETY: the stack's own memory.
            unsafe { ((slot.base.get() - 1) as *mut u8).write_volatile(1) };
        }
        let index = access.parse::<usize>().unwrap();
        // SAFETY: the fault that is tested.
        unsafe { guard_of(&again[index]).write_volatile(1) };
        std::process::exit(42);
    }
    for way in ["mark", "protection"] {
        let output = run_child("stacks_cut_again_are_guarded_again", &format!("{way} uncut"));
        assert_eq!(output.status.code(), Some(42), "{way}: {output:?}");
        for index in [0, 31, 63] {
            let output = run_child("stacks_cut_again_are_guarded_again", &format!("{way} {index}"));
            assert_eq!(output.status.signal(), Some(libc::SIGSEGV), "{way}: {output:?}");
        }
    }
}

/// A trim keeps track of every stack, those that cease to exist and those between others that are in use.
#[test]
fn a_trim_loses_no_stack() {
    let class = Class { log2: 24 };
    let mut depot = Depot::new(class, Way::Mark);
    let slots: Vec<Slot> = (0..64).map(|_| depot.take_cold().unwrap()).collect();
    // Runs of 10, 39 and 13 idle stacks, of which the second is long enough to be cut again.
    let (held, idle): (Vec<_>, Vec<_>) =
        slots.iter().enumerate().partition(|(index, _)| [10, 50].contains(index));
    for _ in 0..3 {
        idle.iter().for_each(|(_, slot)| depot.put(**slot));
        depot.trim();
        let ends = |slots: &mut dyn Iterator<Item = Slot>| {
            slots.map(Slot::end).collect::<std::collections::BTreeSet<_>>()
        };
        let again = ends(&mut idle.iter().map(|_| depot.take_cold().unwrap()));
        assert!(again == ends(&mut idle.iter().map(|(_, slot)| **slot)));
    }
    assert_eq!(held.len(), 2);
}

/// Above the bound pages go back by themselves, and `trim` gives back nearly all the others.
#[test]
fn idle_pages_are_bounded_and_given_back() {
    for way in [Way::Mark, Way::Protection] {
        let class = Class { log2: 20 };
        let mut depot = Depot::new(class, way);
        let bound = depot.warm_bound();
        let slots: Vec<Slot> = (0..3 * bound).map(|_| depot.take_cold().unwrap()).collect();
        let touched = |slots: &[Slot]| -> usize {
            slots.iter().map(|slot| touched_pages(slot.limit(class) + GUARD, class.spacing() - GUARD)).sum()
        };
        for slot in &slots {
            for page in 1..=3 {
                // SAFETY: within the stack, which is ours.
                unsafe { ((slot.base.get() - page * PAGE) as *mut u8).write_volatile(1) };
            }
        }
        let per_stack = touched(&slots) / slots.len();
        assert!((3..=4).contains(&per_stack), "{per_stack}");
        slots.iter().for_each(|slot| depot.put(*slot));
        assert_eq!(depot.warm(), slots.len());
        assert!(depot.warm() - depot.tops() <= bound);
        assert!(touched(&slots) <= bound * 4 + depot.tops() * 2);
        depot.trim();
        assert_eq!(depot.warm(), 0);
        assert_eq!(touched(&slots), 0);
        // All of them are still there, each once; their colours may have changed.
        let places = |slots: &[Slot]| {
            let mut ends: Vec<usize> = slots.iter().map(|slot| slot.end()).collect();
            ends.sort();
            ends
        };
        let again: Vec<Slot> = slots.iter().map(|_| depot.take_cold().unwrap()).collect();
        assert!(places(&again) == places(&slots));
    }
}

/// Those that keep their top only are bounded as well, and the count of them is right whoever goes.
#[test]
fn idle_tops_are_bounded() {
    let class = Class { log2: Class::MIN_LOG2 };
    // Guards that are mappings are too few for this.
    let mut depot = Depot::new(class, Way::Mark);
    let count = Depot::MOST_TOPS + 2 * depot.warm_bound();
    let slots: Vec<Slot> = (0..count).map_while(|_| depot.take_cold().ok()).collect();
    for slot in &slots {
        // SAFETY: the top word of the stack, which is ours.
        unsafe { ((slot.base.get() - 8) as *mut u64).write_volatile(1) };
        depot.put(*slot);
        assert!(depot.tops() <= Depot::MOST_TOPS);
        assert!(depot.warm() - depot.tops() <= depot.warm_bound());
    }
    if slots.len() == count {
        assert!(depot.warm() < count, "some were given back");
    }
    let tops = depot.tops();
    assert!(tops > 0);
    let warm: Vec<Slot> = (0..depot.warm()).map(|_| depot.take_warm().unwrap()).collect();
    assert_eq!((depot.warm(), depot.tops()), (0, 0));
    let touched = |slot: &Slot| touched_pages(slot.limit(class) + GUARD, class.spacing() - GUARD);
    assert!(warm.iter().all(|slot| touched(slot) == 1));
    warm.iter().rev().for_each(|slot| depot.put(*slot));
    depot.trim();
    assert_eq!((depot.warm(), depot.tops()), (0, 0));
    assert!(slots.iter().all(|slot| touched(slot) == 0));
}

#[test]
fn trim_empties_this_os_threads_cache_too() {
    if child().is_none() {
        return assert_succeeds("trim_empties_this_os_threads_cache_too");
    }
    assert!(!has_idle_pages());
    let stacks: Vec<Stack> = (0..200).map(|_| acquire(DEFAULT_SIZE).unwrap()).collect();
    // SAFETY: top bytes of stacks that are ours.
    stacks.iter().for_each(|stack| unsafe { top_byte(stack).write_volatile(1) });
    let ranges: Vec<_> = stacks.iter().map(|stack| (stack.limit() + GUARD, DEFAULT_SIZE)).collect();
    drop(stacks);
    assert!(has_idle_pages());
    trim();
    assert!(!has_idle_pages());
    let touched: usize = ranges.iter().map(|(start, bytes)| touched_pages(*start, bytes + PAGE)).sum();
    assert_eq!(touched, kept(Class { log2: DEFAULT_SIZE.ilog2() }) as usize);
}

/// A small address space, then one full of mappings: both give errors, and a stack dropped serves the next one.
#[test]
fn exhaustion_is_an_error() {
    match child().as_deref() {
        None => {
            for what in ["address space", "mappings"] {
                let output = run_child("exhaustion_is_an_error", what);
                assert!(output.status.success(), "{what}: {output:?}");
            }
        }
        Some("address space") => {
            let limit = libc::rlimit { rlim_cur: 1 << 30, rlim_max: 1 << 30 };
            // SAFETY: a valid limit.
            assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_AS, &limit) }, 0);
            let mut stacks = Vec::with_capacity(10_000);
            let error = loop {
                match acquire(DEFAULT_SIZE) {
                    Ok(stack) => stacks.push(stack),
                    Err(error) => break error,
                }
            };
            assert_eq!(error.kind(), io::ErrorKind::OutOfMemory);
            // All the address space that was left went to stacks, not just the largest doubling.
            assert!(stacks.len() > 3_000, "{}", stacks.len());
            stacks.pop();
            assert!(acquire(DEFAULT_SIZE).is_ok());
            assert_eq!(acquire(MAX_SIZE).unwrap_err().kind(), io::ErrorKind::OutOfMemory);
        }
        Some(_) => {
            // Some machines allow nearly any number; then there is nothing to run out of.
            let most = std::fs::read_to_string("/proc/sys/vm/max_map_count").unwrap();
            let most = most.trim().parse::<usize>().unwrap();
            if most < 2_000_000 {
                exhaust_mappings(most);
            }
        }
    }
}

fn exhaust_mappings(most: usize) {
    let class = Class { log2: 14 };
    let mut depot = Depot::new(class, Way::Protection);
    let mut slots = Vec::with_capacity(most);
    let error = loop {
        match depot.take_cold() {
            Ok(slot) => slots.push(slot),
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), io::ErrorKind::OutOfMemory);
    assert!(slots.len() > most / 3, "{}", slots.len());
    depot.put(slots.pop().unwrap());
    assert!(depot.take_warm().is_some());
}

/// The hundred thousand: all guarded, few mappings, one touched page each; and all of it given back.
#[test]
fn a_hundred_thousand_parked_fibers() {
    if child().is_none() {
        return assert_succeeds("a_hundred_thousand_parked_fibers");
    }
    const COUNT: usize = 100_000;
    let mappings = || std::fs::read_to_string("/proc/self/maps").unwrap().lines().count();
    let mapped_before = mappings();
    let mut parked = Vec::new();
    for _ in 0..COUNT {
        let stack = acquire(DEFAULT_SIZE).unwrap();
        let guard = stack.limit();
        // SAFETY: `suspend` is called by the body.
        let mut fiber = Fiber::new(stack, |suspender| unsafe { suspender.suspend() });
        assert_eq!(fiber.resume(), State::Suspended);
        parked.push((guard, fiber));
    }
    assert_eq!(stats().in_use, COUNT);
    assert!(parked.iter().all(|(guard, _)| guard_at(*guard).is_some_and(|stack| stack.limit == *guard)));
    let more = mappings() - mapped_before;
    // SAFETY: a probe of a fresh mapping of its own, never used for anything else.
    let marks = memory::reserve(PAGE).is_ok_and(|page| unsafe { memory::guard_by_mark(page, PAGE) }.is_ok());
    assert!(!marks || more < 100, "{more} mappings");
    let (guards, fibers): (Vec<usize>, Vec<Fiber>) = parked.into_iter().unzip();
    let touched =
        || -> usize { guards.iter().map(|guard| touched_pages(guard + GUARD, DEFAULT_SIZE + PAGE)).sum() };
    let at_most = touched();
    assert!(at_most <= 2 * COUNT, "{at_most}");
    for mut fiber in fibers {
        assert_eq!(fiber.resume(), State::Finished);
        drop(fiber.into_stack());
    }
    assert_eq!((stats().in_use, stats().pooled), (0, COUNT));
    assert!(touched() <= 2 * (1024 + 64 + Depot::MOST_TOPS), "{} touched pages are kept", touched());
    trim();
    assert!(touched() <= 2 * kept(Class { log2: DEFAULT_SIZE.ilog2() }) as usize);
    // Nearly all of them have lost their guards and become address space again; the few that have not are still guarded.
    assert!(stats().pooled < COUNT / 50, "{:?}", stats());
    let mapped = stats().mapped_bytes;
    let again: Vec<Stack> = (0..COUNT).map(|_| acquire(DEFAULT_SIZE).unwrap()).collect();
    assert_eq!((stats().in_use, stats().mapped_bytes), (COUNT, mapped));
    let mut bases: Vec<_> = again.iter().map(|stack| stack.limit()).collect();
    bases.sort();
    bases.dedup();
    assert_eq!(bases.len(), COUNT);
}
