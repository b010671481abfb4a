//! The group `dns`: the older ways to look up names, and the other way round, `getnameinfo`.
//!
//! The pool's OS thread works in the caller's memory, so a kill or a deadline waits for its end, which the resolver's own limits
//! bound. The functions without a buffer answer in one that the OS thread keeps, until its next call, as libc's do in one that
//! the process keeps.

use super::pool::with_errno_on_pool;
use super::report::count;
use super::wait::on_green;
use super::{Group, original};
use crate::sys::errno;
use core::cell::RefCell;
use core::ptr;
use libc::{c_char, c_int, c_void, hostent, size_t, sockaddr, socklen_t};

/// What `h_errno` says of a failure that is none of the resolver's.
const NETDB_INTERNAL: c_int = -1;
/// What it says of a name or an address that is not there.
const HOST_NOT_FOUND: c_int = 1;

/// Bytes of the buffer of a first try; the most that any gets.
const FIRST_LEN: usize = 1024;
const LONGEST: usize = 1 << 20;

unsafe extern "C" {
    #[link_name = "__h_errno_location"]
    fn h_errno() -> *mut c_int;
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn getnameinfo(
    address: *const sockaddr,
    address_len: socklen_t,
    host: *mut c_char,
    host_len: socklen_t,
    service: *mut c_char,
    service_len: socklen_t,
    flags: c_int,
) -> c_int {
    count!(getnameinfo);
    // SAFETY: the caller's promise.
    let call = || unsafe {
        original::getnameinfo(address, address_len, host, host_len, service, service_len, flags)
    };
    // SAFETY: libc's function may be called on any OS thread, and does not panic.
    unsafe { off_the_worker(call) }.unwrap_or(libc::EAI_SYSTEM)
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn gethostbyname_r(
    name: *const c_char,
    host: *mut hostent,
    buf: *mut c_char,
    len: size_t,
    found: *mut *mut hostent,
    failure: *mut c_int,
) -> c_int {
    count!(gethostbyname_r);
    // SAFETY: the caller's promise.
    let call = || unsafe { original::gethostbyname_r(name, host, buf, len, found, failure) };
    // SAFETY: the caller's promise, and that of `call`.
    unsafe { host_off_the_worker(call, found, failure) }
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn gethostbyname2_r(
    name: *const c_char,
    family: c_int,
    host: *mut hostent,
    buf: *mut c_char,
    len: size_t,
    found: *mut *mut hostent,
    failure: *mut c_int,
) -> c_int {
    count!(gethostbyname2_r);
    // SAFETY: the caller's promise.
    let call = || unsafe { original::gethostbyname2_r(name, family, host, buf, len, found, failure) };
    // SAFETY: the caller's promise, and that of `call`.
    unsafe { host_off_the_worker(call, found, failure) }
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn gethostbyaddr_r(
    address: *const c_void,
    address_len: socklen_t,
    family: c_int,
    host: *mut hostent,
    buf: *mut c_char,
    len: size_t,
    found: *mut *mut hostent,
    failure: *mut c_int,
) -> c_int {
    count!(gethostbyaddr_r);
    // SAFETY: the caller's promise.
    let call =
        || unsafe { original::gethostbyaddr_r(address, address_len, family, host, buf, len, found, failure) };
    // SAFETY: the caller's promise, and that of `call`.
    unsafe { host_off_the_worker(call, found, failure) }
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn gethostbyname(name: *const c_char) -> *mut hostent {
    count!(gethostbyname);
    // SAFETY: the caller's promise.
    let in_place = || unsafe { original::gethostbyname(name) };
    keep(in_place, |host, buf, len, found, failure| {
        // SAFETY: the caller's promise, and that of `keep`.
        unsafe { gethostbyname_r(name, host, buf, len, found, failure) }
    })
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn gethostbyname2(name: *const c_char, family: c_int) -> *mut hostent {
    count!(gethostbyname2);
    // SAFETY: the caller's promise.
    let in_place = || unsafe { original::gethostbyname2(name, family) };
    keep(in_place, |host, buf, len, found, failure| {
        // SAFETY: the caller's promise, and that of `keep`.
        unsafe { gethostbyname2_r(name, family, host, buf, len, found, failure) }
    })
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn gethostbyaddr(
    address: *const c_void,
    address_len: socklen_t,
    family: c_int,
) -> *mut hostent {
    count!(gethostbyaddr);
    // SAFETY: the caller's promise.
    let in_place = || unsafe { original::gethostbyaddr(address, address_len, family) };
    keep(in_place, |host, buf, len, found, failure| {
        // SAFETY: the caller's promise, and that of `keep`.
        unsafe { gethostbyaddr_r(address, address_len, family, host, buf, len, found, failure) }
    })
}

/// Makes the call on the pool, on a green thread of which the group is active; elsewhere in place. `None`, and `errno`, if the
/// machine gives no OS thread.
///
/// # Safety
///
/// As for `with_errno_on_pool`.
unsafe fn off_the_worker(call: impl Fn() -> c_int) -> Option<c_int> {
    let before = errno::last();
    // SAFETY: the caller's promise.
    let Some(answer) = on_green(Group::Dns, |worker| unsafe { with_errno_on_pool(worker, &call) }) else {
        return Some(call());
    };
    match answer {
        Ok((value, code)) => {
            errno::set(if code == 0 { before } else { code });
            Some(value)
        }
        Err(error) => {
            errno::set(super::wait::code(&error));
            None
        }
    }
}

/// [`off_the_worker`] for a function that says what it has found, and why not.
///
/// # Safety
///
/// As there; and both must be valid for writes.
unsafe fn host_off_the_worker(
    call: impl Fn() -> c_int,
    found: *mut *mut hostent,
    failure: *mut c_int,
) -> c_int {
    // SAFETY: the caller's promise.
    unsafe { off_the_worker(call) }.unwrap_or_else(|| {
        let code = errno::last();
        // SAFETY: the caller's promise.
        unsafe { *found = ptr::null_mut() };
        // SAFETY: the caller's promise.
        unsafe { *failure = NETDB_INTERNAL };
        code
    })
}

/// A host, and what it points at.
struct Kept {
    host: hostent,
    _buf: Vec<c_char>,
}

thread_local! {
    /// The last answer of a function without a buffer.
    static KEPT: RefCell<Option<Box<Kept>>> = const { RefCell::new(None) };
}

/// On a green thread of which the group is active: asks with ever longer buffers, and keeps the answer for this OS thread.
fn keep(
    in_place: impl FnOnce() -> *mut hostent,
    ask: impl Fn(*mut hostent, *mut c_char, size_t, *mut *mut hostent, *mut c_int) -> c_int,
) -> *mut hostent {
    if on_green(Group::Dns, |_| ()).is_none() {
        return in_place();
    }
    let mut len = FIRST_LEN;
    loop {
        let mut buf = vec![0; len];
        // SAFETY: of pointers and numbers: all zero is a host without anything.
        let mut host: hostent = unsafe { core::mem::zeroed() };
        let mut found = ptr::null_mut();
        let mut failure = HOST_NOT_FOUND;
        let code = ask(&raw mut host, buf.as_mut_ptr(), len, &raw mut found, &raw mut failure);
        if code == libc::ERANGE && len < LONGEST {
            len *= 4;
            continue;
        }
        if code != 0 || found.is_null() {
            // SAFETY: the function gives the address of this OS thread's own variable.
            unsafe { *h_errno() = failure };
            return ptr::null_mut();
        }
        // Nothing points at the host itself, only into the buffer, which stays where it is.
        return KEPT.with(|kept| {
            let kept = &mut *kept.borrow_mut();
            &raw mut kept.insert(Box::new(Kept { host, _buf: buf })).host
        });
    }
}
