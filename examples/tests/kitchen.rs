//! `kitchen`: who waits for whom, and how many dishes are served however it ends.

mod program;

use program::{assert_refuses, lines, run};

const KITCHEN: &str = env!("CARGO_BIN_EXE_kitchen");

/// The lines under `title`, without their indentation.
#[track_caller]
fn part<'a>(lines: &'a [String], title: &str) -> Vec<&'a str> {
    let begin = lines.iter().position(|line| line.starts_with(title)).expect("a title") + 1;
    lines[begin..].iter().map_while(|line| line.strip_prefix("  ")).collect()
}

#[test]
fn the_cook_waits_for_room_and_the_waiter_for_dishes() {
    let lines = lines(&run(KITCHEN, &["--room", "1"]));
    assert_eq!(
        part(&lines, "one cook"),
        [
            "cook: dish 1 is on the counter",
            "cook: no room for dish 2",
            "waiter: takes dish 1",
            "cook: dish 2 is on the counter",
            "cook: no room for dish 3",
            "waiter: takes dish 2",
            "cook: dish 3 is on the counter",
            "cook: no room for dish 4",
            "waiter: takes dish 3",
            "cook: dish 4 is on the counter",
            "waiter: takes dish 4",
            "waiter: no cook, no dishes",
        ]
    );
}

#[test]
fn all_is_served_unless_the_word_comes_too_early() {
    for (arguments, made) in
        [(&[][..], 12), (&["--cooks", "1", "--waiters", "7"], 4), (&["--dishes", "9", "--room", "5"], 27)]
    {
        let lines = lines(&run(KITCHEN, arguments));
        for title in ["a word for each waiter", "a waiter goes home", "the kitchen shuts down"] {
            let served = format!("{made} dishes served, 0 left on the counter");
            assert_eq!(part(&lines, title), [served], "{arguments:?}");
        }
        let outcome = part(&lines, "the word comes too early");
        let numbers: Vec<u32> = outcome[0].split([' ', ':']).filter_map(|word| word.parse().ok()).collect();
        let [all, served, left, lost] = numbers[..] else { panic!("{outcome:?}") };
        assert_eq!((all, served + left + lost), (made, made), "{outcome:?}");
        assert!(served < made, "{outcome:?}");
    }
}

#[test]
fn bad_input_is_refused() {
    assert_refuses(KITCHEN, &[&["--cooks", "0"], &["--room", "many"], &["dinner"]]);
}
