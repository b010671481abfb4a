//! Looking up names: libc's own functions, looked up behind ours, for there are no system calls. In a statically linked program
//! there is nothing behind ours, and the answer is a failure with `ENOSYS`.

use crate::sys::errno;
use core::ffi::CStr;
use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};
use libc::{addrinfo, c_char, c_int, c_void, hostent, size_t, sockaddr, socklen_t};

/// One of libc's functions.
struct Found(AtomicPtr<c_void>);

impl Found {
    const fn new() -> Found {
        Found(AtomicPtr::new(ptr::null_mut()))
    }

    /// Its address; `None`, and `errno`, if there is none.
    fn behind(&self, name: &CStr) -> Option<*mut c_void> {
        // Relaxed: the address alone is all there is to see, and whoever looks it up twice finds the same.
        let mut found = self.0.load(Ordering::Relaxed);
        if found.is_null() {
            // SAFETY: the name is a string that ends with a zero byte.
            found = unsafe { libc::dlsym(libc::RTLD_NEXT, name.as_ptr()) };
            self.0.store(found, Ordering::Relaxed);
        }
        if found.is_null() {
            errno::set(libc::ENOSYS);
            return None;
        }
        Some(found)
    }
}

/// As `getaddrinfo(3)`: gives 0 or one of the `EAI_` numbers.
///
/// # Safety
///
/// As there: `node` and `service` must each be null or a string that ends with a zero byte, `hints` null or valid, and `list`
/// valid for a write.
pub unsafe fn getaddrinfo(
    node: *const c_char,
    service: *const c_char,
    hints: *const addrinfo,
    list: *mut *mut addrinfo,
) -> c_int {
    type Function =
        unsafe extern "C" fn(*const c_char, *const c_char, *const addrinfo, *mut *mut addrinfo) -> c_int;
    static FOUND: Found = Found::new();
    let Some(behind) = FOUND.behind(c"getaddrinfo") else {
        return libc::EAI_SYSTEM;
    };
    // SAFETY: libc's function of this name, which has this type.
    let function = unsafe { core::mem::transmute::<*mut c_void, Function>(behind) };
    // SAFETY: the caller's promise.
    unsafe { function(node, service, hints, list) }
}

/// As `getnameinfo(3)`: gives 0 or one of the `EAI_` numbers.
///
/// # Safety
///
/// As there: `address` must be valid for a read, `host` and `service` each null or valid for a write of their lengths.
pub unsafe fn getnameinfo(
    address: *const sockaddr,
    address_len: socklen_t,
    host: *mut c_char,
    host_len: socklen_t,
    service: *mut c_char,
    service_len: socklen_t,
    flags: c_int,
) -> c_int {
    type Function = unsafe extern "C" fn(
        *const sockaddr,
        socklen_t,
        *mut c_char,
        socklen_t,
        *mut c_char,
        socklen_t,
        c_int,
    ) -> c_int;
    static FOUND: Found = Found::new();
    let Some(behind) = FOUND.behind(c"getnameinfo") else {
        return libc::EAI_SYSTEM;
    };
    // SAFETY: libc's function of this name, which has this type.
    let function = unsafe { core::mem::transmute::<*mut c_void, Function>(behind) };
    // SAFETY: the caller's promise.
    unsafe { function(address, address_len, host, host_len, service, service_len, flags) }
}

/// As `gethostbyname(3)`: null if there is none.
///
/// # Safety
///
/// As there: `name` must be a string that ends with a zero byte.
pub unsafe fn gethostbyname(name: *const c_char) -> *mut hostent {
    type Function = unsafe extern "C" fn(*const c_char) -> *mut hostent;
    static FOUND: Found = Found::new();
    let Some(behind) = FOUND.behind(c"gethostbyname") else {
        return ptr::null_mut();
    };
    // SAFETY: libc's function of this name, which has this type.
    let function = unsafe { core::mem::transmute::<*mut c_void, Function>(behind) };
    // SAFETY: the caller's promise.
    unsafe { function(name) }
}

/// As `gethostbyname2(3)`: null if there is none.
///
/// # Safety
///
/// As there: `name` must be a string that ends with a zero byte.
pub unsafe fn gethostbyname2(name: *const c_char, family: c_int) -> *mut hostent {
    type Function = unsafe extern "C" fn(*const c_char, c_int) -> *mut hostent;
    static FOUND: Found = Found::new();
    let Some(behind) = FOUND.behind(c"gethostbyname2") else {
        return ptr::null_mut();
    };
    // SAFETY: libc's function of this name, which has this type.
    let function = unsafe { core::mem::transmute::<*mut c_void, Function>(behind) };
    // SAFETY: the caller's promise.
    unsafe { function(name, family) }
}

/// As `gethostbyaddr(3)`: null if there is none.
///
/// # Safety
///
/// As there: `address` must be valid for a read of `address_len` bytes.
pub unsafe fn gethostbyaddr(address: *const c_void, address_len: socklen_t, family: c_int) -> *mut hostent {
    type Function = unsafe extern "C" fn(*const c_void, socklen_t, c_int) -> *mut hostent;
    static FOUND: Found = Found::new();
    let Some(behind) = FOUND.behind(c"gethostbyaddr") else {
        return ptr::null_mut();
    };
    // SAFETY: libc's function of this name, which has this type.
    let function = unsafe { core::mem::transmute::<*mut c_void, Function>(behind) };
    // SAFETY: the caller's promise.
    unsafe { function(address, address_len, family) }
}

/// As `gethostbyname_r(3)`: gives 0 or the error's number.
///
/// # Safety
///
/// As there: `name` must be a string that ends with a zero byte, `buf` valid for a write of `len` bytes, and the others for writes.
pub unsafe fn gethostbyname_r(
    name: *const c_char,
    host: *mut hostent,
    buf: *mut c_char,
    len: size_t,
    found: *mut *mut hostent,
    failure: *mut c_int,
) -> c_int {
    type Function = unsafe extern "C" fn(
        *const c_char,
        *mut hostent,
        *mut c_char,
        size_t,
        *mut *mut hostent,
        *mut c_int,
    ) -> c_int;
    static FOUND: Found = Found::new();
    let Some(behind) = FOUND.behind(c"gethostbyname_r") else {
        return libc::ENOSYS;
    };
    // SAFETY: libc's function of this name, which has this type.
    let function = unsafe { core::mem::transmute::<*mut c_void, Function>(behind) };
    // SAFETY: the caller's promise.
    unsafe { function(name, host, buf, len, found, failure) }
}

/// As `gethostbyname2_r(3)`: gives 0 or the error's number.
///
/// # Safety
///
/// As there: `name` must be a string that ends with a zero byte, `buf` valid for a write of `len` bytes, and the others for writes.
pub unsafe fn gethostbyname2_r(
    name: *const c_char,
    family: c_int,
    host: *mut hostent,
    buf: *mut c_char,
    len: size_t,
    found: *mut *mut hostent,
    failure: *mut c_int,
) -> c_int {
    type Function = unsafe extern "C" fn(
        *const c_char,
        c_int,
        *mut hostent,
        *mut c_char,
        size_t,
        *mut *mut hostent,
        *mut c_int,
    ) -> c_int;
    static FOUND: Found = Found::new();
    let Some(behind) = FOUND.behind(c"gethostbyname2_r") else {
        return libc::ENOSYS;
    };
    // SAFETY: libc's function of this name, which has this type.
    let function = unsafe { core::mem::transmute::<*mut c_void, Function>(behind) };
    // SAFETY: the caller's promise.
    unsafe { function(name, family, host, buf, len, found, failure) }
}

/// As `gethostbyaddr_r(3)`: gives 0 or the error's number.
///
/// # Safety
///
/// As there: `address` must be valid for a read of `address_len` bytes, `buf` for a write of `len` bytes, and the others for writes.
#[expect(clippy::too_many_arguments, reason = "as many as libc's has")]
pub unsafe fn gethostbyaddr_r(
    address: *const c_void,
    address_len: socklen_t,
    family: c_int,
    host: *mut hostent,
    buf: *mut c_char,
    len: size_t,
    found: *mut *mut hostent,
    failure: *mut c_int,
) -> c_int {
    type Function = unsafe extern "C" fn(
        *const c_void,
        socklen_t,
        c_int,
        *mut hostent,
        *mut c_char,
        size_t,
        *mut *mut hostent,
        *mut c_int,
    ) -> c_int;
    static FOUND: Found = Found::new();
    let Some(behind) = FOUND.behind(c"gethostbyaddr_r") else {
        return libc::ENOSYS;
    };
    // SAFETY: libc's function of this name, which has this type.
    let function = unsafe { core::mem::transmute::<*mut c_void, Function>(behind) };
    // SAFETY: the caller's promise.
    unsafe { function(address, address_len, family, host, buf, len, found, failure) }
}
