//! Programs of C, compiled as their authors would and run: the library and its header from the side that they are made for.

mod c;

use c::{Link, compile, compile_with, has, library, run};
use std::os::unix::process::ExitStatusExt;
use std::process::Command;

/// Compiles a program of `tests/c` and has it say that all was well.
fn passes(name: &str) {
    let output = run(&mut Command::new(compile(&format!("tests/c/{name}.c"), Link::Shared)));
    assert_eq!((output.stdout.as_str(), output.status.code()), ("passed\n", Some(0)), "{}", output.stderr);
}

#[test]
fn hello() {
    let output = run(&mut Command::new(compile("examples/hello.c", Link::Shared)));
    assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("hello from 100 green threads\n", ""));
    assert!(output.status.success());
}

#[test]
fn echo() {
    let output = run(&mut Command::new(compile("examples/echo.c", Link::Shared)));
    assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("50 clients, 1000 lines echoed\n", ""));
    assert!(output.status.success());
}

#[test]
fn sleepers_sleep_at_the_same_time_however_the_program_is_linked() {
    for linker in ["bfd", "lld", "gold"] {
        if !has(&format!("ld.{linker}")) {
            continue;
        }
        for link in [Link::Shared, Link::Archive] {
            let with = format!("-fuse-ld={linker}");
            let program = compile_with("tests/c/sleepers.c", link, &[&with], &format!("{linker}-{link:?}"));
            let output = run(&mut Command::new(program));
            assert_eq!(output.stdout, "passed\n", "{linker}, {link:?}: {}", output.stderr);
        }
    }
}

/// The other library stands in front of ours, so that its calls would find libc's functions if anybody's did.
#[test]
fn other_shared_libraries_call_the_shims() {
    let other = c::shared_library("tests/c/other.c");
    for link in [Link::Shared, Link::Archive] {
        let flags = ["-DOTHER_LIBRARY", other.to_str().unwrap()];
        let program = compile_with("tests/c/sleepers.c", link, &flags, &format!("other-{link:?}"));
        let output = run(&mut Command::new(program));
        assert_eq!(output.stdout, "passed\n", "{link:?}: {}", output.stderr);
    }
}

#[test]
fn a_library_that_is_opened_late_says_so() {
    let program = compile_with("tests/c/late.c", Link::Nothing, &["-ldl"], "late");
    let late = run(Command::new(&program).arg(library("libosier_c.so")));
    assert_eq!(late.stdout, "too late\n", "{}", late.stderr);
    let preloaded = run(Command::new(&program).env("LD_PRELOAD", library("libosier_c.so")));
    assert_eq!(preloaded.stdout, "in time\n", "{}", preloaded.stderr);
}

#[test]
fn locks_and_pipes() {
    passes("locks");
}

#[test]
fn kills_and_deadlines() {
    passes("kill");
}

#[test]
fn forks() {
    passes("fork");
}

#[test]
fn several_workers() {
    passes("workers");
}

#[test]
fn settings_and_reports() {
    let output = run(&mut Command::new(compile("tests/c/settings.c", Link::Shared)));
    assert_eq!(output.stdout, "passed\n", "{}", output.stderr);
    let report = "osier: deadlock: no green thread can run\n  green thread 'main'";
    assert!(output.stderr.contains(report), "{}", output.stderr);
}

#[test]
fn waits_that_an_os_thread_may_end() {
    passes("stuck");
}

#[test]
fn misuse() {
    passes("misuse");
}

#[test]
fn offload() {
    passes("offload");
}

#[test]
fn exit() {
    let output = run(&mut Command::new(compile("tests/c/exit.c", Link::Shared)));
    assert_eq!(
        (output.stdout.as_str(), output.status.code()),
        ("buffered, at exit\n", Some(3)),
        "{}",
        output.stderr
    );
}

#[test]
fn two_runtimes_and_nothing_left() {
    passes("runtimes");
}

#[test]
fn an_overflow_says_whose_stack_it_was() {
    let output = run(&mut Command::new(compile("tests/c/overflow.c", Link::Shared)));
    assert_eq!(output.status.signal(), Some(6), "{output:?}");
    assert!(output.stderr.contains("green thread 'baker'"), "{}", output.stderr);
}

#[test]
fn a_function_that_does_not_return_aborts() {
    let mut programs = vec![compile("tests/c/leaves.c", Link::Shared)];
    if has("c++") {
        programs.push(compile_with("tests/c/leaves.c", Link::Shared, &["-x", "c++"], "leaves-c++"));
    }
    for program in programs {
        for arguments in [&[][..], &["main"]] {
            let output = run(Command::new(&program).args(arguments));
            assert_eq!(output.status.signal(), Some(6), "{output:?}");
            let sentence = "osier: a function that was given to Osier must return";
            assert!(output.stderr.contains(sentence), "{}", output.stderr);
        }
    }
}
