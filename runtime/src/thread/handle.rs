//! Where new green threads go, and the handle through which other OS threads make some.

use super::builder::NoRuntime;
use super::join::{JoinHandle, Packet};
use crate::scheduler::{Remote, Runtime, with_worker};
use crate::task::{Attributes, Body, Task};
use core::fmt;
use std::sync::Arc;

impl Runtime {
    /// A handle through which other OS threads can spawn.
    #[must_use]
    pub fn handle(&self) -> Handle {
        Handle { remote: self.remote().clone() }
    }
}

/// Through which any OS thread can spawn green threads of a runtime. Cheap to clone.
///
/// ```
/// let runtime = osier::Builder::new().build()?;
/// let handle = runtime.handle();
/// let elsewhere = std::thread::spawn(move || handle.spawn(|| 21 * 2).join().unwrap());
/// runtime.enter(|driver| {
///     while !elsewhere.is_finished() {
///         driver.turn(Some(osier::time::Duration::from_millis(10)));
///     }
/// });
/// assert_eq!(elsewhere.join().unwrap(), 42);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone)]
pub struct Handle {
    remote: Arc<Remote>,
}

impl Handle {
    /// Queues a green thread that will run `f` on the runtime. Never waits, and may be called on any OS thread.
    ///
    /// It runs when the runtime is next entered. If the runtime is dropped before, `f` is dropped and `join` gives
    /// [`Killed`](crate::thread::Killed).
    pub fn spawn<F, T>(&self, f: F) -> JoinHandle<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        Spawner::Remote(self.remote.clone()).spawn(Attributes::default(), f)
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").finish_non_exhaustive()
    }
}

/// Where new green threads go.
pub(crate) enum Spawner {
    /// To the worker of this OS thread.
    Here,
    /// To a worker of another one.
    Remote(Arc<Remote>),
}

impl Spawner {
    /// To the worker of this OS thread, if it has one.
    pub(crate) fn current() -> Result<Spawner, NoRuntime> {
        with_worker(|worker| worker.map(|_| Spawner::Here).ok_or(NoRuntime))
    }

    pub(crate) fn spawn<F, T>(&self, attributes: Attributes, f: F) -> JoinHandle<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let (packet, body) = Packet::new(f, ());
        let task = match self {
            Spawner::Here => self.spawn_here(attributes, Box::new(body)),
            Spawner::Remote(remote) => {
                let task = Task::unborn(remote.clone(), attributes, Box::new(body));
                remote.push(task.clone());
                task
            }
        };
        JoinHandle::new(task, packet)
    }

    /// For a body that must stay on this OS thread.
    ///
    /// # Panics
    ///
    /// If this is not the worker of this OS thread.
    pub(crate) fn spawn_here(&self, attributes: Attributes, body: Body) -> Arc<Task> {
        with_worker(|worker| {
            worker.expect("there was a worker when it was looked for").spawn(attributes, body)
        })
    }
}
