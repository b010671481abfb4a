//! `pingpong` and `generators` print what they print in the order that their switches make.

use std::process::{Command, Output};

fn run(program: &str, arguments: &[&str]) -> Output {
    Command::new(program).args(arguments).output().expect("the program runs")
}

#[track_caller]
fn expect(program: &str, lines: &[&str]) {
    let output = run(program, &[]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(String::from_utf8(output.stdout).expect("text").lines().collect::<Vec<_>>(), lines);
    assert_eq!(String::from_utf8(output.stderr).expect("text"), "");
}

#[test]
fn pingpong_alternates() {
    expect(
        env!("CARGO_BIN_EXE_pingpong"),
        &[
            "bare:",
            "  A 1",
            "  B 1",
            "  A 2",
            "  B 2",
            "  main: A is Dead, B is Active",
            "with values:",
            "  A is told Ada",
            "  B is told Ada from A",
            "  A is told Ada from A and B",
            "  A's luggage is dropped",
            "  main is told Ada from A and B",
            "  main: A is Dead, B is Active",
            "  B's luggage is dropped",
            "with a sleep between:",
            "  A 0",
            "  the neighbour goes on while both sleep",
            "  B 1",
            "  A 2",
            "  B 3",
        ],
    );
}

#[test]
fn generators_stand_still_between_two_values() {
    expect(
        env!("CARGO_BIN_EXE_generators"),
        &[
            "two loops in turn:",
            "  A 1",
            "  B 1",
            "  A 2",
            "  B 2",
            "  A 3",
            "producer and consumer:",
            "  consumer says \"ready\"",
            "  producer: sends 1",
            "  consumer: got 1",
            "  consumer says \"200 OK\"",
            "  producer: sends 2",
            "  consumer: got 2",
            "  consumer says \"200 OK\"",
            "  producer: sends 3",
            "  consumer: got 3",
            "  consumer says \"200 OK\"",
            "  consumer: closed after 3 items",
            "next, send, and the return value:",
            "  Err(\"a value was sent to a generator that was not started\")",
            "  Some(\"who are you?\")",
            "  Some(\"where from?\")",
            "  None",
            "  returned Some(\"Ada from nowhere\")",
            "two instances of one body:",
            "  a Some(3), b Some(2), a Some(2), b Some(1), a Some(1), b None",
            "fibonacci as an iterator:",
            "  [0, 1, 1, 2, 3, 5, 8, 13, 21, 34]",
            "fibonacci as an iterable type:",
            "  0  1  1  2  3  5  8  13  21  34",
        ],
    );
}

#[test]
fn help_is_given_and_bad_arguments_are_refused() {
    for program in [env!("CARGO_BIN_EXE_pingpong"), env!("CARGO_BIN_EXE_generators")] {
        let help = run(program, &["--help"]);
        assert!(help.status.success() && String::from_utf8_lossy(&help.stdout).contains("Usage"), "{help:?}");
        let refused = run(program, &["--nonsense"]);
        assert!(!refused.status.success());
        assert_eq!(String::from_utf8_lossy(&refused.stderr).lines().count(), 1, "{refused:?}");
    }
}
