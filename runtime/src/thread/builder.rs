//! Settings of a green thread, and the spawn that all others use.

use super::handle::{Handle, Spawner};
use super::join::{JoinHandle, LocalJoinHandle, Packet};
use crate::task::Attributes;
use core::fmt;
use core::time::Duration;
use std::io;

/// Settings of a green thread. As [`std::thread::Builder`].
///
/// ```
/// osier::run(|| {
///     let thread = osier::thread::Builder::new().name("baker".into()).stack_size(64 * 1024).spawn(|| {
///         osier::thread::current().name().map(String::from)
///     })?;
///     assert_eq!(thread.join().unwrap().as_deref(), Some("baker"));
///     Ok::<(), std::io::Error>(())
/// })?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug, Default)]
#[must_use = "call `spawn`"]
pub struct Builder {
    pub(super) attributes: Attributes,
}

impl Builder {
    /// The default settings.
    pub fn new() -> Builder {
        Builder::default()
    }

    /// Its name, for reports and [`Thread::name`](super::Thread::name). Unnamed unless set.
    ///
    /// # Panics
    ///
    /// If it contains a null byte, as std's.
    pub fn name(mut self, name: String) -> Builder {
        assert!(!name.contains('\0'), "thread name may not contain interior null bytes");
        self.attributes.name = Some(name.into());
        self
    }

    /// Usable bytes of its stack, rounded up; the runtime's [`stack_size`](crate::Builder::stack_size) unless set.
    pub fn stack_size(mut self, bytes: usize) -> Builder {
        self.attributes.stack_size = Some(bytes);
        self
    }

    /// For a [`Policy`](crate::Policy): higher is more urgent; 0 unless set.
    pub fn priority(mut self, priority: i32) -> Builder {
        self.attributes.priority = priority;
        self
    }

    /// For a [`Policy`](crate::Policy): how long it is expected to run in all; zero unless set.
    pub fn cost(mut self, cost: Duration) -> Builder {
        self.attributes.cost = cost;
        self
    }

    /// The worker that it runs on, counted from 0, the one that has entered the runtime; whichever comes to it first unless set.
    ///
    /// ```
    /// let runtime = osier::Builder::new().workers(2).build()?;
    /// runtime.run(|| {
    ///     let thread = osier::thread::Builder::new().worker(1).spawn(osier::thread::worker)?;
    ///     assert_eq!(thread.join().unwrap(), Some(1));
    ///     Ok::<(), std::io::Error>(())
    /// })?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn worker(mut self, index: usize) -> Builder {
        self.attributes.worker = Some(index);
        self
    }

    /// [`spawn`](super::spawn) with these settings.
    ///
    /// # Errors
    ///
    /// `NotConnected` outside of a runtime; `InvalidInput` if it has no such [`worker`](Builder::worker). (A stack is taken only when it first runs: `join` reports the want of one.)
    pub fn spawn<F, T>(self, f: F) -> io::Result<JoinHandle<T>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        Spawner::current()?.spawn(self.attributes, f)
    }

    /// [`Handle::spawn`] with these settings.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if the runtime has no such [`worker`](Builder::worker).
    pub fn spawn_on<F, T>(self, handle: &Handle, f: F) -> io::Result<JoinHandle<T>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        handle.spawner().spawn(self.attributes, f)
    }

    /// [`spawn_local`](super::spawn_local) with these settings.
    ///
    /// # Errors
    ///
    /// As [`Builder::spawn`]; also `InvalidInput` if [`worker`](Builder::worker) names another one than that of the caller.
    pub fn spawn_local<F, T>(self, f: F) -> io::Result<LocalJoinHandle<T>>
    where
        F: FnOnce() -> T + 'static,
        T: 'static,
    {
        let (packet, body) = Packet::new(f, ());
        let task = Spawner::current()?.spawn_here(self.attributes, Box::new(body))?;
        Ok(LocalJoinHandle::new(JoinHandle::new(task, packet)))
    }

    #[track_caller]
    pub(super) fn spawn_now<F, T>(self, f: F) -> JoinHandle<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        expect_runtime(self.spawn(f))
    }

    #[track_caller]
    pub(super) fn spawn_local_now<F, T>(self, f: F) -> LocalJoinHandle<T>
    where
        F: FnOnce() -> T + 'static,
        T: 'static,
    {
        expect_runtime(self.spawn_local(f))
    }
}

#[track_caller]
pub(super) fn expect_runtime<T>(result: io::Result<T>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => panic!("{error}"),
    }
}

/// That a green thread was asked for where there is no runtime.
#[derive(Debug)]
pub(crate) struct NoRuntime;

impl fmt::Display for NoRuntime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "no runtime runs on this OS thread: spawn inside `osier::run` or `Runtime::enter`, or from elsewhere through \
             `Runtime::handle`",
        )
    }
}

impl std::error::Error for NoRuntime {}

impl From<NoRuntime> for io::Error {
    fn from(error: NoRuntime) -> io::Error {
        io::Error::new(io::ErrorKind::NotConnected, error)
    }
}
