//! `locals`: what each green thread has of its own, and until when.

mod program;

use program::{assert_refuses, lines, run};

const LOCALS: &str = env!("CARGO_BIN_EXE_locals");

#[test]
fn each_green_thread_has_its_own_until_it_ends() {
    let printed = lines(&run(LOCALS, &[]));
    let parts: Vec<&[String]> = printed.split(|line| !line.starts_with(' ')).skip(1).collect();
    assert_eq!(
        parts[0],
        [
            "  Ada's: local! has Ada, thread_local! has Cleo",
            "  Bert's: local! has Bert, thread_local! has Cleo",
            "  Cleo's: local! has Cleo, thread_local! has Cleo",
            "  main: local! has nobody, thread_local! has Cleo",
        ]
    );
    assert_eq!(
        parts[1],
        [
            "  Ada's notebook is made",
            "  Bert's green thread ends",
            "  Cleo's notebook is made",
            "  Cleo's green thread ends",
            "  Cleo's notebook is destroyed; lines: 1",
            "  Ada's green thread ends",
            "  Ada's notebook is destroyed; lines: 3",
        ]
    );
    assert_eq!(parts[2], ["  the greenlet's customer is Dora"]);
    assert_eq!(parts.len(), 3);
}

#[test]
fn bad_input_is_refused() {
    assert_refuses(LOCALS, &[&["Ada"], &["--customers", "3"]]);
}
