//! How a child is started.

use super::child::Child;
use super::orphans;
use super::{CommandArgs, CommandEnvs, ExitStatus, Output, Stdio};
use core::fmt;
use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::process::Command as StdCommand;

/// What program to run as a child process, and how; [`std::process::Command`] for green threads.
///
/// What Unix has besides is in [`CommandExt`](crate::os::unix::process::CommandExt).
///
/// ```
/// use osier::process::Command;
/// osier::run(|| {
///     let output = Command::new("echo").arg("hello").output()?;
///     assert_eq!(output.stdout, b"hello\n");
///     assert!(Command::new("true").status()?.success());
///     Ok::<(), std::io::Error>(())
/// })?;
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Command {
    command: StdCommand,
    /// Which of the child's three descriptors the user has said something about; of the others `output` says something for one
    /// call.
    chosen: [bool; 3],
}

impl Command {
    /// To run `program`, looked for in `PATH` if it has no slash, with no arguments, the environment, the directory and the
    /// descriptors 0 to 2 of this process.
    pub fn new<S: AsRef<OsStr>>(program: S) -> Command {
        Command::from(StdCommand::new(program))
    }

    /// Adds an argument.
    pub fn arg<S: AsRef<OsStr>>(&mut self, arg: S) -> &mut Command {
        self.command.arg(arg);
        self
    }

    /// Adds arguments.
    pub fn args<I, S>(&mut self, args: I) -> &mut Command
    where
        I: IntoIterator<Item = S>,
        S: AsRef<OsStr>,
    {
        self.command.args(args);
        self
    }

    /// Sets an environment variable.
    pub fn env<K, V>(&mut self, key: K, val: V) -> &mut Command
    where
        K: AsRef<OsStr>,
        V: AsRef<OsStr>,
    {
        self.command.env(key, val);
        self
    }

    /// Sets environment variables.
    pub fn envs<I, K, V>(&mut self, vars: I) -> &mut Command
    where
        I: IntoIterator<Item = (K, V)>,
        K: AsRef<OsStr>,
        V: AsRef<OsStr>,
    {
        self.command.envs(vars);
        self
    }

    /// Leaves out an environment variable.
    pub fn env_remove<K: AsRef<OsStr>>(&mut self, key: K) -> &mut Command {
        self.command.env_remove(key);
        self
    }

    /// Leaves out all environment variables but those that are set afterwards.
    pub fn env_clear(&mut self) -> &mut Command {
        self.command.env_clear();
        self
    }

    /// Sets the directory that the child begins in.
    pub fn current_dir<P: AsRef<Path>>(&mut self, dir: P) -> &mut Command {
        self.command.current_dir(dir);
        self
    }

    /// Sets what the child reads from: this process's own unless set, and nothing with [`Command::output`].
    pub fn stdin<T: Into<Stdio>>(&mut self, cfg: T) -> &mut Command {
        self.chosen[0] = true;
        self.command.stdin(cfg);
        self
    }

    /// Sets what the child writes to: this process's own unless set, and a pipe with [`Command::output`].
    pub fn stdout<T: Into<Stdio>>(&mut self, cfg: T) -> &mut Command {
        self.chosen[1] = true;
        self.command.stdout(cfg);
        self
    }

    /// Sets where the child reports errors: this process's own unless set, and a pipe with [`Command::output`].
    pub fn stderr<T: Into<Stdio>>(&mut self, cfg: T) -> &mut Command {
        self.chosen[2] = true;
        self.command.stderr(cfg);
        self
    }

    /// Starts the child, and returns its handle. Blocks the OS thread until the program is there; see
    /// [the module](crate::process).
    ///
    /// # Errors
    ///
    /// If there is no such program, it may not be run, or no process or descriptor is left.
    pub fn spawn(&mut self) -> io::Result<Child> {
        orphans::collect();
        Child::started(self.command.spawn()?)
    }

    /// Starts the child, waits for its end, and returns what it has written to stdout and stderr.
    ///
    /// # Errors
    ///
    /// As [`Command::spawn`], and if a pipe cannot be read.
    ///
    /// # Cancellation
    ///
    /// A kill or an enclosing [`timeout`](crate::time::timeout) ends the wait and unwinds. The child runs on, with its pipes closed.
    pub fn output(&mut self) -> io::Result<Output> {
        let [stdin, stdout, stderr] = self.chosen;
        // Piped for this call only; std has no other way to say so.
        if !stdin {
            self.command.stdin(Stdio::null());
        }
        if !stdout {
            self.command.stdout(Stdio::piped());
        }
        if !stderr {
            self.command.stderr(Stdio::piped());
        }
        let child = self.spawn();
        if !stdin {
            self.command.stdin(Stdio::inherit());
        }
        if !stdout {
            self.command.stdout(Stdio::inherit());
        }
        if !stderr {
            self.command.stderr(Stdio::inherit());
        }
        child?.wait_with_output()
    }

    /// Starts the child, waits for its end, and returns how it has ended.
    ///
    /// # Errors
    ///
    /// As [`Command::spawn`].
    ///
    /// # Cancellation
    ///
    /// A kill or an enclosing [`timeout`](crate::time::timeout) ends the wait and unwinds. The child runs on.
    pub fn status(&mut self) -> io::Result<ExitStatus> {
        self.spawn()?.wait_or_leave()
    }

    /// The program.
    #[must_use]
    pub fn get_program(&self) -> &OsStr {
        self.command.get_program()
    }

    /// The arguments, without the program's own name.
    pub fn get_args(&self) -> CommandArgs<'_> {
        self.command.get_args()
    }

    /// The environment variables that were set, and those that were left out, with `None`.
    pub fn get_envs(&self) -> CommandEnvs<'_> {
        self.command.get_envs()
    }

    /// The directory that the child begins in; `None` for that of this process.
    #[must_use]
    pub fn get_current_dir(&self) -> Option<&Path> {
        self.command.get_current_dir()
    }

    /// Std's command, for settings that are not here. Its calls that start a child block the OS thread. What it sets of the
    /// child's first three descriptors is not seen by [`Command::output`].
    pub fn as_std_mut(&mut self) -> &mut StdCommand {
        &mut self.command
    }
}

impl From<StdCommand> for Command {
    /// With what was set, but that [`Command::output`] takes the child's three descriptors as not set.
    fn from(command: StdCommand) -> Command {
        Command { command, chosen: [false; 3] }
    }
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.command.fmt(f)
    }
}
