//! Ctrl-C and SIGTERM: the first one has the run wind up, the second one ends the process.

use osier::signal::{Signal, Signals};
use osier::thread::{JoinHandle, Thread};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

/// Whether the run is to stop.
#[derive(Clone, Debug, Default)]
pub struct Stop {
    /// The signal's number; 0 while none has come.
    signal: Arc<AtomicI32>,
}

impl Stop {
    /// The signal that has come; `None` while the run may go on. Never waits.
    pub fn signal(&self) -> Option<Signal> {
        match self.signal.load(Ordering::Relaxed) {
            0 => None,
            number => Some(Signal::from_raw(number)),
        }
    }

    /// Starts a green thread that waits for signals; it unparks `waiting` when one has come. To be killed at the end.
    ///
    /// # Errors
    ///
    /// When the signals cannot be received.
    pub fn watch(&self, waiting: Thread) -> io::Result<JoinHandle<()>> {
        let signals = Signals::new(&[Signal::INTERRUPT, Signal::TERMINATE])?;
        let stop = self.clone();
        Ok(osier::spawn(move || {
            while let Ok(signal) = signals.wait() {
                if stop.signal.swap(signal.as_raw(), Ordering::Relaxed) != 0 {
                    osier::process::exit(exit_code(signal).into());
                }
                waiting.unpark();
            }
        }))
    }
}

/// The exit code of a program that a signal has ended, as shells have it.
pub fn exit_code(signal: Signal) -> u8 {
    u8::try_from(128 + signal.as_raw()).unwrap_or(u8::MAX)
}
