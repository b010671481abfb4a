//! A child process, and the pipes that lead to it.

use super::ended::{Ended, wait_for};
use super::orphans::Leave;
use super::output::read_both;
use super::{ExitStatus, Output, Stdio};
use crate::clock::Instant;
use crate::io::pipe_end::{pipe_reads, pipe_writes};
use crate::net::descriptor::descriptor_conversions;
use crate::net::socket::{Kind, Socket};
use core::fmt;
use core::time::Duration;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::process::{
    Child as StdChild, ChildStderr as StdStderr, ChildStdin as StdStdin, ChildStdout as StdStdout,
};

/// A child process; [`std::process::Child`] for green threads.
///
/// Dropping it neither ends the child nor waits for it, as with std's: a child that nobody waits for stays in the kernel's
/// list after its end for as long as this process lives.
///
/// ```
/// use osier::process::Command;
/// use osier::time::Duration;
/// osier::run(|| {
///     let mut child = Command::new("sleep").arg("3600").spawn()?;
///     assert_eq!(child.wait_timeout(Duration::from_millis(1))?, None);
///     child.kill()?;
///     assert!(!child.wait()?.success());
///     Ok::<(), std::io::Error>(())
/// })?;
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Child {
    /// The end of the pipe from which the child reads, if there is one.
    pub stdin: Option<ChildStdin>,
    /// The end of the pipe to which the child writes, if there is one.
    pub stdout: Option<ChildStdout>,
    /// The end of the pipe to which the child reports errors, if there is one.
    pub stderr: Option<ChildStderr>,
    /// Without its pipes; remembers how the child has ended once that was asked.
    child: StdChild,
    /// Made by the first wait, and dropped at the child's end.
    ended: Option<Ended>,
}

impl Child {
    /// A child that std has started just now: nobody else has its pipes.
    pub(super) fn started(mut child: StdChild) -> io::Result<Child> {
        let pipe = |fd: OwnedFd| Socket::new(fd, Kind::Pipe);
        let stdin = child.stdin.take().map(|end| pipe(end.into())).transpose()?.map(ChildStdin);
        let stdout = child.stdout.take().map(|end| pipe(end.into())).transpose()?.map(ChildStdout);
        let stderr = child.stderr.take().map(|end| pipe(end.into())).transpose()?.map(ChildStderr);
        Ok(Child { stdin, stdout, stderr, child, ended: None })
    }

    /// Closes all that leads to it.
    pub(super) fn let_go(&mut self) {
        drop((self.stdin.take(), self.stdout.take(), self.stderr.take(), self.ended.take()));
    }

    /// Ends the child with SIGKILL, unless it was waited for. Never waits.
    ///
    /// # Errors
    ///
    /// If this process may not.
    pub fn kill(&mut self) -> io::Result<()> {
        self.child.kill()
    }

    /// The process's number, which may become another process's when this one was waited for.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until the child has ended, and returns how. Closes [`Child::stdin`] before, so that the child does not wait
    /// for more.
    ///
    /// # Errors
    ///
    /// If no descriptors are left, or something else of this process has waited for the child.
    ///
    /// # Cancellation
    ///
    /// A kill or an enclosing [`timeout`](crate::time::timeout) ends the wait and unwinds; the child runs on, and its end is there
    /// for who waits next.
    pub fn wait(&mut self) -> io::Result<ExitStatus> {
        drop(self.stdin.take());
        match self.wait_until(None)? {
            Some(status) => Ok(status),
            None => unreachable!("a wait without a deadline does not reach it"),
        }
    }

    /// [`Child::wait`], for at most `timeout`; `None` if the time is over first. Leaves [`Child::stdin`] open.
    ///
    /// # Errors
    ///
    /// As [`Child::wait`].
    ///
    /// # Cancellation
    ///
    /// As [`Child::wait`].
    pub fn wait_timeout(&mut self, timeout: Duration) -> io::Result<Option<ExitStatus>> {
        self.wait_until(Instant::now().checked_add(timeout))
    }

    /// How the child has ended; `None` if it has not. Never waits.
    ///
    /// # Errors
    ///
    /// If something else of this process has waited for the child.
    pub fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        let status = self.child.try_wait()?;
        if status.is_some() {
            self.ended = None;
        }
        Ok(status)
    }

    /// Closes [`Child::stdin`], reads the other two pipes to their ends at the same time, and waits until the child has ended.
    ///
    /// # Errors
    ///
    /// As [`Child::wait`], and if a pipe cannot be read.
    ///
    /// # Cancellation
    ///
    /// A kill or an enclosing [`timeout`](crate::time::timeout) ends the wait and unwinds. The child runs on, with its pipes closed.
    pub fn wait_with_output(mut self) -> io::Result<Output> {
        drop(self.stdin.take());
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        let (mut out, mut err) = (self.stdout.take(), self.stderr.take());
        let mut leave = Leave::new(self);
        match (&mut out, &mut err) {
            (None, None) => {}
            (Some(out), None) => drop(out.read_to_end(&mut stdout)?),
            (None, Some(err)) => drop(err.read_to_end(&mut stderr)?),
            (Some(out), Some(err)) => read_both(&out.0, &mut stdout, &err.0, &mut stderr)?,
        }
        let status = leave.child().wait()?;
        Ok(Output { status, stdout, stderr })
    }

    /// [`Child::wait`] for a child that nobody else will wait for.
    pub(super) fn wait_or_leave(self) -> io::Result<ExitStatus> {
        Leave::new(self).child().wait()
    }

    fn wait_until(&mut self, deadline: Option<Instant>) -> io::Result<Option<ExitStatus>> {
        let child = &mut self.child;
        wait_for(child.id(), &mut self.ended, deadline, || child.try_wait())
    }
}

impl From<StdChild> for Child {
    /// The same child, whose calls park the green thread.
    fn from(mut child: StdChild) -> Child {
        let stdin = child.stdin.take().map(ChildStdin::from);
        let stdout = child.stdout.take().map(ChildStdout::from);
        let stderr = child.stderr.take().map(ChildStderr::from);
        Child { stdin, stdout, stderr, child, ended: None }
    }
}

impl From<Child> for StdChild {
    /// The same child as one of std's, whose calls block the OS thread.
    fn from(child: Child) -> StdChild {
        let Child { stdin, stdout, stderr, mut child, .. } = child;
        child.stdin = stdin.map(StdStdin::from);
        child.stdout = stdout.map(StdStdout::from);
        child.stderr = stderr.map(StdStderr::from);
        child
    }
}

impl fmt::Debug for Child {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Child")
            .field("stdin", &self.stdin)
            .field("stdout", &self.stdout)
            .field("stderr", &self.stderr)
            .finish_non_exhaustive()
    }
}

/// The end of the pipe from which a child reads; [`std::process::ChildStdin`] for green threads. Dropping it closes it, and the
/// child reads the end of the stream.
///
/// A write that finds the other end closed fails with [`BrokenPipe`](io::ErrorKind::BrokenPipe), as long as SIGPIPE is ignored,
/// which a Rust program begins with.
pub struct ChildStdin(Socket);

/// The end of the pipe to which a child writes; [`std::process::ChildStdout`] for green threads.
pub struct ChildStdout(Socket);

/// The end of the pipe to which a child reports errors; [`std::process::ChildStderr`] for green threads.
pub struct ChildStderr(Socket);

pipe_writes!(ChildStdin, &ChildStdin);
pipe_reads!(ChildStdout);
pipe_reads!(ChildStderr);
descriptor_conversions!(ChildStdin, StdStdin);
descriptor_conversions!(ChildStdout, StdStdout);
descriptor_conversions!(ChildStderr, StdStderr);

macro_rules! pipes_of_a_child {
    ($($type:ident),*) => {$(
        impl From<OwnedFd> for $type {
            fn from(fd: OwnedFd) -> $type {
                $type(Socket::adopt(fd, Kind::PipeLike))
            }
        }

        impl From<$type> for Stdio {
            /// Gives this end to another child, as a blocking one.
            fn from(end: $type) -> Stdio {
                Stdio::from(OwnedFd::from(end))
            }
        }
    )*};
}

pipes_of_a_child!(ChildStdin, ChildStdout, ChildStderr);
