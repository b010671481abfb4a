//! Stacks: mapping, guards, pool.

use core::num::NonZeroUsize;
use core::sync::atomic::{AtomicUsize, Ordering};
use std::io;

pub(crate) const DEFAULT_SIZE: usize = 256 * 1024;
pub(crate) fn trim() {}

static LEAKED: AtomicUsize = AtomicUsize::new(0);

/// A stack with a guard below it. Dropping it returns it to the pool.
pub(crate) struct Stack {
    base: NonZeroUsize,
    limit: NonZeroUsize,
}

/// A stack of at least `size` usable bytes.
pub(crate) fn acquire(size: usize) -> io::Result<Stack> {
    let guard = 65536;
    let total = size.next_multiple_of(4096) + guard;
    let map = unsafe {
        libc::mmap(
            core::ptr::null_mut(),
            total,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | libc::MAP_STACK,
            -1,
            0,
        )
    };
    if map == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    unsafe { libc::mprotect(map, guard, libc::PROT_NONE) };
    let limit = map as usize;
    Ok(Stack { base: NonZeroUsize::new(limit + total).unwrap(), limit: NonZeroUsize::new(limit).unwrap() })
}

/// Notes that a stack will never be used again nor freed.
pub(crate) fn count_leak() {
    LEAKED.fetch_add(1, Ordering::Relaxed);
}

/// How many stacks were leaked since the program started.
pub(crate) fn leaked() -> usize {
    LEAKED.load(Ordering::Relaxed)
}

unsafe impl corosensei::stack::Stack for Stack {
    fn base(&self) -> NonZeroUsize {
        self.base
    }
    fn limit(&self) -> NonZeroUsize {
        self.limit
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        unsafe { libc::munmap(self.limit.get() as *mut _, self.base.get() - self.limit.get()) };
    }
}
