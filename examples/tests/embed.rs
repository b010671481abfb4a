//! `embed`: a foreign loop drives the runtime, and is woken through its descriptor by all that can wake it.

mod program;

use program::{assert_refuses, lines, run};

#[test]
fn everything_wakes_the_foreign_loop_and_nothing_spins() {
    let lines = lines(&run(env!("CARGO_BIN_EXE_embed"), &[]));
    let (last, lines) = lines.split_last().expect("it prints");
    assert_eq!(
        lines,
        [
            "green thread 1: spawned before the first turn",
            "loop: its timer has fired",
            "green thread 2: spawned from another OS thread",
            "green thread 2: its sleep is over",
            "loop: its listener has a connection",
            "loop: its connection says \"hello, loop\"",
            "green thread 2: its connection says \"hello, green thread\"",
        ]
    );
    let wakes = last.strip_prefix("loop: woken ").and_then(|rest| rest.strip_suffix(" times"));
    let wakes: u32 = wakes.and_then(|wakes| wakes.parse().ok()).unwrap_or_else(|| panic!("{last:?}"));
    // Six things wake it; a loop that spins through two sleeps of 20 ms is woken thousands of times.
    assert!((6..100).contains(&wakes), "{last:?}");
}

#[test]
fn bad_arguments_are_refused() {
    assert_refuses(env!("CARGO_BIN_EXE_embed"), &[&["--loop"], &["more"]]);
}
