//! `spawn`: in turn and interleaved; 5 s, then 3 s.

mod program;

use program::{assert_refuses, lines, run};

const IN_TURN: [&str; 9] = ["A 1", "A 2", "A 3", "B 1", "B 2", "B 3", "C 1", "C 2", "C 3"];
const INTERLEAVED: [&str; 9] = ["A 1", "B 1", "C 1", "A 2", "B 2", "C 2", "A 3", "B 3", "C 3"];

/// What a line says that a part took, in its seconds.
fn took(line: &str) -> f64 {
    let seconds = line.trim().strip_prefix("took ").and_then(|rest| rest.strip_suffix(" s"));
    seconds.and_then(|seconds| seconds.parse().ok()).unwrap_or_else(|| panic!("no time: {line:?}"))
}

#[test]
fn the_order_tells_who_waits_cooperatively() {
    // Nearly 3.0 on a machine at rest; a sleep is never short, and on a busy one it may be late.
    let together = std::iter::repeat_with(together).take(10).find(|seconds| *seconds < 5.0);
    assert!(together.is_some_and(|seconds| seconds >= 3.0), "{together:?}");
}

/// Checks the orders; how long the two took that sleep at the same time.
fn together() -> f64 {
    let lines = lines(&run(env!("CARGO_BIN_EXE_spawn"), &["--second", "200"]));
    let mut expected = Vec::new();
    for (title, order) in [
        ("nobody waits:", IN_TURN),
        ("osier's sleep between two lines:", INTERLEAVED),
        ("std's sleep, not patched:", IN_TURN),
        ("std's sleep, patched:", INTERLEAVED),
    ] {
        expected.push(title.to_owned());
        expected.extend(order.map(|line| format!("  {line}")));
    }
    let (orders, tasks) = lines.split_at(expected.len());
    assert_eq!(orders, expected);

    let [one_after_the_other, together] = [&tasks[..6], &tasks[6..]];
    let expected = ["2 s and 3 s, one after the other:", "  A begins", "  A ends", "  B begins", "  B ends"];
    assert_eq!(one_after_the_other[..5], expected);
    assert!(took(&one_after_the_other[5]) >= 5.0, "{tasks:?}");
    let expected = ["2 s and 3 s, together:", "  A begins", "  B begins", "  A ends", "  B ends"];
    assert_eq!(together[..5], expected);
    assert_eq!(together.len(), 6);
    took(&together[5])
}

#[test]
fn bad_arguments_are_refused() {
    assert_refuses(env!("CARGO_BIN_EXE_spawn"), &[&["--second", "0"], &["--second", "soon"], &["three"]]);
}
