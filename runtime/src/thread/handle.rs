//! Where new green threads go, and the handle through which other OS threads make some.

use super::builder::{Builder, NoRuntime};
use super::join::{JoinHandle, Packet};
use crate::scheduler::{Crew, Remote, Runtime, Worker, with_worker};
use crate::task::{Attributes, Body, Task};
use core::fmt;
use std::io;
use std::sync::Arc;

impl Runtime {
    /// A handle through which other OS threads can spawn.
    #[must_use]
    pub fn handle(&self) -> Handle {
        Handle { crew: self.crew().clone() }
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
    crew: Arc<Crew>,
}

impl Handle {
    pub(super) fn spawner(&self) -> Spawner {
        Spawner::to(&self.crew)
    }

    /// Queues a green thread that will run `f` on the runtime. Never waits, and may be called on any OS thread.
    /// [`Builder::spawn_on`] does it with settings.
    ///
    /// It runs when the runtime is next entered. If the runtime is dropped before, `f` is dropped and `join` gives
    /// [`Killed`](crate::thread::Killed).
    pub fn spawn<F, T>(&self, f: F) -> JoinHandle<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        match Builder::new().spawn_on(self, f) {
            Ok(handle) => handle,
            Err(error) => unreachable!("no worker was named: {error}"),
        }
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
    /// To a runtime that has no worker on this OS thread.
    Elsewhere(Arc<Crew>),
}

impl Spawner {
    /// To the worker of this OS thread, if it has one.
    pub(crate) fn current() -> Result<Spawner, NoRuntime> {
        with_worker(|worker| worker.map(|_| Spawner::Here).ok_or(NoRuntime))
    }

    /// To one of the runtime `crew`, from wherever this is.
    fn to(crew: &Arc<Crew>) -> Spawner {
        with_worker(|worker| match worker {
            Some(worker) if Arc::ptr_eq(worker.crew(), crew) => Spawner::Here,
            _ => Spawner::Elsewhere(crew.clone()),
        })
    }

    /// A green thread that will run `f`: on the worker that `attributes` name, if they do, else on any.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if there is no such worker.
    pub(crate) fn spawn<F, T>(&self, attributes: Attributes, f: F) -> io::Result<JoinHandle<T>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let (packet, body) = Packet::new(f, ());
        Ok(JoinHandle::new(self.spawn_body(attributes, Box::new(body))?, packet))
    }

    /// [`Spawner::spawn`] of a body as it is.
    ///
    /// # Errors
    ///
    /// As there.
    pub(crate) fn spawn_body(
        &self,
        attributes: Attributes,
        body: Box<dyn FnOnce() + Send>,
    ) -> io::Result<Arc<Task>> {
        match self {
            Spawner::Here => here(|worker| match named(worker.crew(), &attributes)? {
                None => Ok(worker.offer(attributes, body)),
                Some(remote) if Arc::ptr_eq(remote, worker.remote()) => Ok(worker.spawn(attributes, body)),
                Some(remote) => {
                    worker.count_birth();
                    let task = Task::unborn(remote.clone(), attributes, body, true);
                    remote.push(task.clone());
                    Ok(task)
                }
            }),
            Spawner::Elsewhere(crew) => {
                let only = if crew.workers() == 1 { crew.remote(0) } else { None };
                if let Some(remote) = named(crew, &attributes)?.or(only) {
                    let task = Task::unborn(remote.clone(), attributes, body, false);
                    remote.push(task.clone());
                    return Ok(task);
                }
                let task = Task::offered(attributes, false);
                crew.inject(task.clone(), body);
                Ok(task)
            }
        }
    }

    /// For a body that must stay on this OS thread, whose worker is the spawner's.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if `attributes` name another worker.
    ///
    /// # Panics
    ///
    /// If this OS thread has no worker.
    pub(crate) fn spawn_here(&self, attributes: Attributes, body: Body) -> io::Result<Arc<Task>> {
        here(|worker| {
            let index = worker.remote().index();
            if let Some(named) = attributes.worker.filter(|named| *named != index) {
                let what = format!("what is not `Send` cannot leave worker {index} for worker {named}");
                return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
            }
            Ok(worker.spawn(attributes, body))
        })
    }
}

fn here<T>(f: impl FnOnce(&Worker) -> T) -> T {
    with_worker(|worker| f(worker.expect("there was a worker when it was looked for")))
}

/// The worker that `attributes` name, if they do.
fn named<'a>(crew: &'a Crew, attributes: &Attributes) -> io::Result<Option<&'a Arc<Remote>>> {
    let Some(index) = attributes.worker else { return Ok(None) };
    let Some(remote) = crew.remote(index) else {
        let what = format!("there is no worker {index}: the runtime has {}, counted from 0", crew.workers());
        return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
    };
    Ok(Some(remote))
}
