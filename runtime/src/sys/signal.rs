//! Signals, turned into descriptors that become readable.
//!
//! Owns the handlers that [`Listener`]s need, and the list that the handler walks. The handler may run at any instant on any
//! OS thread, so it only reads atomics and writes to eventfds.

use super::check;
use super::event::EventFd;
use super::lock::Mutex;
use core::ptr;
use core::sync::atomic::{AtomicPtr, AtomicU64, AtomicUsize, Ordering};
use std::io;

pub(crate) use libc::{SIGCHLD, SIGHUP, SIGINT, SIGKILL, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH};

/// The greatest signal number, and so the bits of a mask.
const MAX: i32 = 64;

/// Signals that report a fault of the instruction that runs: it would run again, and fault again, when our handler
/// returns. Stack overflows are reported through them, too.
const FAULTS: [i32; 4] = [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE];

/// What else reports what an OS thread has done itself, and the signals that libc keeps for itself.
const NOBODY_SENDS: [i32; 4] = [libc::SIGTRAP, libc::SIGSYS, 32, 33];

/// The first of the nodes; they are never freed, and reused.
static NODES: AtomicPtr<Node> = AtomicPtr::new(ptr::null_mut());

/// Handlers that are running.
static RUNNING: AtomicUsize = AtomicUsize::new(0);

/// The handlers that were there before ours, by signal number, with the number of our listeners.
static INSTALLED: Mutex<[Option<(usize, libc::sigaction)>; MAX as usize + 1]> =
    Mutex::new([None; MAX as usize + 1]);

/// A listener as the handler sees it.
struct Node {
    /// The signals it wants, bit `number - 1`; 0 while the node is free.
    wanted: AtomicU64,
    /// Those that have come and were not taken.
    pending: AtomicU64,
    /// Signalled after `pending`. Valid while `wanted` is not 0 and until no handler runs.
    event: AtomicPtr<EventFd>,
    /// The node after this one; set before the node is published, and never changed.
    next: *mut Node,
}

/// Receives some signals, from its making to its drop.
#[derive(Debug)]
pub(crate) struct Listener {
    node: &'static Node,
    event: Box<EventFd>,
    wanted: u64,
}

impl core::fmt::Debug for Node {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Node").field("wanted", &self.wanted).finish_non_exhaustive()
    }
}

// SAFETY: `next` is read only; the rest are atomics.
unsafe impl Sync for Node {}
// SAFETY: as above.
unsafe impl Send for Node {}

extern "C" fn handle(signal: libc::c_int) {
    // SAFETY: errno is this OS thread's own; what was interrupted must find it as it was.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: as above.
    let saved = unsafe { errno.read() };
    // SeqCst, with the loads of `wanted`: pairs with `Listener::drop`, which takes its wish back and then waits for zero here.
    RUNNING.fetch_add(1, Ordering::SeqCst);
    let bit = 1 << (signal - 1);
    let mut node = NODES.load(Ordering::Acquire);
    // SAFETY: published nodes are never freed.
    while let Some(listener) = unsafe { node.as_ref() } {
        if listener.wanted.load(Ordering::SeqCst) & bit != 0 {
            // Release: pairs with `take`.
            listener.pending.fetch_or(bit, Ordering::Release);
            // SAFETY: it was wanted after this handler was counted, so the eventfd is not dropped before the handler ends.
            if let Some(event) = unsafe { listener.event.load(Ordering::Acquire).as_ref() } {
                event.signal();
            }
        }
        node = listener.next;
    }
    RUNNING.fetch_sub(1, Ordering::SeqCst);
    // SAFETY: as above.
    unsafe { errno.write(saved) };
}

impl Listener {
    /// Receives `signals` from now on, instead of the handlers that were there before.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a number that is no signal, one that cannot be caught, or one that reports a fault.
    pub(crate) fn new(signals: &[i32]) -> io::Result<Listener> {
        let mut wanted = 0;
        for &signal in signals {
            if !(1..=MAX).contains(&signal) {
                return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{signal} is not a signal")));
            }
            if FAULTS.contains(&signal) {
                let what = format!("signal {signal} reports a fault, which cannot be waited for");
                return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
            }
            wanted |= 1 << (signal - 1);
        }
        let event = Box::new(EventFd::new()?);
        let mut installed = INSTALLED.lock();
        let node = free_node();
        node.pending.store(0, Ordering::Relaxed);
        node.event.store(ptr::from_ref(&*event).cast_mut(), Ordering::Release);
        let mut listener = Listener { node, event, wanted: 0 };
        for signal in numbers(wanted) {
            let result = match &mut installed[signal as usize] {
                Some((listeners, _)) => {
                    *listeners += 1;
                    Ok(())
                }
                empty => install(signal).map(|previous| *empty = Some((1, previous))),
            };
            if let Err(error) = result {
                drop(installed);
                return Err(io::Error::new(
                    error.kind(),
                    format!("signal {signal} cannot be caught: {error}"),
                ));
            }
            listener.wanted |= 1 << (signal - 1);
        }
        node.wanted.store(wanted, Ordering::SeqCst);
        drop(installed);
        Ok(listener)
    }

    /// A signal that has come; each once, however often it came since the last time.
    pub(crate) fn take(&self) -> Option<i32> {
        loop {
            let pending = self.node.pending.load(Ordering::Acquire);
            let signal = numbers(pending).next()?;
            let bit = 1 << (signal - 1);
            // Another one that waits, on another OS thread, may have taken it meanwhile.
            if self.node.pending.fetch_and(!bit, Ordering::AcqRel) & bit != 0 {
                return Some(signal);
            }
        }
    }

    /// Readable when something may have come. Clear it, then `take`, then wait.
    pub(crate) fn event(&self) -> &EventFd {
        &self.event
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let mut installed = INSTALLED.lock();
        for signal in numbers(self.wanted) {
            let Some((listeners, previous)) = &mut installed[signal as usize] else { continue };
            *listeners -= 1;
            if *listeners == 0 {
                // SAFETY: `previous` is what the kernel gave us for this signal.
                unsafe { libc::sigaction(signal, previous, ptr::null_mut()) };
                installed[signal as usize] = None;
            }
        }
        // From here on no handler begins to use the eventfd; wait for those that have.
        self.node.wanted.store(0, Ordering::SeqCst);
        while RUNNING.load(Ordering::SeqCst) != 0 {
            std::hint::spin_loop();
        }
        self.node.event.store(ptr::null_mut(), Ordering::Release);
    }
}

/// In a process that was forked just now: makes the listeners' eventfds anew, which are the parent's too, and forgets the
/// signals that have come to the parent.
///
/// # Errors
///
/// If no descriptors are left.
pub(crate) fn after_fork() -> io::Result<()> {
    let mut node = NODES.load(Ordering::Acquire);
    // SAFETY: published nodes are never freed.
    while let Some(listener) = unsafe { node.as_ref() } {
        // SAFETY: not null while its listener lives, which cannot be dropped meanwhile: there is no other OS thread.
        if let Some(event) = unsafe { listener.event.load(Ordering::Acquire).as_ref() } {
            listener.pending.store(0, Ordering::Relaxed);
            event.make_anew()?;
        }
        node = listener.next;
    }
    Ok(())
}

/// A node that nobody uses. Called under the lock of `INSTALLED`.
fn free_node() -> &'static Node {
    let mut node = NODES.load(Ordering::Acquire);
    // SAFETY: published nodes are never freed.
    while let Some(free) = unsafe { node.as_ref() } {
        if free.event.load(Ordering::Acquire).is_null() {
            return free;
        }
        node = free.next;
    }
    let node = Box::leak(Box::new(Node {
        wanted: AtomicU64::new(0),
        pending: AtomicU64::new(0),
        event: AtomicPtr::new(ptr::null_mut()),
        next: NODES.load(Ordering::Acquire),
    }));
    // Release: pairs with the loads of the handler. Nobody else stores, since the lock is held.
    NODES.store(node, Ordering::Release);
    node
}

fn install(signal: i32) -> io::Result<libc::sigaction> {
    // SAFETY: an all-zero sigaction is a valid one: the default, with an empty mask.
    let mut action: libc::sigaction = unsafe { core::mem::zeroed() };
    action.sa_sigaction = handle as extern "C" fn(libc::c_int) as usize;
    action.sa_flags = libc::SA_RESTART | libc::SA_ONSTACK;
    let mut previous = action;
    // SAFETY: both are valid for the call, and the handler is async-signal-safe.
    check(unsafe { libc::sigaction(signal, &action, &mut previous) })?;
    Ok(previous)
}

/// The signals of a mask.
fn numbers(mask: u64) -> impl Iterator<Item = i32> {
    (1..=MAX).filter(move |signal| mask & (1 << (signal - 1)) != 0)
}

/// Of these signals, bit `number - 1`, those that are caught, but for faults and for what the runtime itself catches unseen.
pub(crate) fn caught(among: u64) -> u64 {
    #[cfg(feature = "patch")]
    let own = if super::cpu_timer::is_installed() { super::cpu_timer::SIGNAL } else { 0 };
    #[cfg(not(feature = "patch"))]
    let own = 0;
    let numbers = (1..=MAX).filter(|number| {
        among & 1 << (number - 1) != 0
            && !FAULTS.contains(number)
            && !NOBODY_SENDS.contains(number)
            && *number != own
            && is_caught(*number)
    });
    numbers.fold(0, |caught, number| caught | 1 << (number - 1))
}

fn is_caught(number: i32) -> bool {
    // SAFETY: all zeroes are a valid `sigaction`.
    let mut action: libc::sigaction = unsafe { core::mem::zeroed() };
    // SAFETY: nothing is changed, and `action` is valid for a write.
    let asked = unsafe { libc::sigaction(number, ptr::null(), &raw mut action) };
    asked == 0 && ![libc::SIG_DFL, libc::SIG_IGN].contains(&action.sa_sigaction)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    /// Two that look at the same time do not both take the one signal that has come.
    #[test]
    fn a_signal_is_taken_once() {
        const ROUNDS: usize = 500;
        let listener = Listener::new(&[SIGWINCH]).unwrap();
        let (arrived, taken) = (AtomicUsize::new(0), AtomicUsize::new(0));
        // Waits until both have come here `times` times: by spinning, so that they go on side by side.
        let meet = |times: usize| {
            arrived.fetch_add(1, Ordering::SeqCst);
            let mut spins = 0;
            while arrived.load(Ordering::SeqCst) < 2 * times {
                spins += 1;
                if spins % 10_000 == 0 { thread::yield_now() } else { core::hint::spin_loop() }
            }
        };
        let takes = |sets: bool| {
            for round in 0..ROUNDS {
                if sets {
                    // As the handler would.
                    listener.node.pending.store(1 << (SIGWINCH - 1), Ordering::Release);
                }
                meet(2 * round + 1);
                taken.fetch_add(usize::from(listener.take().is_some()), Ordering::SeqCst);
                meet(2 * round + 2);
            }
        };
        thread::scope(|scope| {
            scope.spawn(|| takes(true));
            scope.spawn(|| takes(false));
        });
        assert_eq!(taken.load(Ordering::SeqCst), ROUNDS);
    }
}
