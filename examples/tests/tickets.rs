//! `tickets`: oversold, then not; and updates that are lost, then not.

mod program;

use program::{assert_refuses, lines, run};

const TICKETS: &str = env!("CARGO_BIN_EXE_tickets");

/// The number at the end of a line.
#[track_caller]
fn last_number(line: &str) -> u64 {
    line.rsplit(' ').next().and_then(|word| word.parse().ok()).unwrap_or_else(|| panic!("{line}"))
}

/// How many tickets the line says were sold.
#[track_caller]
fn sold(line: &str, how: &str) -> u32 {
    let number = line.strip_prefix(&format!("  {how}: ")).and_then(|rest| rest.strip_suffix(" sold, 0 left"));
    number.and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("{line}"))
}

#[test]
fn only_a_lock_keeps_the_ticket_from_being_sold_twice() {
    let times = 100_000;
    let attempt = || lines(&run(TICKETS, &["--times", &times.to_string()]));
    // On a busy machine the second process may come when the first is done.
    let oversold = |lines: &Vec<String>| sold(&lines[4], "without a lock") > 1;
    let lines =
        std::iter::repeat_with(attempt).take(10).find(oversold).expect("sold twice, once in ten times");
    assert_eq!(lines[0], "10 green threads, one ticket:");
    assert_eq!(sold(&lines[1], "without a lock"), 10);
    assert_eq!(sold(&lines[2], "with a lock"), 1);
    assert_eq!(lines[3], "10 processes, one ticket:");
    assert_eq!(sold(&lines[5], "with a lock"), 1);
    let counters: Vec<u64> = lines[7..].iter().map(|line| last_number(line)).collect();
    let [quick, waiting, workers, os, locked, atomic] = counters[..] else { panic!("{lines:?}") };
    assert_eq!((quick, locked, atomic), (2 * times, 2 * times, 2 * times), "{lines:?}");
    assert!([waiting, workers, os].iter().all(|counter| (1..2 * times).contains(counter)), "{lines:?}");
}

#[test]
fn bad_input_is_refused() {
    assert_refuses(TICKETS, &[&["--buyers", "0"], &["--times", "often"], &["two"], &["--buy", "/nowhere"]]);
    let nowhere = run(TICKETS, &["--buy", "/nowhere", "--locking", "with"]);
    let said = String::from_utf8_lossy(&nowhere.stderr).into_owned();
    assert!(
        !nowhere.status.success() && said.lines().count() == 1 && said.starts_with("tickets: "),
        "{said}"
    );
}
