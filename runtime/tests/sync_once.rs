//! What happens once: `Once`, `OnceLock`, `LazyLock`. Who waits parks; a kill of the one who is at it leaves it to the next.

mod common;

use common::{LONG, MILLI, PATIENCE, check, check_with, message, panic_message};
use osier::Builder;
use osier::sync::{LazyLock, Once, OnceLock};
use osier::time::timeout;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

#[test]
fn they_are_written_as_std_writes_them() {
    let (ours, theirs) = (Once::new(), std::sync::Once::new());
    assert_eq!(format!("{ours:?}"), format!("{theirs:?}"));
    let (mut our_state, mut their_state) = (String::new(), String::new());
    ours.call_once_force(|state| our_state = format!("{state:?}"));
    theirs.call_once_force(|state| their_state = format!("{state:?}"));
    assert_eq!(our_state, their_state);
    let (ours, theirs) = (OnceLock::new(), std::sync::OnceLock::new());
    assert_eq!(format!("{ours:?}"), format!("{theirs:?}"));
    assert_eq!((ours.set(1), theirs.set(1)), (Ok(()), Ok(())));
    assert_eq!(format!("{ours:#?}"), format!("{theirs:#?}"));
    let (ours, theirs) = (LazyLock::new(|| 1), std::sync::LazyLock::new(|| 1));
    assert_eq!(format!("{ours:?}"), format!("{theirs:?}"));
    assert_eq!((*ours, *theirs), (1, 1));
    assert_eq!(format!("{ours:#?}"), format!("{theirs:#?}"));
}

#[test]
fn one_does_it_and_the_others_wait_while_a_neighbour_goes_on() {
    check(|| {
        let (once, cell) = (Rc::new(Once::new()), Rc::new(OnceLock::new()));
        let lazy = Rc::new(LazyLock::new(|| {
            osier::sleep(MILLI);
            7
        }));
        let rounds = Rc::new(AtomicUsize::new(0));
        let theirs = rounds.clone();
        let neighbour = osier::spawn_local(move || {
            loop {
                theirs.fetch_add(1, Ordering::Relaxed);
                osier::yield_now();
            }
        });
        let ran = Rc::new(AtomicUsize::new(0));
        let threads: Vec<_> = (0..5)
            .map(|n| {
                let (once, cell, lazy, ran) = (once.clone(), cell.clone(), lazy.clone(), ran.clone());
                osier::spawn_local(move || {
                    once.call_once(|| {
                        osier::sleep(MILLI);
                        ran.fetch_add(1, Ordering::Relaxed);
                    });
                    assert!(once.is_completed());
                    assert_eq!(ran.load(Ordering::Relaxed), 1);
                    let value = *cell.get_or_init(|| {
                        osier::sleep(MILLI);
                        n
                    });
                    assert_eq!(cell.set(n + 100), Err(n + 100));
                    assert_eq!(**lazy, 7);
                    value
                })
            })
            .collect();
        let theirs = (once.clone(), cell.clone());
        let waits = osier::spawn_local(move || {
            theirs.0.wait();
            *theirs.1.wait()
        });
        let values: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
        assert_eq!(values, [values[0]; 5]);
        assert_eq!(waits.join().unwrap(), values[0]);
        assert!(rounds.load(Ordering::Relaxed) > 3, "the neighbour has not gone on");
        neighbour.kill();
    });
}

/// The one who is at it is killed, or its time is over: the next waiter does it.
#[test]
fn a_kill_of_the_one_who_is_at_it_leaves_it_to_the_next() {
    check(|| {
        let (once, cell) = (Rc::new(Once::new()), Rc::new(OnceLock::new()));
        let theirs = once.clone();
        let killed = osier::spawn_local(move || theirs.call_once(|| osier::sleep(LONG)));
        let theirs = cell.clone();
        let late = osier::spawn_local(move || {
            timeout(5 * MILLI, || {
                theirs.get_or_init(|| {
                    osier::sleep(LONG);
                    1
                });
            })
            .unwrap_err();
        });
        osier::yield_now();
        let theirs = (once.clone(), cell.clone());
        let waits = osier::spawn_local(move || {
            theirs.0.wait();
            *theirs.1.wait()
        });
        let theirs = (once.clone(), cell.clone());
        let next = osier::spawn_local(move || {
            let mut ran = false;
            theirs.0.call_once(|| ran = true);
            (ran, *theirs.1.get_or_init(|| 2))
        });
        // A waiter that is killed takes nothing with it.
        let theirs = once.clone();
        let killed_too = osier::spawn_local(move || theirs.call_once(|| ()));
        osier::yield_now();
        killed_too.kill();
        killed.kill();
        killed.join().unwrap_err();
        killed_too.join().unwrap_err();
        assert_eq!(next.join_timeout(PATIENCE).unwrap().unwrap(), (true, 2));
        assert_eq!(waits.join_timeout(PATIENCE).unwrap().unwrap(), 2);
        late.join().unwrap();
        // One that had failed before has failed still.
        let once = Rc::new(Once::new());
        catch_unwind(AssertUnwindSafe(|| once.call_once(|| panic!("the first time")))).unwrap_err();
        let theirs = once.clone();
        let killed = osier::spawn_local(move || theirs.call_once_force(|_| osier::sleep(LONG)));
        osier::yield_now();
        killed.kill();
        killed.join().unwrap_err();
        once.call_once_force(|state| assert!(state.is_poisoned()));
    });
}

/// There is no other closure to make the value with, so the first one is not interrupted.
#[test]
fn a_kill_does_not_interrupt_the_closure_of_a_lazy_value() {
    check(|| {
        let lazy = Rc::new(LazyLock::new(|| {
            osier::sleep(MILLI);
            7
        }));
        let theirs = lazy.clone();
        let killed = osier::spawn_local(move || {
            let value = **theirs;
            osier::sleep(LONG);
            value
        });
        osier::yield_now();
        killed.kill();
        assert_eq!(**lazy, 7);
        killed.join().unwrap_err();
    });
}

#[test]
fn a_panic_poisons_or_leaves_empty() {
    check(|| {
        let once = Rc::new(Once::new());
        let theirs = once.clone();
        let panics = osier::spawn_local(move || {
            theirs.call_once(|| {
                osier::yield_now();
                panic!("the first time")
            });
        });
        let theirs = once.clone();
        let waits = osier::spawn_local(move || theirs.wait());
        let theirs = once.clone();
        let waits_on = osier::spawn_local(move || theirs.wait_force());
        let theirs = once.clone();
        let calls = osier::spawn_local(move || theirs.call_once(|| unreachable!()));
        assert_eq!(message(&*panics.join().unwrap_err()), "the first time");
        let poisoned = std::sync::Once::new();
        catch_unwind(AssertUnwindSafe(|| poisoned.call_once(|| panic!("as std")))).unwrap_err();
        let std = panic_message(|| poisoned.call_once(|| ()));
        assert_eq!(message(&*waits.join().unwrap_err()), std);
        assert_eq!(message(&*calls.join().unwrap_err()), std);
        assert!(!waits_on.is_finished() && !once.is_completed());
        once.call_once_force(|state| assert!(state.is_poisoned()));
        waits_on.join().unwrap();

        let cell = OnceLock::new();
        catch_unwind(AssertUnwindSafe(|| cell.get_or_init(|| panic!("no value")))).unwrap_err();
        assert_eq!(cell.get(), None);
        assert_eq!(*cell.get_or_init(|| 5), 5);

        let mut lazy: LazyLock<u8> = LazyLock::new(|| panic!("no value"));
        assert_eq!(panic_message(|| assert_eq!(*lazy, 0)), "no value");
        let std: std::sync::LazyLock<u8> = std::sync::LazyLock::new(|| panic!("no value"));
        catch_unwind(AssertUnwindSafe(|| *std)).unwrap_err();
        assert_eq!(panic_message(|| assert_eq!(*lazy, 0)), panic_message(|| assert_eq!(*std, 0)));
        assert_eq!(LazyLock::get(&lazy), None);
        panic_message(|| assert!(LazyLock::get_mut(&mut lazy).is_none()));
    });
}

#[test]
fn who_asks_for_itself_panics() {
    check(|| {
        let once = Once::new();
        let said = panic_message(|| once.call_once(|| once.call_once(|| ())));
        assert!(said.contains("asked for itself"), "{said}");
        let cell = OnceLock::new();
        let said = panic_message(|| {
            cell.get_or_init(|| *cell.get_or_init(|| 1));
        });
        assert!(said.contains("asked for itself"), "{said}");
        assert_eq!(cell.get(), None);
    });
    // On an OS thread, too.
    let once = Once::new();
    let said = panic_message(|| once.call_once(|| once.call_once(|| ())));
    assert!(said.contains("asked for itself"), "{said}");
}

#[test]
fn two_that_ask_for_each_other_are_a_deadlock() {
    check_with(Builder::new(), |runtime| {
        let cells: [Arc<OnceLock<u8>>; 2] = Default::default();
        let deadlock = runtime.try_run(|| {
            let make = |own: usize| {
                let (own, other) = (cells[own].clone(), cells[1 - own].clone());
                osier::spawn(move || {
                    own.get_or_init(|| {
                        osier::yield_now();
                        *other.get_or_init(|| 1)
                    });
                })
            };
            [make(0), make(1)].into_iter().for_each(|thread| thread.join().unwrap());
        });
        let deadlock = deadlock.unwrap_err();
        assert_eq!(deadlock.circle().count(), 2);
        assert!(deadlock.circle().all(|waiting| waiting.reason.contains("the `Once` at")), "{deadlock}");
        assert!(cells.iter().all(|cell| cell.get().is_none()));
    });
}

#[test]
fn values_can_be_changed_and_taken_by_one_who_has_them_alone() {
    let mut cell = OnceLock::from(1);
    *cell.get_mut().unwrap() += 1;
    assert_eq!(cell.clone(), cell);
    assert_eq!(cell.take(), Some(2));
    assert_eq!(cell, OnceLock::default());
    cell.set(3).unwrap();
    assert_eq!(cell.into_inner(), Some(3));
    let mut lazy = LazyLock::new(|| 1);
    assert_eq!(LazyLock::get_mut(&mut lazy), None);
    *lazy += 1;
    assert_eq!(LazyLock::get(&lazy), Some(&2));
    *LazyLock::force_mut(&mut lazy) += 1;
    assert_eq!(*LazyLock::<u8>::from(9) + *LazyLock::<u8>::default() + *lazy, 12);
}

/// As in std, where the value may borrow what is dropped before the cell.
#[test]
fn a_cell_may_outlive_what_its_value_borrows() {
    let cell = OnceLock::new();
    {
        let text = String::from("short");
        assert_eq!(cell.set(&text), Ok(()));
        assert_eq!(cell.get().unwrap().len(), 5);
    }
}

#[test]
fn between_green_threads_of_two_runtimes_and_os_threads() {
    check(|| {
        for _ in 0..20 {
            let ran = Arc::new(AtomicUsize::new(0));
            let cell = Arc::new(OnceLock::new());
            let member = |n: usize| {
                let (ran, cell) = (ran.clone(), cell.clone());
                move || {
                    *cell.get_or_init(|| {
                        ran.fetch_add(1, Ordering::Relaxed);
                        osier::sleep(MILLI / 10);
                        n
                    })
                }
            };
            let there = [member(2), member(3)];
            let os_threads = [
                std::thread::spawn(member(0)),
                std::thread::spawn(member(1)),
                std::thread::spawn(move || {
                    osier::run(|| there.map(osier::spawn).map(|thread| thread.join().unwrap())[0])
                }),
            ];
            let here = [osier::spawn(member(4)), osier::spawn(member(5))];
            let here = here.map(|thread| thread.join().unwrap());
            let there = os_threads.map(|thread| osier::offload(|| thread.join().unwrap()));
            assert!(here.iter().chain(&there).all(|value| Some(value) == cell.get()));
            assert_eq!(ran.load(Ordering::Relaxed), 1);
        }
    });
}
