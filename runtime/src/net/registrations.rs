//! Where a descriptor is registered.
//!
//! A descriptor is registered with the reactor of each worker that ever had to wait for it, at the first wait, and stays so
//! until it is closed or given away. A registration belongs to the descriptor, not to the open socket that clones share.

use crate::primitive::{Mutex, lock};
use crate::reactor::Key;
use crate::scheduler::{self, Remote, Worker};
use crate::sys;
use core::sync::atomic::{AtomicBool, Ordering};
use std::io;
use std::os::fd::RawFd;
use std::sync::{Arc, Weak};

/// The registrations of one descriptor; dropped before it is closed.
pub(super) struct Registrations {
    fd: RawFd,
    /// Others may have a duplicate, so closing ours would not take it out of epoll.
    duplicated: AtomicBool,
    /// One for each worker that has waited; weak, so that a socket keeps nothing of a runtime that has ended.
    entries: Mutex<Vec<(Weak<Remote>, Key)>>,
}

impl Registrations {
    /// Of a descriptor that is registered nowhere.
    pub(super) fn new(fd: RawFd, duplicated: bool) -> Registrations {
        Registrations { fd, duplicated: AtomicBool::new(duplicated), entries: Mutex::new(Vec::new()) }
    }

    /// Notes that others may have a duplicate.
    pub(super) fn note_duplicated(&self) {
        // Relaxed: whoever drops the socket was given it by whoever lent it, which orders the two.
        self.duplicated.store(true, Ordering::Relaxed);
    }

    /// Its key in the reactor of `worker`; `None` if it never had to wait there.
    pub(super) fn key_on(&self, worker: &Worker) -> Option<Key> {
        let entries = lock(&self.entries);
        let here = |remote: &Weak<Remote>| core::ptr::eq(remote.as_ptr(), Arc::as_ptr(worker.remote()));
        entries.iter().find(|(remote, _)| here(remote)).map(|(_, key)| *key)
    }

    /// Registers it with the reactor of `worker`, where it is not registered.
    pub(super) fn register_on(&self, worker: &Worker) -> io::Result<Key> {
        let key = worker.reactor().register(self.fd)?;
        let mut entries = lock(&self.entries);
        entries.retain(|(remote, _)| remote.strong_count() > 0);
        entries.push((Arc::downgrade(worker.remote()), key));
        Ok(key)
    }
}

impl Drop for Registrations {
    fn drop(&mut self) {
        // A process that was forked has duplicates of all.
        let duplicated = *self.duplicated.get_mut() || sys::process::has_forked();
        for (remote, key) in lock(&self.entries).drain(..) {
            let Some(remote) = remote.upgrade() else { continue };
            scheduler::with_worker(|worker| match worker {
                Some(worker) if Arc::ptr_eq(worker.remote(), &remote) => {
                    if duplicated {
                        // Fails only if it is gone already.
                        let _ = worker.epoll().remove(self.fd);
                    }
                    worker.reactor().deregister(key);
                }
                _ => remote.forget(key, self.fd, duplicated),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::os::unix::net::UnixStream;
    use crate::scheduler::with_worker;
    use core::time::Duration;
    use std::io::Read;

    #[test]
    fn the_reactor_keeps_nothing_of_a_closed_socket() {
        let is_empty = || with_worker(|worker| worker.expect("called in a runtime").reactor().is_empty());
        let registered = || {
            let (here, there) = UnixStream::pair().unwrap();
            here.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
            assert!((&here).read(&mut [0]).is_err(), "nothing was sent");
            assert!(!is_empty());
            (here, there)
        };
        crate::run(|| {
            drop(registered());
            assert!(is_empty(), "closed here");
            let pair = registered();
            std::thread::spawn(move || drop(pair)).join().unwrap();
            // The worker hears of it in its next turn.
            crate::sleep(Duration::from_millis(1));
            assert!(is_empty(), "closed elsewhere");
        });
    }
}
