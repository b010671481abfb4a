//! Whoever does what is to happen once is killed while others wait for it: another one does it, once, and all see it.

use super::once_core::{Begin, End, OnceCore};
use crate::park::{self, Cancelled, Holder, Reason};
use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

pub const ONCE: &str = "it happens once";
pub const VISIBLE: &str = "who finds that it has happened sees it";

struct Shared {
    core: OnceCore,
    /// How often it has happened, counted with no ordering but the core's.
    happened: AtomicUsize,
}

impl Shared {
    fn reason<'a>() -> Reason<'a> {
        const NOBODY: &Holder = &Holder::nobody();
        Reason::Once(0, NOBODY)
    }

    /// Has it happen, unless `gives_up`, as one does whose kill unwinds from the middle of it.
    fn call(&self, gives_up: bool) -> Result<(), Cancelled> {
        if !self.core.is_complete() {
            match self.core.begin(false, Self::reason())? {
                Begin::Complete => {}
                Begin::Poisoned => panic!("nobody has failed"),
                Begin::Run { .. } if gives_up => {
                    self.core.end(End::Incomplete);
                    return Err(Cancelled::Killed);
                }
                Begin::Run { .. } => {
                    assert_eq!(self.happened.load(Ordering::Relaxed), 0, "{ONCE}");
                    self.happened.store(1, Ordering::Relaxed);
                    self.core.end(End::Complete);
                }
            }
        }
        assert_eq!(self.happened.load(Ordering::Relaxed), 1, "{VISIBLE}");
        Ok(())
    }
}

/// The model.
pub fn model() {
    let shared = Arc::new(Shared { core: OnceCore::new(), happened: AtomicUsize::new(0) });
    // Makes it.
    assert!(!shared.core.is_complete());
    let theirs = shared.clone();
    let (victim, killed) = park::spawn(move || {
        // It may wait for another one that is at it, or be at it itself.
        let _ = theirs.call(true);
    });
    let theirs = shared.clone();
    let other = thread::spawn(move || {
        victim.kill();
        assert_eq!(theirs.call(false), Ok(()));
    });
    assert_eq!(shared.call(false), Ok(()));
    killed.join().expect("who is killed does not panic");
    other.join().expect("callers do not panic");
}
