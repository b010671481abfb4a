//! What Unix has of child processes besides; [`std::os::unix::process`] for green threads.

use crate::process::Command;
use std::ffi::OsStr;
use std::io;
use std::os::unix::process::CommandExt as StdCommandExt;

pub use std::os::unix::process::{ExitStatusExt, parent_id};

/// Settings of a [`Command`] that only Unix has; [`std::os::unix::process::CommandExt`] for green threads.
///
/// ```
/// use osier::os::unix::process::{CommandExt, ExitStatusExt};
/// use osier::process::Command;
/// osier::run(|| {
///     let mut child = Command::new("sleep").arg("3600").process_group(0).spawn()?;
///     child.kill()?;
///     assert_eq!(child.wait()?.signal(), Some(9));
///     Ok::<(), std::io::Error>(())
/// })?;
/// # Ok::<(), std::io::Error>(())
/// ```
pub trait CommandExt {
    /// Sets the user that the child runs as.
    fn uid(&mut self, id: u32) -> &mut Command;

    /// Sets the group that the child runs as.
    fn gid(&mut self, id: u32) -> &mut Command;

    /// Has `f` run in the child before the program is executed; its error is that of
    /// [`spawn`](crate::process::Command::spawn).
    ///
    /// # Safety
    ///
    /// `f` runs in a copy of this process in which no other OS thread runs: it may call only what is async-signal-safe, so neither
    /// allocate nor lock, and nothing of this crate.
    unsafe fn pre_exec<F>(&mut self, f: F) -> &mut Command
    where
        F: FnMut() -> io::Result<()> + Send + Sync + 'static;

    /// Executes the program in place of this process: no stack is unwound and no destructor runs. Returns only if that fails.
    fn exec(&mut self) -> io::Error;

    /// Sets the name under which the program is started, its argument 0.
    fn arg0<S>(&mut self, arg: S) -> &mut Command
    where
        S: AsRef<OsStr>;

    /// Sets the process group of the child; 0 for one of its own.
    fn process_group(&mut self, pgroup: i32) -> &mut Command;
}

impl CommandExt for Command {
    fn uid(&mut self, id: u32) -> &mut Command {
        self.as_std_mut().uid(id);
        self
    }

    fn gid(&mut self, id: u32) -> &mut Command {
        self.as_std_mut().gid(id);
        self
    }

    unsafe fn pre_exec<F>(&mut self, f: F) -> &mut Command
    where
        F: FnMut() -> io::Result<()> + Send + Sync + 'static,
    {
        // SAFETY: the caller's promise.
        unsafe { self.as_std_mut().pre_exec(f) };
        self
    }

    fn exec(&mut self) -> io::Error {
        self.as_std_mut().exec()
    }

    fn arg0<S>(&mut self, arg: S) -> &mut Command
    where
        S: AsRef<OsStr>,
    {
        self.as_std_mut().arg0(arg);
        self
    }

    fn process_group(&mut self, pgroup: i32) -> &mut Command {
        self.as_std_mut().process_group(pgroup);
        self
    }
}
