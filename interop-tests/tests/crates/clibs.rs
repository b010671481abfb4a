//! C libraries of the Debian archive, found when the test runs, so that it builds without them.

use super::{hundred_at_once, servers};
use std::ffi::{CStr, CString, c_char, c_int, c_void};

/// A function of a library, of type `F`.
///
/// # Safety
///
/// The function must have that type.
unsafe fn function<F: Copy>(library: &CStr, name: &CStr) -> Option<F> {
    const { assert!(size_of::<F>() == size_of::<*mut c_void>()) };
    // SAFETY: a string that ends with a zero byte. The library stays open.
    let library_handle = unsafe { libc::dlopen(library.as_ptr(), libc::RTLD_NOW) };
    if library_handle.is_null() {
        servers::missing(&library.to_string_lossy());
        return None;
    }
    // SAFETY: an open library, a string that ends with a zero byte.
    let found = unsafe { libc::dlsym(library_handle, name.as_ptr()) };
    assert!(!found.is_null(), "{name:?}");
    // SAFETY: a pointer to a function of this type, says the caller.
    Some(unsafe { core::mem::transmute_copy(&found) })
}

/// Waits in `poll`, on a nonblocking socket.
#[test]
fn libpq_sleep() {
    type Connect = unsafe extern "C" fn(*const c_char) -> *mut c_void;
    type Execute = unsafe extern "C" fn(*mut c_void, *const c_char) -> *mut c_void;
    type Number = unsafe extern "C" fn(*const c_void) -> c_int;
    type Text = unsafe extern "C" fn(*const c_void) -> *const c_char;
    type Free = unsafe extern "C" fn(*mut c_void);
    const LIBRARY: &CStr = c"libpq.so.5";
    // SAFETY: as libpq-fe.h has it, here and below.
    let Some(connect) = (unsafe { function::<Connect>(LIBRARY, c"PQconnectdb") }) else { return };
    // SAFETY: as above.
    let execute = unsafe { function::<Execute>(LIBRARY, c"PQexec") }.unwrap();
    // SAFETY: as above.
    let status = unsafe { function::<Number>(LIBRARY, c"PQresultStatus") }.unwrap();
    // SAFETY: as above.
    let message = unsafe { function::<Text>(LIBRARY, c"PQerrorMessage") }.unwrap();
    // SAFETY: as above.
    let clear = unsafe { function::<Free>(LIBRARY, c"PQclear") }.unwrap();
    // SAFETY: as above.
    let state = unsafe { function::<Number>(LIBRARY, c"PQstatus") }.unwrap();
    // SAFETY: as above.
    let finish = unsafe { function::<Free>(LIBRARY, c"PQfinish") }.unwrap();
    let Some(server) = servers::postgres() else { return };
    let options = format!(
        "host=127.0.0.1 port={} user=osier dbname=postgres sslmode=disable gssencmode=disable",
        server.port
    );
    let options = CString::new(options).unwrap();
    // It listens before it is ready.
    for attempt in 0.. {
        // SAFETY: a string that ends with a zero byte.
        let connection = unsafe { connect(options.as_ptr()) };
        // SAFETY: what the library has given.
        let connected = unsafe { state(connection) } == 0;
        // SAFETY: as above; not used any more.
        unsafe { finish(connection) };
        if connected {
            break;
        }
        assert!(attempt < 600, "the server does not get ready");
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    const TUPLES_OK: c_int = 2;
    hundred_at_once(
        "libpq (C), pg_sleep",
        // SAFETY: a string that ends with a zero byte.
        move || unsafe { connect(options.as_ptr()) },
        move |connection| {
            // SAFETY: an open connection, a string that ends with a zero byte.
            let result = unsafe { execute(*connection, c"select pg_sleep(0.1)".as_ptr()) };
            // SAFETY: a result, or null, which counts as a failure.
            let status = unsafe { status(result) };
            // SAFETY: an open connection, whose message ends with a zero byte.
            let message = unsafe { CStr::from_ptr(message(*connection)) };
            assert_eq!(status, TUPLES_OK, "{message:?}");
            // SAFETY: not used any more.
            unsafe { clear(result) };
        },
    );
}

/// Waits in `recv`, on a blocking socket.
#[test]
fn hiredis_blpop() {
    type Connect = unsafe extern "C" fn(*const c_char, c_int) -> *mut c_void;
    type Execute = unsafe extern "C" fn(*mut c_void, *const c_char, ...) -> *mut c_void;
    type Free = unsafe extern "C" fn(*mut c_void);
    let library =
        [c"libhiredis.so.0.14", c"libhiredis.so.1.1.0", c"libhiredis.so"].into_iter().find(|name| {
            // SAFETY: a string that ends with a zero byte.
            !unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW) }.is_null()
        });
    let library = library.unwrap_or(c"libhiredis.so");
    // SAFETY: as hiredis.h has it, here and below.
    let Some(connect) = (unsafe { function::<Connect>(library, c"redisConnect") }) else { return };
    // SAFETY: as above.
    let execute = unsafe { function::<Execute>(library, c"redisCommand") }.unwrap();
    // SAFETY: as above.
    let free = unsafe { function::<Free>(library, c"freeReplyObject") }.unwrap();
    let Some(server) = servers::redis() else { return };
    let port = c_int::from(server.port);
    const NIL: c_int = 4;
    hundred_at_once(
        "hiredis (C), BLPOP",
        // SAFETY: a string that ends with a zero byte.
        move || unsafe { connect(c"127.0.0.1".as_ptr(), port) },
        move |context| {
            // SAFETY: an open connection, a command without arguments.
            let reply = unsafe { execute(*context, c"BLPOP nothing 0.1".as_ptr()) };
            assert!(!reply.is_null());
            // SAFETY: a reply begins with its type.
            assert_eq!(unsafe { *reply.cast::<c_int>() }, NIL);
            // SAFETY: not used any more.
            unsafe { free(reply) };
        },
    );
}
