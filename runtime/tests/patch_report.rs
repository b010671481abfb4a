//! What `patch::report` tells: for each shim whether it is there and active, and what green threads have done with it.

use osier::patch::{Group, Report, Shim};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::atomic::AtomicU32;

fn shim(name: &str) -> Shim {
    let Report { shims, .. } = osier::patch::report();
    shims.into_iter().find(|shim| shim.symbol.name() == name).unwrap()
}

fn send_and_receive(waits: bool) {
    let (mut one, mut other) = UnixStream::pair().unwrap();
    if !waits {
        other.write_all(b"x").unwrap();
        return one.read_exact(&mut [0]).unwrap();
    }
    let reader = osier::spawn(move || one.read_exact(&mut [0]).unwrap());
    osier::yield_now();
    other.write_all(b"x").unwrap();
    reader.join().unwrap();
}

#[test]
fn calls_and_waits_of_green_threads_are_counted() {
    osier::run(|| send_and_receive(false));
    let read = shim("recv");
    assert!(read.linked && !read.active);
    assert_eq!((read.calls, read.waits), (0, 0), "not active");

    osier::patch::group(Group::Net);
    assert!(shim("recv").active && !shim("syscall").active);
    send_and_receive(false);
    assert_eq!(shim("recv").calls, 0, "not on a green thread");
    osier::run(|| {
        send_and_receive(false);
        let name = if shim("recv").calls > 0 { "recv" } else { "read" };
        assert_eq!((shim(name).calls, shim(name).waits), (1, 0));
        send_and_receive(true);
        let after = shim(name);
        assert_eq!((after.calls, after.waits), (2, 1));
    });

    osier::patch::all();
    assert!(osier::patch::report().blocking.iter().all(|(_, count)| *count == 0));
    osier::run(|| {
        static WORD: AtomicU32 = AtomicU32::new(0);
        for operation in [libc::FUTEX_LOCK_PI, libc::FUTEX_UNLOCK_PI] {
            // SAFETY: the word is there for ever; no time.
            assert_eq!(unsafe { libc::syscall(libc::SYS_futex, WORD.as_ptr(), operation, 0, 0) }, 0);
        }
    });
    let report = osier::patch::report();
    let priorities = report.blocking.iter().find(|(what, _)| what.contains("priority inheritance")).unwrap();
    assert_eq!(priorities.1, 1);
    let text = report.to_string();
    assert!(text.contains("blocked the OS thread, 1 times: syscall(SYS_futex, ..) with"), "{text}");
    for shim in &report.shims {
        assert!(shim.linked, "{} was taken from libc", shim.symbol.name());
        assert!(text.contains(shim.symbol.name()));
    }
}
