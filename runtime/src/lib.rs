//! Green threads that behave like [`std::thread`].
//!
//! You write plain blocking code. Whatever would block parks the green thread that calls and lets another one run: a
//! sleep, a lock, a join, a read from a socket. There is no `async`, no colour of functions and no second set of
//! libraries. A hundred thousand green threads fit on one OS thread, and start in about a microsecond each; several OS threads
//! share them if you like.
//!
//! ```
//! use osier::net::{TcpListener, TcpStream};
//! use std::io::{Read, Write};
//!
//! osier::run(|| {
//!     let listener = TcpListener::bind("127.0.0.1:0")?;
//!     let address = listener.local_addr()?;
//!     osier::spawn(move || {
//!         let (mut guest, _) = listener.accept().unwrap();
//!         guest.write_all(b"hello").unwrap();
//!     });
//!     let mut greeting = String::new();
//!     TcpStream::connect(address)?.read_to_string(&mut greeting)?;
//!     assert_eq!(greeting, "hello");
//!     Ok::<(), std::io::Error>(())
//! })?;
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! # Where to begin
//!
//! - [`run`] starts a runtime on the OS thread that calls; [`spawn`] makes a green thread in it. [`thread`], [`net`],
//!   [`os::unix::net`], [`time`], [`process`], [`fs`] and [`io`] have what std's modules of these names have, with std's names.
//! - [`local!`] declares values of which each green thread has its own.
//! - [`time::timeout`] bounds whatever is inside it; [`JoinHandle::kill`](thread::JoinHandle::kill) ends a green thread, with its
//!   destructors; [`shield`] postpones both.
//! - [`signal`] has signals as something to wait for; [`multiprocess`] runs functions of the program in child processes.
//! - `patch` (feature `patch`) makes code that has never heard of Osier cooperate: `std::net`, any crate on top of it. The crate
//!   `osier-c` has it, and green threads, for programs of C.
//! - [`greenlet`] and [`generator`] switch stacks by hand, with or without a runtime.
//! - [`Builder::workers`] has several OS threads run green threads: what has not started goes to one that has nothing to do.
//! - [`Builder`] exchanges the [`Policy`] and the [`Clock`](time::Clock); [`Runtime::enter`] lets a loop of yours drive the runtime.
//! - [`model_checking`] is a chapter on how to know that an interleaving cannot go wrong, in code of yours and in Osier.
//!
//! # What to rely on
//!
//! 1. A green thread that has started never changes its OS thread; only a `Send` closure that has not may go to another worker.
//!    `Rc`s, guards that are not `Send` and references into thread-locals may live across a wait.
//! 2. Every blocking call does the right thing in three places: on a green thread it parks it, on a plain OS thread it blocks that,
//!    and on the OS thread that drives a runtime by hand it drives it.
//! 3. A wait ends in exactly one way: it was woken, its deadline has passed, or it was cancelled. A wake-up, a message or a permit that
//!    races with a deadline or a kill is taken or passed on, never lost.
//! 4. All switching happens inside a call with a closure ([`run`], [`Runtime::enter`], [`greenlet::scope`]), and when that returns
//!    nothing is suspended in it any more: destructors have run, stacks, descriptors and timers are given back.
//! 5. A green thread whose stack unwinds, by a kill, a deadline or a panic, may wait in its destructors. Neither a kill nor a deadline
//!    from outside ends such a wait, and no other green thread finds itself panicking because of it.
//! 6. Nobody starves: after 128 calls in a row that succeeded without waiting, the next one yields.
//!
//! # Limits
//!
//! What stackful switching cannot rule out in safe Rust, what happens then, and how to find it:
//!
//! - *A std lock held across a wait.* `std::sync::Mutex` belongs to the OS thread: if another green thread of the same OS thread
//!   locks it meanwhile, the OS thread blocks for ever. Keep the guard away from waits, or patch the futex call
//!   (`patch::Group::Futex`): then the one that waits is parked.
//! - *Libraries that count on strictly nested use of a thread-local*, "enter" and "leave" around a callback: a wait in
//!   the callback lets another green thread enter in between. Such a library sees the wrong innermost entry. Wrap the
//!   callback so that it does not wait.
//! - *`std::thread::park`* and what is built on it (std's `mpsc`, `std::thread::scope`) block the OS thread; with `patch::Group::Futex`
//!   one green thread of each OS thread at a time can wait so, for what an OS thread does; a second one ends the process with a report.
//!   std's channels never wake a receiver for a sender of the same OS thread. Use [`thread::park`], [`sync::mpsc`] and [`thread::scope`]
//!   of this crate.
//! - *A wait in a panic hook* blocks the OS thread.
//! - *`panic = "abort"`* does not compile: a kill unwinds.
//! - *[`std::process::exit`] on a green thread, or inside of a `greenlet::scope`*, unwinds nobody, and runs the destructors of the OS
//!   thread's thread-locals while stacks that refer to them are still suspended. One that drops a generator or waits then lets
//!   such a stack run on: undefined behaviour. Call [`process::exit`] of this crate, which does not run them.
//! - A stack is [256 KiB](Builder::stack_size) unless you say otherwise; touching more ends the process with a report that says whose
//!   stack it was. Only pages that are touched cost memory.
//!
//! # Platform
//!
//! Linux 5.4 or later with glibc, on x86-64. What later kernels add is found at run time: guards without extra mappings (6.13),
//! waits exact to the nanosecond without a timer descriptor (5.11). aarch64 is kept possible, and is untested.
//!
//! # Map
//!
//! A room imports only from rooms below it:
//!
//! | | rooms |
//! |---|---|
//! | 5 | `signal`, `patch` |
//! | 4 | `thread`, `local`, `sync`, `net`, `os`, `time`, `process`, `fs`, `io`, `multiprocess` |
//! | 3 | `park`, `wait_queue`, `permit`, `kill_mark`, `completion`, `task`, `locals`, `timer`, `reactor`, `readiness`, `offload`, `inbox`, `os_thread`, `scheduler`, `unwinding` |
//! | 2 | `stack`, `fiber`, `running`, `limits`, `entry`, `panic_count`; on these alone: `greenlet`, `generator` |
//! | 1 | `sys`, `clock`, `primitive`, `inside` |
//!
//! Read first: `park` (how everything waits), `scheduler::worker` (who runs), `inbox` (how other OS threads get a word in),
//! `fiber` (what a switch is). The rooms below that allow `unsafe` say why, and so do those of `sync`; no other has any.

#![deny(unsafe_code)]
#[cfg(not(panic = "unwind"))]
compile_error!(
    "osier needs `panic = \"unwind\"`: ending a green thread unwinds its stack so that destructors run"
);

#[cfg(all(feature = "patch", target_feature = "crt-static", target_env = "gnu"))]
compile_error!(
    "the feature `patch` of osier needs glibc as a shared library: a program that has libc's functions in itself has no place for others"
);

mod clock;
mod completion;
#[allow(unsafe_code, reason = "refers to frames beneath the running one")]
mod entry;
#[allow(unsafe_code, reason = "switches stacks")]
mod fiber;
#[allow(unsafe_code, reason = "control blocks that several stacks refer to")]
pub mod generator;
#[allow(unsafe_code, reason = "control blocks that several stacks refer to")]
pub mod greenlet;
#[allow(unsafe_code, reason = "an intrusive list of shared items")]
mod inbox;
mod inside;
mod kill_mark;
#[allow(unsafe_code, reason = "frames on the stack, linked by pointer")]
mod limits;
mod locals;
mod offload;
mod os_thread;
#[allow(unsafe_code, reason = "moves a suspended stack between OS threads")]
mod panic_count;
mod park;
mod permit;
mod primitive;
mod reactor;
mod readiness;
#[allow(unsafe_code, reason = "words that refer to what runs")]
mod running;
#[allow(unsafe_code, reason = "suspends stacks; lends a main body's borrows to its green thread")]
mod scheduler;
#[allow(unsafe_code, reason = "maps memory")]
mod stack;
#[allow(unsafe_code, reason = "calls libc")]
mod sys;
#[allow(unsafe_code, reason = "cells that belong to one worker")]
mod task;
mod timer;
mod unwinding;
mod wait_queue;

#[allow(unsafe_code, reason = "`from_raw_fd` of std's trait")]
pub mod fs;
#[allow(unsafe_code, reason = "`from_raw_fd` of std's trait")]
pub mod io;
pub mod local;
pub mod model_checking;
#[allow(unsafe_code, reason = "copies the process")]
pub mod multiprocess;
#[allow(unsafe_code, reason = "`from_raw_fd` of std's trait")]
pub mod net;
#[allow(unsafe_code, reason = "`from_raw_fd` of std's trait")]
pub mod os;
#[cfg(feature = "patch")]
#[allow(unsafe_code, reason = "defines and calls libc's functions")]
pub mod patch;
pub mod process;
pub mod signal;
pub mod sync;
#[allow(unsafe_code, reason = "lends a scope's borrows to its green threads")]
pub mod thread;
pub mod time;

pub use crate::offload::offload;
pub use crate::scheduler::{Builder, Deadlock, Entered, Policy, Ready, Runtime, SeededRandom, Waiting, run};
pub use crate::stack::{Stacks, stats as stacks};
pub use crate::thread::{Handle, shield, sleep, spawn, spawn_local, yield_now};

/// Has the README's program run as a test.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
