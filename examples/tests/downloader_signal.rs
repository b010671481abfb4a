//! Stopping: Ctrl-C and SIGTERM end the program at once, and what is not whole stays in `.part` files.

mod downloader_fixture;

use downloader_fixture::{Server, downloader, finish, listing, send, send_some, wait_for_end, wait_until};
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::time::Duration;
use tempfile::tempdir;

fn stopped_by(signal: Signal) {
    let server = Server::start(|request, stream| match request.path.as_str() {
        "/whole" => send(stream, "", b"whole"),
        "/silent" => wait_for_end(stream),
        _ => {
            send_some(stream, "ETag: \"v\"\r\n", 1000, &[7; 100]);
            wait_for_end(stream);
        }
    });
    let folder = tempdir().unwrap();
    let paths = ["/whole", "/a", "/b", "/silent", "/c", "/never"];
    let child = downloader(folder.path())
        .args(paths.map(|path| server.url(path)))
        // The last one does not get its turn.
        .args(["--jobs", "4"])
        .spawn()
        .unwrap();
    let length = |name: &str| fs::metadata(folder.path().join(name)).map_or(0, |metadata| metadata.len());
    wait_until("four downloads", || {
        folder.path().join("whole").exists()
            && ["a.part", "b.part", "c.part"].iter().all(|name| length(name) == 100)
            && !server.requests("/silent").is_empty()
    });
    kill_process(Pid::from_child(&child), signal).unwrap();
    let outcome = finish(child);
    assert_eq!(outcome.code, 128 + signal.as_raw(), "{outcome:?}");
    assert!(outcome.took < Duration::from_secs(10), "{outcome:?}");
    assert_eq!(outcome.errors().len(), 1, "{outcome:?}");
    assert!(outcome.stderr.contains("stopped"), "{outcome:?}");
    assert!(outcome.summary().starts_with("1 file, 5 unfinished, "), "{outcome:?}");
    let names = listing(folder.path());
    assert_eq!(names, [".a.part", ".b.part", ".c.part", "a.part", "b.part", "c.part", "whole"]);
    assert!(server.requests("/never").is_empty());
}

#[test]
fn interrupt_leaves_only_part_files() {
    stopped_by(Signal::INT);
}

#[test]
fn termination_leaves_only_part_files() {
    stopped_by(Signal::TERM);
}
