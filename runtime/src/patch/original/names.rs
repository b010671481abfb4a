//! Looking up names: libc's own functions, looked up behind ours, for there are no system calls. In a statically linked program
//! there is nothing behind ours, and the answer is a failure with `ENOSYS`.

use super::super::behind::{Behind, behind};
use crate::sys::errno;
use core::ptr;
use libc::{addrinfo, c_char, c_int, c_void, hostent, size_t, sockaddr, socklen_t};

/// What a function says that libc does not have, and `errno` besides.
fn absent<T>(answer: T) -> T {
    errno::set(libc::ENOSYS);
    answer
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
    // SAFETY: the type of the function.
    static FUNCTION: Behind<Function> = unsafe { Behind::new(c"getaddrinfo", None) };
    behind!(FUNCTION, node, service, hints, list; or absent(libc::EAI_SYSTEM))
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
    // SAFETY: the type of the function.
    static FUNCTION: Behind<Function> = unsafe { Behind::new(c"getnameinfo", None) };
    behind!(FUNCTION, address, address_len, host, host_len, service, service_len, flags; or absent(libc::EAI_SYSTEM))
}

/// As `gethostbyname(3)`: null if there is none.
///
/// # Safety
///
/// As there: `name` must be a string that ends with a zero byte.
pub unsafe fn gethostbyname(name: *const c_char) -> *mut hostent {
    type Function = unsafe extern "C" fn(*const c_char) -> *mut hostent;
    // SAFETY: the type of the function.
    static FUNCTION: Behind<Function> = unsafe { Behind::new(c"gethostbyname", None) };
    behind!(FUNCTION, name; or absent(ptr::null_mut()))
}

/// As `gethostbyname2(3)`: null if there is none.
///
/// # Safety
///
/// As there: `name` must be a string that ends with a zero byte.
pub unsafe fn gethostbyname2(name: *const c_char, family: c_int) -> *mut hostent {
    type Function = unsafe extern "C" fn(*const c_char, c_int) -> *mut hostent;
    // SAFETY: the type of the function.
    static FUNCTION: Behind<Function> = unsafe { Behind::new(c"gethostbyname2", None) };
    behind!(FUNCTION, name, family; or absent(ptr::null_mut()))
}

/// As `gethostbyaddr(3)`: null if there is none.
///
/// # Safety
///
/// As there: `address` must be valid for a read of `address_len` bytes.
pub unsafe fn gethostbyaddr(address: *const c_void, address_len: socklen_t, family: c_int) -> *mut hostent {
    type Function = unsafe extern "C" fn(*const c_void, socklen_t, c_int) -> *mut hostent;
    // SAFETY: the type of the function.
    static FUNCTION: Behind<Function> = unsafe { Behind::new(c"gethostbyaddr", None) };
    behind!(FUNCTION, address, address_len, family; or absent(ptr::null_mut()))
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
    // SAFETY: the type of the function.
    static FUNCTION: Behind<Function> = unsafe { Behind::new(c"gethostbyname_r", None) };
    behind!(FUNCTION, name, host, buf, len, found, failure; or absent(libc::ENOSYS))
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
    // SAFETY: the type of the function.
    static FUNCTION: Behind<Function> = unsafe { Behind::new(c"gethostbyname2_r", None) };
    behind!(FUNCTION, name, family, host, buf, len, found, failure; or absent(libc::ENOSYS))
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
    // SAFETY: the type of the function.
    static FUNCTION: Behind<Function> = unsafe { Behind::new(c"gethostbyaddr_r", None) };
    behind!(FUNCTION, address, address_len, family, host, buf, len, found, failure; or absent(libc::ENOSYS))
}
