//! Knowing that an interleaving cannot go wrong: a chapter, no code.
//!
//! A test that passes has seen a few orders of events. This chapter is on how to see the others, for code of yours that stands
//! on Osier's primitives, and on how Osier's own were checked. It says what works today, and what does not.
//!
//! There are two kinds of interleaving, and a tool for each.
//!
//! | who interleaves | where | tool |
//! |---|---|---|
//! | green threads of one worker | at waits only | a seeded policy, and a clock that stands still |
//! | OS threads, workers among them | at any instruction | loom |
//!
//! # Green threads of one worker
//!
//! They switch at waits: in a lock that is taken, a channel, a sleep, a join, a `yield_now`. Between two waits nothing else of the
//! worker runs. So all that can differ is who runs next, and that is the [policy](crate::Policy)'s choice. [`SeededRandom`](crate::SeededRandom)
//! chooses by a seed: each seed is one schedule, and the same seed gives the same schedule again, as long as nothing comes from outside:
//! no sockets, no other OS threads, and a [`FakeClock`](crate::time::FakeClock) for time, with which sleeps and deadlines take none.
//!
//! Here two tellers book on one account, with a wait between the look and the write. Some schedules lose a booking. The seed of the
//! first one that does is all that you need to see it again.
//!
//! ```
//! use osier::time::{Duration, FakeClock};
//! use osier::{Builder, SeededRandom};
//! use std::{cell::Cell, rc::Rc};
//!
//! /// What is on the account in the end, under the schedule of `seed`.
//! fn balance(seed: u64) -> u32 {
//!     let runtime = Builder::new().policy(SeededRandom::new(seed)).clock(FakeClock::new()).build().unwrap();
//!     runtime.run(|| {
//!         let account = Rc::new(Cell::new(0));
//!         let tellers = [10, 20].map(|amount| {
//!             let account = account.clone();
//!             osier::spawn_local(move || {
//!                 osier::sleep(Duration::from_millis(1));
//!                 let before = account.get();
//!                 osier::yield_now(); // The bank looks something up.
//!                 account.set(before + amount);
//!             })
//!         });
//!         tellers.into_iter().for_each(|teller| teller.join().unwrap());
//!         account.get()
//!     })
//! }
//!
//! let seed = (0..100).find(|&seed| balance(seed) != 30).expect("one of a hundred schedules finds it");
//! assert_eq!(balance(seed), balance(seed), "and finds it again");
//! ```
//!
//! Print the seed in every test that does so. Kill and let time pass at random places, too: [`kill`](crate::thread::JoinHandle::kill)
//! and [`timeout`](crate::time::timeout) end a wait, and a green thread has as many ways to end as it has waits.
//!
//! What this does not do: it draws schedules, and does not go through all of them. A mistake that needs one schedule in a million is
//! found by a million seeds, or not. Several workers run at the same time, so that neither a policy nor a seed says what happens between
//! them: on this see below.
//!
//! # OS threads
//!
//! [loom](https://docs.rs/loom) runs a closure once for each interleaving of its threads, up to a bound, and lets each atomic load give
//! every value that the memory model allows. For that the code must use loom's types instead of std's, or Osier's. Osier has no feature
//! or `cfg` that would swap them for you. What it takes is one module:
//!
//! 1. Put what crosses OS threads into files of their own: the algorithm, not what surrounds it.
//! 2. Let these files import their atomics, cells and locks from one module of your crate, say `crate::primitive`, and from
//!    nowhere else. In your crate that module re-exports std's and Osier's:
//!
//!    ```
//!    mod primitive {
//!        pub use osier::sync::{Arc, Condvar, Mutex};
//!        pub use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
//!    }
//!    ```
//!
//! 3. In a crate of models, include the same files and give them another `primitive`. The code that you ship is then the code that
//!    is checked, and your crate knows nothing of it:
//!
//!    ```text
//!    // models/src/lib.rs
//!    mod primitive {
//!        pub use loom::sync::{Arc, Condvar, Mutex};
//!        pub use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
//!    }
//!    #[path = "../../src/queue.rs"]
//!    mod queue;
//!
//!    #[test]
//!    fn what_is_pushed_is_popped() {
//!        loom::model(|| { /* two or three threads that push and pop */ });
//!    }
//!    ```
//!
//! This is sound since [`Mutex`](crate::sync::Mutex), [`Condvar`](crate::sync::Condvar), [`RwLock`](crate::sync::RwLock) and the channels of
//! [`sync`](crate::sync) promise what std's do, between green threads and OS threads alike, and loom's are models of std's: a thread of the
//! model stands for a green thread of one worker or of several, or an OS thread. What loom's do not have is what Osier has besides: a
//! wait ended by a kill or a deadline. Where your code counts on that, write the wait as a trait or a function in `primitive`, and
//! give the model one in which another thread of the model ends it, as Osier's own models do.
//!
//! Make sure that a model can fail. Change an ordering in your source, leave out the second look before a wait, and see whether it
//! notices; a model that holds for such a mutant checks nothing.
//!
//! ## How Osier is checked
//!
//! The crate `loom-tests` of the repository does all this to Osier's sources: the inbox through which other OS threads reach a worker,
//! how workers take each other's closures, fall asleep and find out that none can go on, the end of an entry, joins, kills, `park`, the
//! offload pool, and all of `sync`. Each model has mutants, which must fail in the assertion that is about them. Its
//! threads wait in a `park` in which a kill and a deadline are actions of some other thread of the model, so that a permit, a message or a
//! lock that races with either is followed into every order. It is a template for models of yours: to run it, `cargo test -p osier-loom-tests`.
//!
//! Within a worker there is nothing for loom to do: its run queue and its timers are used by one OS thread. A timer is inserted, cancelled
//! and fired there, so that no cancel races with a fire; what races is what comes through the inbox, as the word of a kill does.
//!
//! ## Limits
//!
//! - loom explores up to five threads, with so many preemptions as you allow; two find nearly all mistakes. Sizes must be tiny.
//! - It has no time. A deadline is modelled as something that happens or does not.
//! - It takes `SeqCst` loads and stores for weaker ones than they are, and may report what cannot happen; `fence(SeqCst)` is exact. A plain
//!   store among read-modify-writes of other threads can be ordered wrongly, too: make it a `swap`.
//! - loom's threads do not know of stacks that switch. Code that holds a `std` lock across a wait is wrong in a way that no model shows.
//!
//! Memory errors are another matter: for the stacks themselves the repository's `.ci/sanitize` runs the tests under AddressSanitizer, and
//! what switches no stack under Miri. Your tests can be run so, too: with a nightly toolchain,
//! `RUSTFLAGS=-Zsanitizer=address cargo +nightly test --target x86_64-unknown-linux-gnu`, and corosensei's feature `sanitizer`
//! switched on, by which the sanitizer is told of each switch.
