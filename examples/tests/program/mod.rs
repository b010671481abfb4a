//! Running a program of this crate, and looking at what it printed.
#![allow(dead_code, reason = "not every test looks at everything")]

use std::process::{Command, Output};

pub(crate) fn run(program: &str, arguments: &[&str]) -> Output {
    Command::new(program).args(arguments).output().expect("the program runs")
}

/// What a program that went well has printed; nothing on standard error.
#[track_caller]
pub(crate) fn lines(output: &Output) -> Vec<String> {
    assert!(output.status.success(), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    String::from_utf8(output.stdout.clone()).expect("text").lines().map(str::to_owned).collect()
}

/// The program has `--help`, and says in one line what is wrong with each of these arguments.
#[track_caller]
pub(crate) fn assert_refuses(program: &str, bad: &[&[&str]]) {
    let help = run(program, &["--help"]);
    assert!(help.status.success() && String::from_utf8_lossy(&help.stdout).contains("Usage:"), "{help:?}");
    for arguments in bad {
        let refused = run(program, arguments);
        assert!(!refused.status.success(), "{arguments:?}: {refused:?}");
        assert_eq!(String::from_utf8_lossy(&refused.stderr).lines().count(), 1, "{arguments:?}: {refused:?}");
        assert_eq!(String::from_utf8_lossy(&refused.stdout), "", "{arguments:?}");
    }
}
