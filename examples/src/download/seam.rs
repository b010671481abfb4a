//! A counting lock on OS threads, until the runtime's own is there.
use std::sync::{Condvar, Mutex};
#[derive(Debug)]
pub(super) struct Semaphore(Mutex<usize>, Condvar);
impl Semaphore {
    pub(super) fn new(n: usize) -> Self {
        Semaphore(Mutex::new(n), Condvar::new())
    }
    pub(super) fn acquire(&self) -> Permit<'_> {
        let mut n = self.0.lock().unwrap();
        while *n == 0 {
            n = self.1.wait(n).unwrap();
        }
        *n -= 1;
        Permit(self)
    }
}
pub(super) struct Permit<'a>(&'a Semaphore);
impl Drop for Permit<'_> {
    fn drop(&mut self) {
        *self.0.0.lock().unwrap() += 1;
        self.0.1.notify_one();
    }
}
