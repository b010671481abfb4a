//! What to do when a connection cannot be accepted, or there is nothing to serve it on.

use rustix::io::Errno;
use std::io;
use std::time::Duration;

/// How long the process has been short of descriptors or memory.
#[derive(Debug, Default)]
pub(super) struct Shortage {
    /// The last pause; zero if all is well.
    pause: Duration,
}

/// The first pause of a shortage.
const SHORTEST: Duration = Duration::from_millis(5);
/// No pause is longer.
const LONGEST: Duration = Duration::from_secs(1);

impl Shortage {
    /// How long to wait before the next try after `error`: nothing if only that one connection was lost, and longer each time if
    /// the process is short of what a connection takes. Meanwhile clients wait in the listener's queue, and are served when others have gone.
    /// `tell` is told of the beginning of a shortage.
    ///
    /// # Errors
    ///
    /// `error`, if trying again cannot help.
    pub(super) fn pause(&mut self, error: io::Error, tell: &impl Fn(&str)) -> io::Result<Duration> {
        match Errno::from_io_error(&error) {
            Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM) => Ok(self.lack(&error, tell)),
            Some(Errno::BADF | Errno::INVAL | Errno::NOTSOCK | Errno::OPNOTSUPP | Errno::FAULT) => Err(error),
            // The client went away before it was accepted, or the network broke under it.
            _ => Ok(Duration::ZERO),
        }
    }

    /// How long to wait before the next try if `error` says that there is nothing to serve a connection on: longer each time. `tell` is told of
    /// the beginning.
    pub(super) fn lack(&mut self, error: &io::Error, tell: &impl Fn(&str)) -> Duration {
        if self.pause.is_zero() {
            tell(&format!("cannot accept for now: {error}"));
        }
        self.pause = (self.pause * 2).clamp(SHORTEST, LONGEST);
        self.pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[test]
    fn a_shortage_is_told_once_and_waited_out_in_growing_pauses() {
        let told = Cell::new(0);
        let tell = |_: &str| told.set(told.get() + 1);
        let mut shortage = Shortage::default();
        let pauses: Vec<Duration> =
            (0..12).map(|_| shortage.pause(Errno::MFILE.into(), &tell).expect("it may pass")).collect();
        assert!(pauses.is_sorted() && pauses[0] == SHORTEST && pauses[11] == LONGEST, "{pauses:?}");
        assert_eq!(told.get(), 1);
    }

    #[test]
    fn a_lost_connection_costs_no_pause_and_a_lost_listener_is_an_error() {
        let tell = |_: &str| panic!("nothing to tell");
        let mut shortage = Shortage::default();
        assert_eq!(shortage.pause(Errno::CONNABORTED.into(), &tell).expect("only one"), Duration::ZERO);
        assert!(shortage.pause(Errno::INVAL.into(), &tell).is_err());
    }
}
