//! Child processes; what [`std::process`] has, for green threads.
//!
//! Waiting for a child, or for one end of a pipe that leads to it, parks the green thread and lets others run. On a plain OS
//! thread it blocks that, as std's does.
//!
//! ```
//! use osier::process::{Command, Stdio};
//! use std::io::Write;
//! osier::run(|| {
//!     let mut child = Command::new("tr").args(["a-z", "A-Z"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
//!     child.stdin.take().unwrap().write_all(b"hello")?;
//!     let output = child.wait_with_output()?;
//!     assert!(output.status.success());
//!     assert_eq!(output.stdout, b"HELLO");
//!     Ok::<(), std::io::Error>(())
//! })?;
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! # How it waits
//!
//! A child's end is an event of the reactor (a pidfd); where the kernel has none, an OS thread waits for each child that somebody
//! waits for. Pipes are nonblocking at our end while they are of a type of this crate, and blocking again when they are given
//! away.
//!
//! # What starting a child costs
//!
//! [`Command::spawn`] blocks the OS thread until the child has executed its program: a quarter of a millisecond (the median of
//! 200 runs of `true` on a virtual machine with 2 cores), in which no other green thread of the worker runs. It is not
//! handed to the offload pool, since a child inherits from the OS thread that starts it: its scheduling, its signal mask,
//! and whose end `PR_SET_PDEATHSIG` means. Where the program lies on a slow disk, start std's `Command` inside of
//! [`offload`](crate::offload()) and convert the child with `From`.
//!
//! # Cancellation
//!
//! A kill or an enclosing [`timeout`](crate::time::timeout) ends the wait of every call and unwinds. The child runs on, and whoever
//! still has the [`Child`] can wait for it. A call that has consumed the `Child`, or has never given it out
//! ([`Command::output`], [`Command::status`], [`Child::wait_with_output`]) leaves it to this module, which collects
//! what is left of it when one more child is started.
//!
//! A function of this program in a child process, and what processes share, is in [`multiprocess`](crate::multiprocess).
//!
//! # After a `fork`
//!
//! When anybody calls libc's `fork` on an OS thread that runs green threads, the child has no runtime. Its copies of the other green
//! threads stay suspended for ever; the one that has forked goes on as if on a plain OS thread, which its waits block. It may call
//! [`run`](crate::run) and have a runtime of its own, with a reactor of its own. It must not wait for the others: to join them, to
//! leave a [`scope`](crate::thread::scope) that has some, or to take a lock that one of them has, is to wait for ever. When it returns the
//! process ends, with code 0, or 101 if it has panicked; and the same in [`Runtime::enter`](crate::Runtime::enter). A [`Runtime`](crate::Runtime) that was
//! made before the fork can be entered in the parent alone. Values of [`local!`](crate::local!) are the OS thread's from then on, and a
//! [`ReentrantLock`](crate::sync::ReentrantLock) knows its owner no more. `daemon(3)` forks, too: call it before there is a runtime.
//!
//! If the process had other OS threads, those of other workers say, the child may only execute another program or exit, as
//! everywhere: locks that they had, in libc too, stay taken.
//!
//! # Differences from std
//!
//! - [`Child::wait_timeout`] is an addition.
//! - [`exit`] is safe on green threads.
//! - What is borrowed of a pipe (`as_fd`) is nonblocking.

mod child;
mod command;
pub(crate) mod ended;
mod exit;
pub(crate) mod orphans;
mod output;

pub use self::child::{Child, ChildStderr, ChildStdin, ChildStdout};
pub use self::command::Command;
pub use self::exit::exit;

pub use std::process::{
    CommandArgs, CommandEnvs, ExitCode, ExitStatus, Output, Stdio, Termination, abort, id,
};
