//! The downloader without arguments: 40 waits of 100 ms at once on one OS thread, with plain lines and on a terminal.

mod downloader_fixture;

use downloader_fixture::{LONG, listing, run};
use std::process::{Command, Stdio};
use std::time::Duration;
use tempfile::tempdir;

#[test]
fn forty_delayed_files_in_under_a_second_on_one_os_thread() {
    let attempt = |arguments: &[&str]| {
        let folder = tempdir().unwrap();
        let outcome = run(folder.path(), arguments);
        assert_eq!((outcome.code, outcome.stderr.as_str()), (0, ""), "{outcome:?}");
        (folder, outcome)
    };
    let (folder, outcome) = attempt(&["--out", "kept"]);
    if outcome.took >= Duration::from_secs(1) {
        // A busy machine: what is no wait takes long, whether the waits of 4 s in all are at the same time or not.
        let (_, one_by_one) = attempt(&["--out", "kept", "--jobs", "1"]);
        assert!(outcome.took + Duration::from_secs(2) < one_by_one.took, "{outcome:?}, {one_by_one:?}");
    }
    assert!(outcome.took >= Duration::from_millis(100), "{outcome:?}");
    assert_eq!(outcome.stdout.matches(" bytes received from http://127.0.0.1:").count(), 40);
    assert!(outcome.stdout.contains("40 of 40 SHA-256 right\n"), "{outcome:?}");
    assert!(outcome.summary().starts_with("40 files, "), "{outcome:?}");
    assert!(outcome.summary().ends_with(" s, 1 OS thread"), "{outcome:?}");
    let names = listing(&folder.path().join("kept"));
    assert_eq!(names.len(), 40);
    assert!(names.iter().all(|name| name.ends_with(".bin")), "{names:?}");
}

#[test]
fn proxy_of_the_environment_is_not_asked() {
    let folder = tempdir().unwrap();
    let mut command = downloader_fixture::downloader(folder.path());
    command.env("http_proxy", "http://127.0.0.1:1/").env("TMPDIR", folder.path());
    let outcome = downloader_fixture::finish(command.spawn().unwrap());
    assert_eq!(outcome.code, 0, "{outcome:?}");
    assert_eq!(listing(folder.path()), [""; 0], "the temporary folder is removed");
}

#[test]
fn terminal_shows_bars_and_ends_with_the_summary() {
    // util-linux's `script` lends the program a terminal; without it there is nothing to look at.
    if Command::new("script").arg("--version").stdout(Stdio::null()).status().is_err() {
        downloader_fixture::skip("no `script` on this machine");
        return;
    }
    let folder = tempdir().unwrap();
    for columns in [40, 120] {
        let program = env!("CARGO_BIN_EXE_downloader");
        let line = format!("stty rows 24 cols {columns}; exec {program}");
        let child = Command::new("timeout")
            .args([
                &LONG.as_secs().to_string(),
                "script",
                "--quiet",
                "--return",
                "--command",
                &line,
                "/dev/null",
            ])
            .current_dir(folder.path())
            .env("TERM", "xterm-256color")
            .env("SHELL", "/bin/sh")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let outcome = downloader_fixture::finish(child);
        assert_eq!(outcome.code, 0, "{outcome:?}");
        assert!(outcome.stdout.contains('━'), "no bar: {outcome:?}");
        assert!(outcome.stdout.contains("file-40.bin"), "{outcome:?}");
        assert!(!outcome.stdout.contains("bytes received from"), "plain lines as well: {outcome:?}");
        assert!(outcome.summary().trim_end().ends_with("1 OS thread"), "{outcome:?}");
    }
}
