//! `switch_cost`: the table, and that what it calculates is right.

mod program;

use program::{assert_refuses, lines, run};

/// The three numbers of a row: ms without switches, ms with, ns for one switch.
#[track_caller]
fn row(line: &str, name: &str) -> [f64; 3] {
    let rest = line.trim().strip_prefix(name).unwrap_or_else(|| panic!("{line:?} is not of {name}"));
    let words: Vec<_> = rest.split_whitespace().collect();
    let [without, "ms", with, "ms", switch, "ns"] = words[..] else { panic!("units: {line:?}") };
    [without, with, switch].map(|number| number.parse().expect("a number"))
}

#[test]
fn three_kinds_stand_beside_each_other() {
    let output = run(env!("CARGO_BIN_EXE_switch_cost"), &["--steps", "1000", "--runs", "10"]);
    let lines = lines(&output);
    assert_eq!(lines.len(), 9, "{lines:?}");
    assert_eq!(
        lines[0].split("  ").map(str::trim).filter(|title| !title.is_empty()).collect::<Vec<_>>(),
        ["no switches", "with switches", "one switch"]
    );
    assert_eq!(lines[1], "1 + 2 + ... + 1000 = 500500");
    assert_eq!(lines[5], "1 * 2 * ... * 1000, a number of 2568 digits");
    for (line, name) in [(2, "greenlet"), (3, "green thread"), (4, "OS thread")] {
        let [_, _, switch] = row(&lines[line], name);
        // A step of the sum is so short that 2,000 switches cannot be lost in the noise.
        assert!(switch > 0.0, "{lines:?}");
        row(&lines[line + 4], name);
    }
}

#[test]
fn bad_arguments_are_refused() {
    let bad: &[&[&str]] = &[&["--steps", "0"], &["--runs", "0"], &["--steps", "many"], &["more"]];
    assert_refuses(env!("CARGO_BIN_EXE_switch_cost"), bad);
}
