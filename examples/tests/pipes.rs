//! `pipes`: what parent and children say to each other, and who sees what.

mod program;

use program::{assert_refuses, lines, run};

const PIPES: &str = env!("CARGO_BIN_EXE_pipes");

#[test]
fn messages_arrive_and_changes_do_not() {
    // On a busy machine the answer may be there before the other green thread is woken.
    let stands_still = |line: &String| line.ends_with("; the other green thread stood still");
    let mut attempts = std::iter::repeat_with(|| lines(&run(PIPES, &["--to", "20000"]))).take(10);
    let printed =
        attempts.find(|lines| !lines.iter().any(stands_still)).expect("it goes on, once in ten times");
    let parts: Vec<&[String]> = printed.split(|line| !line.starts_with(' ')).skip(1).collect();
    assert_eq!(
        parts[0],
        [
            "  child: \"acorn\" came",
            "  child: \"twig\" came",
            "  child: that was all",
            "  parent: the child has ended",
        ]
    );
    assert_eq!(
        parts[1],
        [
            "  parent: \"willow\" was answered with \"WILLOW\"; the other green thread went on",
            "  parent: \"osier\" was answered with \"OSIER\"; the other green thread went on",
        ]
    );
    assert_eq!(parts[2], ["  parent's child 1 sees 1", "  parent sees 10"]);
    assert_eq!(
        parts[3],
        [
            "  parent's child 1's child 2 sees 2",
            "  parent's child 1 sees 11",
            "  parent's child 2 sees 11",
            "  parent sees 20",
        ]
    );
    let mut sums = parts[4].iter();
    for to in [1000_u64, 20_000] {
        assert_eq!(sums.next(), Some(&format!("  1 + 2 + ... + {to}:")));
        let sum = to * (to + 1) / 2;
        for (who, variable) in [
            ("green threads, which take turns", ""),
            ("processes, on all processors", "; the parent's variable still has 0"),
            ("OS threads, on all processors", ""),
        ] {
            let row = sums.next().expect("a row");
            assert!(row.starts_with(&format!("    {who}: {sum} after ")), "{row}");
            assert!(row.ends_with(&format!(" ms{variable}")), "{row}");
        }
    }
    assert_eq!((sums.next(), parts.len()), (None, 5));
}

#[test]
fn bad_input_is_refused() {
    assert_refuses(PIPES, &[&["--to", "0"], &["--to", "far"], &["processes"]]);
}
