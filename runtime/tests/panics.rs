//! What a panic on a green thread prints.

mod common;

use common::{in_child, text};

#[test]
fn the_message_names_the_green_thread() {
    let output = in_child("the_message_names_the_green_thread", || {
        osier::run(|| {
            let named = osier::thread::Builder::new().name("baker".into());
            let payload = named.spawn(|| panic!("no flour")).unwrap().join().unwrap_err();
            assert_eq!(common::message(&*payload), "no flour");
            osier::spawn(|| panic!("nor sugar")).join().unwrap_err();
        });
        assert!(std::panic::catch_unwind(|| panic!("outside")).is_err());
    });
    assert!(output.status.success());
    let printed = text(&output.stderr);
    let [before, rest @ ..] = &printed.split("in green thread ").collect::<Vec<_>>()[..] else {
        panic!("{printed}");
    };
    assert_eq!((before.trim(), rest.len()), ("", 2), "{printed}");
    assert!(rest[0].starts_with("'baker' (") && rest[0].contains("no flour"), "{printed}");
    assert!(rest[1].starts_with("'green-thread-") && rest[1].contains("nor sugar"), "{printed}");
    assert!(rest[1].contains("outside"), "a panic elsewhere is announced as without us: {printed}");
}
