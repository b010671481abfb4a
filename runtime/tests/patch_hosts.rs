//! The older look-ups of names, and of addresses, on the offload pool: with one OS thread in it, and that one busy, each lasts as
//! long as we like.

mod patching;

use libc::{c_char, c_int, hostent, in_addr, sockaddr_in};
use patching::{others_go_on, watchdog};
use std::ffi::CStr;
use std::mem::zeroed;
use std::ptr::null_mut;

unsafe extern "C" {
    fn gethostbyname(name: *const c_char) -> *mut hostent;
    fn gethostbyname2(name: *const c_char, family: c_int) -> *mut hostent;
    fn gethostbyaddr(address: *const in_addr, len: u32, family: c_int) -> *mut hostent;
    fn gethostbyname_r(
        name: *const c_char,
        host: *mut hostent,
        buf: *mut c_char,
        len: usize,
        found: *mut *mut hostent,
        failure: *mut c_int,
    ) -> c_int;
    fn __h_errno_location() -> *mut c_int;
}

/// The first address of a host.
fn address(host: *const hostent) -> Option<[u8; 4]> {
    // SAFETY: null, or an answer of libc's that was not overwritten yet.
    let host = unsafe { host.as_ref() }?;
    assert_eq!((host.h_addrtype, host.h_length), (libc::AF_INET, 4));
    // SAFETY: a list that ends with null, of addresses of 4 bytes.
    unsafe { (*host.h_addr_list).cast::<[u8; 4]>().as_ref() }.copied()
}

fn by_buffer(name: &CStr, len: usize) -> (c_int, Option<[u8; 4]>, c_int) {
    // SAFETY: all zero is a host without anything.
    let mut host: hostent = unsafe { zeroed() };
    let (mut buffer, mut found, mut failure) = (vec![0; len], null_mut(), 77);
    // SAFETY: all are valid for writes.
    let code = unsafe {
        gethostbyname_r(name.as_ptr(), &mut host, buffer.as_mut_ptr(), len, &mut found, &mut failure)
    };
    (code, address(found), failure)
}

fn loopback() -> in_addr {
    in_addr { s_addr: u32::from_ne_bytes([127, 0, 0, 1]) }
}

fn name_of(port: u16) -> (c_int, String, String) {
    // SAFETY: all zero is a valid address.
    let mut address: sockaddr_in = unsafe { zeroed() };
    address.sin_family = libc::AF_INET as u16;
    address.sin_port = port.to_be();
    address.sin_addr = loopback();
    let (mut host, mut service) = ([0 as c_char; 256], [0 as c_char; 32]);
    let len = size_of::<sockaddr_in>() as u32;
    // SAFETY: a valid address, and buffers of these lengths.
    let code = unsafe {
        let address = (&raw const address).cast();
        libc::getnameinfo(
            address,
            len,
            host.as_mut_ptr(),
            256,
            service.as_mut_ptr(),
            32,
            libc::NI_NUMERICSERV,
        )
    };
    // SAFETY: strings that end with a zero byte.
    let text = |text: &[c_char]| unsafe { CStr::from_ptr(text.as_ptr()) }.to_string_lossy().into_owned();
    (code, text(&host), text(&service))
}

type Lookup = fn() -> Option<[u8; 4]>;

#[test]
fn older_lookups_are_cooperative() {
    osier::patch::all();
    watchdog();
    let lookups: [(&str, Lookup); 5] = [
        // SAFETY: strings that end with a zero byte, here and below.
        ("gethostbyname", || address(unsafe { gethostbyname(c"localhost".as_ptr()) })),
        // SAFETY: as above.
        ("gethostbyname2", || address(unsafe { gethostbyname2(c"localhost".as_ptr(), libc::AF_INET) })),
        // SAFETY: a valid address.
        ("gethostbyaddr", || address(unsafe { gethostbyaddr(&loopback(), 4, libc::AF_INET) })),
        ("gethostbyname_r", || by_buffer(c"localhost", 1024).1),
        ("getnameinfo", || (name_of(80).0 == 0).then_some([127, 0, 0, 1])),
    ];
    let runtime = osier::Builder::new().offload_threads(1).build().unwrap();
    runtime.run(|| {
        for (name, lookup) in lookups {
            let (release, wait) = std::sync::mpsc::channel::<()>();
            let busy = osier::spawn(|| osier::offload(move || wait.recv().is_err()));
            osier::yield_now();
            assert_eq!(others_go_on(name, lookup, || drop(release)), Some([127, 0, 0, 1]), "{name}");
            assert!(busy.join().unwrap());
        }
        let (code, host, service) = name_of(80);
        assert_eq!((code, service.as_str()), (0, "80"));
        assert!(!host.is_empty());
        // What is not there, and a buffer that is too short.
        let (_, found, failure) = by_buffer(c"name.invalid", 1024);
        assert!(found.is_none() && failure != 77);
        assert_eq!(by_buffer(c"localhost", 8).0, libc::ERANGE);
        // SAFETY: a string that ends with a zero byte.
        assert!(unsafe { gethostbyname(c"name.invalid".as_ptr()) }.is_null());
        // SAFETY: this OS thread's own variable.
        assert!(unsafe { *__h_errno_location() } > 0);
        // An answer stays until the OS thread's next question.
        // SAFETY: a string that ends with a zero byte.
        let kept = unsafe { gethostbyname(c"127.0.0.2".as_ptr()) };
        for _ in 0..10 {
            osier::yield_now();
        }
        assert_eq!(address(kept), Some([127, 0, 0, 2]));
        // A kill counts after the look-up.
        let (release, wait) = std::sync::mpsc::channel::<()>();
        let busy = osier::spawn(|| osier::offload(move || wait.recv().is_err()));
        osier::yield_now();
        let killed = osier::spawn(|| {
            let found = by_buffer(c"localhost", 1024).1;
            assert_eq!(found, Some([127, 0, 0, 1]));
            osier::yield_now();
            unreachable!("the next wait unwinds");
        });
        osier::yield_now();
        killed.kill();
        drop(release);
        assert!(killed.join().unwrap_err().is::<osier::thread::Killed>());
        busy.join().unwrap();
    });
    // Elsewhere they are libc's.
    assert_eq!(by_buffer(c"localhost", 1024).1, Some([127, 0, 0, 1]));
}
