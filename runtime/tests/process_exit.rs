//! `osier::process::exit` ends the process from anywhere, and runs nothing on stacks that are suspended.

mod common;

use common::{in_child, text};
use osier::generator::Generator;
use std::cell::RefCell;
use std::io::Write;
use std::time::Duration;

/// Would resume a suspended stack, or wait, in the destructor of a thread-local.
struct Trap(#[expect(dead_code, reason = "dropped")] Generator<u8>);

impl Trap {
    /// With a stack that is suspended.
    fn set() {
        let mut generator = Generator::new(|yielder| {
            yielder.yield_(1);
        });
        assert_eq!(generator.next(), Some(1));
        TRAP.set(Some(Trap(generator)));
    }
}

impl Drop for Trap {
    fn drop(&mut self) {
        let _ = std::io::stderr().write_all(b"a thread-local was destroyed\n");
        osier::sleep(Duration::from_millis(1));
    }
}

thread_local! {
    static TRAP: RefCell<Option<Trap>> = const { RefCell::new(None) };
}

/// What the child says and how it ends.
fn assert_ends(name: &str, body: impl FnOnce()) {
    let output = in_child(name, || {
        std::io::stdout().write_all(b"no line end, so it is buffered").unwrap();
        body();
    });
    assert_eq!(output.status.code(), Some(7), "{output:?}");
    assert!(text(&output.stdout).ends_with("no line end, so it is buffered"), "{output:?}");
    assert_eq!(text(&output.stderr), "");
}

#[test]
fn from_a_green_thread_with_others_suspended() {
    assert_ends("from_a_green_thread_with_others_suspended", || {
        osier::run(|| {
            osier::spawn(|| {
                let _destructor = common::OnDrop::new(|| {
                    let _ = std::io::stderr().write_all(b"a stack was unwound");
                });
                osier::thread::park();
            });
            Trap::set();
            osier::yield_now();
            osier::spawn(|| osier::process::exit(7)).join().unwrap();
        });
    });
}

#[test]
fn from_the_main_green_thread() {
    assert_ends("from_the_main_green_thread", || {
        osier::run(|| {
            Trap::set();
            osier::process::exit(7)
        })
    });
}

#[test]
fn with_stdout_locked() {
    assert_ends("with_stdout_locked", || {
        let _stdout = std::io::stdout().lock();
        osier::run(|| osier::process::exit(7));
    });
}

#[test]
fn between_green_threads() {
    assert_ends("between_green_threads", || {
        osier::Builder::new().build().unwrap().enter(|driver| {
            osier::spawn(osier::thread::park);
            driver.turn(Some(Duration::ZERO));
            osier::process::exit(7)
        });
    });
}

#[test]
fn from_a_greenlet_scope() {
    assert_ends("from_a_greenlet_scope", || {
        osier::greenlet::scope(|| {
            Trap::set();
            osier::process::exit(7)
        });
    });
}

#[test]
fn on_a_plain_os_thread_it_is_stds() {
    assert_ends("on_a_plain_os_thread_it_is_stds", || osier::process::exit(7));
}
