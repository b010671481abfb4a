//! The list of all shims, and whether each is the one that the process uses.

use super::{Group, connect, names, poll, sendfile, sleep, transfer};
use core::ffi::{CStr, c_void};
use core::fmt;

/// One of libc's functions that is defined here.
#[derive(Clone, Copy)]
pub struct Symbol {
    name: &'static CStr,
    groups: &'static [Group],
    shim: *const c_void,
}

// SAFETY: the pointer is the address of a function.
unsafe impl Send for Symbol {}
// SAFETY: as above.
unsafe impl Sync for Symbol {}

/// Every shim; the one list of them.
pub(super) static TABLE: &[Symbol] = &[
    Symbol::new(c"nanosleep", &[Group::Sleep], sleep::nanosleep as *const c_void),
    Symbol::new(c"clock_nanosleep", &[Group::Sleep], sleep::clock_nanosleep as *const c_void),
    Symbol::new(c"usleep", &[Group::Sleep], sleep::usleep as *const c_void),
    Symbol::new(c"sleep", &[Group::Sleep], sleep::sleep as *const c_void),
    Symbol::new(c"recv", &[Group::Net], transfer::recv as *const c_void),
    Symbol::new(c"recvfrom", &[Group::Net], transfer::recvfrom as *const c_void),
    Symbol::new(c"recvmsg", &[Group::Net], transfer::recvmsg as *const c_void),
    Symbol::new(c"send", &[Group::Net], transfer::send as *const c_void),
    Symbol::new(c"sendto", &[Group::Net], transfer::sendto as *const c_void),
    Symbol::new(c"sendmsg", &[Group::Net], transfer::sendmsg as *const c_void),
    Symbol::new(c"read", &[Group::Net, Group::Pipe, Group::File], transfer::read as *const c_void),
    Symbol::new(c"readv", &[Group::Net, Group::Pipe, Group::File], transfer::readv as *const c_void),
    Symbol::new(c"write", &[Group::Net, Group::Pipe, Group::File], transfer::write as *const c_void),
    Symbol::new(c"writev", &[Group::Net, Group::Pipe, Group::File], transfer::writev as *const c_void),
    Symbol::new(c"sendfile", &[Group::Net], sendfile::sendfile as *const c_void),
    Symbol::new(c"sendfile64", &[Group::Net], sendfile::sendfile64 as *const c_void),
    Symbol::new(c"accept", &[Group::Net], connect::accept as *const c_void),
    Symbol::new(c"accept4", &[Group::Net], connect::accept4 as *const c_void),
    Symbol::new(c"connect", &[Group::Net], connect::connect as *const c_void),
    Symbol::new(c"close", &[Group::Net], connect::close as *const c_void),
    Symbol::new(c"poll", &[Group::Poll], poll::poll as *const c_void),
    Symbol::new(c"ppoll", &[Group::Poll], poll::ppoll as *const c_void),
    Symbol::new(c"getaddrinfo", &[Group::Dns], names::getaddrinfo as *const c_void),
];

/// The functions of libc that are defined here.
///
/// ```
/// let strays: Vec<_> = osier::patch::symbols().iter().filter(|symbol| !symbol.is_linked()).collect();
/// assert!(strays.is_empty(), "taken from libc after all: {strays:?}");
/// ```
#[must_use]
pub fn symbols() -> &'static [Symbol] {
    TABLE
}

impl Symbol {
    const fn new(name: &'static CStr, groups: &'static [Group], shim: *const c_void) -> Symbol {
        Symbol { name, groups, shim }
    }

    /// Its name in libc.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name.to_str().unwrap_or_default()
    }

    /// The groups with which it is activated: several when it depends on what it is called for, as with `read`.
    #[must_use]
    pub fn groups(&self) -> &'static [Group] {
        self.groups
    }

    /// Whether the dynamic linker gives this shim to those that ask for the function by its name: every shared library does,
    /// and an executable that does not define it.
    #[must_use]
    pub fn is_linked(&self) -> bool {
        // SAFETY: the name is a string that ends with a zero byte.
        let found = unsafe { libc::dlsym(libc::RTLD_DEFAULT, self.name.as_ptr()) };
        core::ptr::eq(found, self.shim)
    }
}

impl fmt::Debug for Symbol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Symbol").field("name", &self.name()).field("groups", &self.groups).finish()
    }
}
