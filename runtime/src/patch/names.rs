//! The group `dns`: names are looked up on the offload pool, by libc's own function. Addresses in figures need no look-up.
//!
//! The pool's OS thread works on copies, for the green thread may be told to end meanwhile: it then answers `EAI_SYSTEM` with
//! `ECANCELED` or `ETIMEDOUT`, and the list that nobody waits for any more is freed over there.

use super::report::count;
use super::wait::{on_green, refuse};
use super::{Group, original};
use crate::scheduler::Worker;
use crate::sys::errno;
use core::ptr;
use libc::{addrinfo, c_char, c_int};
use std::ffi::{CStr, CString};
use std::net::IpAddr;

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn getaddrinfo(
    node: *const c_char,
    service: *const c_char,
    hints: *const addrinfo,
    list: *mut *mut addrinfo,
) -> c_int {
    count!(getaddrinfo);
    let found = on_green(Group::Dns, |worker| {
        // SAFETY: null or valid, says the caller.
        if unsafe { is_known(node, hints) } {
            return None;
        }
        let question = Question {
            // SAFETY: null or a string, says the caller.
            node: unsafe { copy(node) },
            // SAFETY: null or a string, says the caller.
            service: unsafe { copy(service) },
            // SAFETY: null or valid, says the caller.
            hints: unsafe { hints.as_ref() }.map(Hints::of),
        };
        let before = errno::last();
        Some(match ask(worker, question) {
            Ok(answer) => {
                errno::set(before);
                // SAFETY: valid for a write, says the caller.
                unsafe { *list = answer.into_raw() };
                0
            }
            Err(failure) => {
                errno::set(failure.errno.unwrap_or(before));
                failure.code
            }
        })
    });
    // SAFETY: the caller's promise.
    found.flatten().unwrap_or_else(|| unsafe { original::getaddrinfo(node, service, hints, list) })
}

/// Whether there is no name to be looked up: an address was given, or none is wanted.
///
/// # Safety
///
/// As for `getaddrinfo`.
unsafe fn is_known(node: *const c_char, hints: *const addrinfo) -> bool {
    // SAFETY: null or valid, says the caller.
    let hints = unsafe { hints.as_ref() };
    if node.is_null() || hints.is_some_and(|hints| hints.ai_flags & libc::AI_NUMERICHOST != 0) {
        return true;
    }
    // SAFETY: not null, so it is a string, says the caller.
    let node = unsafe { CStr::from_ptr(node) };
    node.to_str().is_ok_and(|node| node.parse::<IpAddr>().is_ok())
}

struct Question {
    node: Option<CString>,
    service: Option<CString>,
    hints: Option<Hints>,
}

/// The fields of the hints that count.
struct Hints {
    flags: c_int,
    family: c_int,
    kind: c_int,
    protocol: c_int,
}

/// A list that libc has made, to be freed by libc.
struct List(*mut addrinfo);

struct Failure {
    /// One of the `EAI_` numbers.
    code: c_int,
    /// What goes with `EAI_SYSTEM`.
    errno: Option<c_int>,
}

// SAFETY: a list belongs to whoever has it, and libc frees it on any OS thread.
unsafe impl Send for List {}

impl List {
    fn into_raw(self) -> *mut addrinfo {
        core::mem::ManuallyDrop::new(self).0
    }
}

impl Drop for List {
    fn drop(&mut self) {
        if !self.0.is_null() {
            // SAFETY: made by `getaddrinfo`, and nobody else has it.
            unsafe { libc::freeaddrinfo(self.0) };
        }
    }
}

impl Failure {
    fn of_system(errno: c_int) -> Failure {
        Failure { code: libc::EAI_SYSTEM, errno: Some(errno) }
    }
}

impl Hints {
    fn of(hints: &addrinfo) -> Hints {
        Hints {
            flags: hints.ai_flags,
            family: hints.ai_family,
            kind: hints.ai_socktype,
            protocol: hints.ai_protocol,
        }
    }

    fn to_raw(&self) -> addrinfo {
        // SAFETY: of numbers and pointers: all zero is what hints without demands are.
        let mut hints: addrinfo = unsafe { core::mem::zeroed() };
        hints.ai_flags = self.flags;
        hints.ai_family = self.family;
        hints.ai_socktype = self.kind;
        hints.ai_protocol = self.protocol;
        hints
    }
}

fn ask(worker: &Worker, question: Question) -> Result<List, Failure> {
    let pool = worker.remote().offload.clone();
    match pool.run(move || look_up(&question)) {
        Ok(Ok(Ok(found))) => found,
        // It does not panic.
        Ok(Ok(Err(_))) => Err(Failure { code: libc::EAI_FAIL, errno: None }),
        // No OS thread.
        Ok(Err(error)) => Err(Failure::of_system(error.raw_os_error().unwrap_or(libc::EAGAIN))),
        Err(cancelled) => {
            let error = refuse(worker, cancelled);
            Err(Failure::of_system(error.raw_os_error().unwrap_or(libc::ECANCELED)))
        }
    }
}

fn look_up(question: &Question) -> Result<List, Failure> {
    let text = |text: &Option<CString>| text.as_ref().map_or(ptr::null(), |text| text.as_ptr());
    let hints = question.hints.as_ref().map(Hints::to_raw);
    let hints = hints.as_ref().map_or(ptr::null(), ptr::from_ref);
    let mut list = ptr::null_mut();
    // SAFETY: all of the question lives until the call returns; `list` is valid for a write.
    let code =
        unsafe { original::getaddrinfo(text(&question.node), text(&question.service), hints, &raw mut list) };
    match code {
        0 => Ok(List(list)),
        libc::EAI_SYSTEM => Err(Failure::of_system(errno::last())),
        code => Err(Failure { code, errno: None }),
    }
}

/// # Safety
///
/// `text` must be null or a string that ends with a zero byte.
unsafe fn copy(text: *const c_char) -> Option<CString> {
    if text.is_null() {
        return None;
    }
    // SAFETY: not null, so it is a string, says the caller.
    Some(unsafe { CStr::from_ptr(text) }.to_owned())
}
