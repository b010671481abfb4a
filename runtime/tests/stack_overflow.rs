//! A green thread that uses up its stack ends the process with a report that names it and says what to do. This file runs itself
//! again, since the process ends.

#![expect(clippy::print_stdout, reason = "the child process tells its parent an id")]

use std::hint::black_box;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Output};

const CHILD: &str = "OSIER_STACK_OVERFLOW";
const SIGABRT: i32 = 6;
const SIGSEGV: i32 = 11;

#[expect(unconditional_recursion, reason = "overflows a stack")]
fn recurse(depth: usize) -> usize {
    let frame = black_box([depth; 32]);
    recurse(depth + 1) + frame[31]
}

fn run_child(what: &str) -> Output {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "an_overflow_is_reported_by_name", "--nocapture"]);
    command.env(CHILD, what).output().unwrap()
}

fn child(what: &str) {
    if what == "greenlet" {
        osier::greenlet::scope(|| {
            osier::greenlet::Greenlet::new(|()| {
                black_box(recurse(0));
            })
            .switch(())
        })
        .unwrap();
    }
    osier::run(|| match what {
        "named" => {
            let deep = osier::thread::Builder::new().name("deep".into()).stack_size(65_536);
            let handle = deep
                .spawn(|| {
                    println!("id {:?}", osier::thread::current().id());
                    black_box(recurse(0));
                })
                .unwrap();
            let _ = handle.join();
        }
        "unnamed" => {
            let _ = osier::spawn(|| black_box(recurse(0))).join();
        }
        "greenlet inside" => {
            let inside = || {
                let deep = osier::greenlet::Greenlet::with_stack_size(65_536, |()| {
                    black_box(recurse(0));
                });
                deep.switch(()).unwrap();
            };
            let _ = osier::thread::Builder::new()
                .name("outer".into())
                .spawn(move || osier::greenlet::scope(inside))
                .unwrap()
                .join();
        }
        "null" => {
            let null = black_box(std::ptr::null_mut::<u8>());
            // SAFETY: none; it is the fault that is tested.
            unsafe { null.write_volatile(1) };
        }
        other => panic!("{other}"),
    });
}

#[test]
fn an_overflow_is_reported_by_name() {
    if let Ok(what) = std::env::var(CHILD) {
        return child(&what);
    }
    let output = run_child("named");
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.signal(), Some(SIGABRT), "{stderr}");
    let id = stdout.split_once("id ThreadId(").and_then(|(_, rest)| rest.split_once(')')).unwrap().0;
    let line = format!("green thread 'deep' (id {id}) has overflowed its stack of 65536 bytes\n");
    assert!(stderr.contains(&line), "{line}{stderr}");
    assert!(stderr.contains("`osier::thread::Builder::stack_size`"), "{stderr}");

    let output = run_child("unnamed");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.signal(), Some(SIGABRT), "{stderr}");
    assert!(stderr.contains("green thread 'green-thread-"), "{stderr}");
    assert!(stderr.contains("has overflowed its stack of 262144 bytes\n"), "{stderr}");

    let output = run_child("greenlet");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.signal(), Some(SIGABRT), "{stderr}");
    assert!(
        stderr.contains("\na greenlet or generator has overflowed its stack of 262144 bytes\n"),
        "{stderr}"
    );
    assert!(stderr.contains("`with_stack_size`"), "{stderr}");

    let output = run_child("greenlet inside");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.signal(), Some(SIGABRT), "{stderr}");
    assert!(stderr.contains("\na greenlet or generator on green thread 'outer' (id "), "{stderr}");
    assert!(stderr.contains("has overflowed its stack of 65536 bytes\n"), "{stderr}");

    let output = run_child("null");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.signal(), Some(SIGSEGV), "{stderr}");
    assert!(!stderr.contains("overflowed"), "{stderr}");
}
