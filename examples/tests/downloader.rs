//! What the downloader makes of servers that behave: names, lists, compression, limits, wrong command lines.

mod downloader_fixture;

use downloader_fixture::{Outcome, Server, downloader, finish, listing, noise, run, send, wait_until};
use std::fs;
use std::io::Write;
use std::process::Stdio;
use std::sync::{Condvar, Mutex};
use std::time::Duration;
use tempfile::tempdir;

#[track_caller]
fn assert_well(outcome: &Outcome) {
    assert_eq!(outcome.code, 0, "{outcome:?}");
    assert_eq!(outcome.stderr, "", "{outcome:?}");
}

#[test]
fn files_arrive_under_their_names() {
    let body = noise(1, 300_000);
    let copy = body.clone();
    let server = Server::start(move |request, stream| match request.path.as_str() {
        "/named" => send(stream, "Content-Disposition: attachment; filename=\"of server.bin\"\r\n", &copy),
        "/moved" => downloader_fixture::send_raw(
            stream,
            b"HTTP/1.1 302 Found\r\nLocation: /named\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        ),
        _ => send(stream, "", &copy),
    });
    let folder = tempdir().unwrap();
    let plain = server.url("/dir/a%20b.bin?x=1");
    let given = format!("{}=given.bin", server.url("/dir/c.bin"));
    let outcome = run(
        folder.path(),
        &[plain.clone(), given, server.url("/named"), server.url("/moved"), server.url("/")],
    );
    assert_well(&outcome);
    let names = ["a b.bin", "given.bin", "index.html", "of server-2.bin", "of server.bin"];
    assert_eq!(listing(folder.path()), names);
    for name in names {
        assert!(fs::read(folder.path().join(name)).unwrap() == body, "{name} differs");
    }
    assert!(outcome.stdout.contains(&format!("300000 bytes received from {plain}\n")), "{outcome:?}");
    assert!(outcome.summary().starts_with("5 files, 1500000 bytes, "), "{outcome:?}");
}

#[test]
fn list_comes_from_a_file_and_from_standard_input() {
    let server = Server::start(|request, stream| send(stream, "", request.path.as_bytes()));
    let folder = tempdir().unwrap();
    fs::write(
        folder.path().join("list"),
        format!("# comment\n\n  {}  \r\n{}=b\n", server.url("/a"), server.url("/x")),
    )
    .unwrap();
    let mut child = downloader(folder.path())
        .args(["--input", "list", "--out", "new/out", "-"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    writeln!(child.stdin.take().unwrap(), "{}", server.url("/c")).unwrap();
    assert_well(&finish(child));
    assert_eq!(listing(&folder.path().join("new/out")), ["a", "b", "c"]);
}

#[test]
fn nothing_is_overwritten() {
    let server = Server::start(|_, stream| send(stream, "", b"new"));
    let folder = tempdir().unwrap();
    let file = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
    fs::write(folder.path().join("a.txt"), "old").unwrap();
    fs::write(folder.path().join("g.txt"), "old").unwrap();
    let [a, b, given, g] = ["/x/a.txt", "/y/a.txt", "/g=g.txt", "/1=twice"].map(|path| server.url(path));
    let outcome = run(folder.path(), &[a, b, given, g, server.url("/2=twice")]);
    assert_eq!(outcome.code, 1, "{outcome:?}");
    assert_eq!((file("a.txt"), file("a-2.txt"), file("a-3.txt")), ("old".into(), "new".into(), "new".into()));
    assert_eq!((file("g.txt"), file("twice")), ("old".into(), "new".into()));
    assert_eq!(listing(folder.path()).len(), 5);
    let errors = outcome.errors();
    assert_eq!(errors.len(), 2, "{errors:?}");
    assert!(errors.iter().any(|line| line.ends_with("/g: the file g.txt exists already")), "{errors:?}");
    assert!(errors.iter().any(|line| line.ends_with("/2: the name twice is wanted twice")), "{errors:?}");
}

#[test]
fn no_name_leads_out_of_the_folder() {
    let server = Server::start(|request, stream| {
        let name = request.path.rsplit('@').next().unwrap();
        send(stream, &format!("Content-Disposition: attachment; filename=\"{name}\"\r\n"), b"evil");
    });
    let folder = tempdir().unwrap();
    let out = folder.path().join("deep/out");
    fs::create_dir_all(&out).unwrap();
    let urls = [
        server.url("/@../../from-server"),
        server.url("/@/etc/absolute"),
        server.url("/@.hidden"),
        server.url("/%2e%2e%2f%2e%2e%2fencoded@"),
        server.url("/..%5c..%5cbackslash@"),
        server.url("/a=../../given"),
        server.url("/a=/tmp/given"),
    ];
    let outcome = run(&out, &urls);
    assert_eq!(outcome.code, 1);
    assert_eq!(outcome.errors().len(), 2, "{outcome:?}");
    assert_eq!(listing(folder.path()), ["deep"]);
    assert_eq!(listing(&folder.path().join("deep")), ["out"]);
    let expected = ["_._.._backslash@", "_._.._encoded@", "_hidden", "absolute", "from-server"];
    assert_eq!(listing(&out), expected);
}

#[test]
fn compressed_answers_are_unpacked_but_archives_are_not() {
    let text = "so so so ".repeat(10_000);
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    let packed = encoder.finish().unwrap();
    let server = Server::start(move |request, stream| {
        assert_eq!(request.header("accept-encoding") == Some("gzip"), request.path == "/a.txt");
        if request.header("accept-encoding") == Some("gzip") {
            send(stream, "Content-Encoding: gzip\r\nETag: \"v\"\r\n", &packed);
        } else {
            send(stream, "", &packed);
        }
    });
    let folder = tempdir().unwrap();
    assert_well(&run(folder.path(), &[server.url("/a.txt"), server.url("/b.txt.gz")]));
    assert_eq!(fs::read_to_string(folder.path().join("a.txt")).unwrap(), text);
    assert_eq!(&fs::read(folder.path().join("b.txt.gz")).unwrap()[..2], b"\x1f\x8b");
}

/// Holds every request until so many are there at once, and remembers the most that ever were.
struct Gate {
    /// Requests inside; most at once; whether the number was reached.
    state: Mutex<(usize, usize, bool)>,
    changed: Condvar,
    number: usize,
}

impl Gate {
    fn new(number: usize) -> Gate {
        Gate { state: Mutex::default(), changed: Condvar::new(), number }
    }

    fn pass(&self) {
        let mut state = self.state.lock().unwrap();
        state.0 += 1;
        state.1 = state.1.max(state.0);
        state.2 |= state.0 >= self.number;
        self.changed.notify_all();
        // Once the number has been reached nobody is held: the last few may never be so many.
        let (mut state, wait) =
            self.changed.wait_timeout_while(state, downloader_fixture::LONG, |state| !state.2).unwrap();
        assert!(!wait.timed_out(), "never {} at once", self.number);
        state.0 -= 1;
    }
}

fn most_at_once(limit: &[&str], reached: usize) -> usize {
    let gate = std::sync::Arc::new(Gate::new(reached));
    let held = gate.clone();
    let server = Server::start(move |request, stream| {
        held.pass();
        // Time for one too many to come in, if one may.
        std::thread::sleep(Duration::from_millis(5));
        send(stream, "", request.path.as_bytes());
    });
    let folder = tempdir().unwrap();
    let mut line: Vec<String> = (0..30).map(|number| server.url(&format!("/{number}"))).collect();
    line.extend(limit.iter().map(ToString::to_string));
    assert_well(&run(folder.path(), &line));
    assert_eq!(listing(folder.path()).len(), 30);
    gate.state.lock().unwrap().1
}

#[test]
fn as_many_at_once_as_are_allowed_and_no_more() {
    assert_eq!(most_at_once(&["--jobs", "7"], 7), 7);
    assert_eq!(most_at_once(&["--per-host", "3"], 3), 3);
    assert_eq!(most_at_once(&[], 30), 30);
}

#[test]
fn who_waits_for_a_host_takes_no_job_from_others() {
    let slow = Server::start(|_, stream| downloader_fixture::wait_for_end(stream));
    let quick = Server::start(|_, stream| send(stream, "", b"x"));
    let folder = tempdir().unwrap();
    let mut line: Vec<String> = (0..5).map(|number| slow.url(&format!("/s{number}"))).collect();
    line.push(quick.url("/quick"));
    line.extend(["--per-host", "1", "--jobs", "2", "--timeout", "60"].map(str::to_owned));
    let mut child = downloader(folder.path()).args(&line).spawn().unwrap();
    wait_until("the quick file", || folder.path().join("quick").exists());
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn wrong_command_line_is_told_in_one_line() {
    let folder = tempdir().unwrap();
    fs::write(folder.path().join("empty"), "# nothing\n").unwrap();
    fs::write(folder.path().join("file"), "x").unwrap();
    let lines = [
        &["--jobs", "0", "http://h/"][..],
        &["--retries", "many", "http://h/"],
        &["--timeout", "0", "http://h/"],
        &["--nonsense"],
        &["--input", "missing"],
        &["--input", "empty"],
        &["--cacert", "missing", "https://h/"],
        &["--cacert", "empty", "https://h/"],
        &["--out", "file/x", "http://h/"],
    ];
    for line in lines {
        let outcome = run(folder.path(), line);
        assert_eq!(outcome.code, 2, "{line:?}: {outcome:?}");
        assert_eq!((outcome.errors().len(), outcome.stdout.as_str()), (1, ""), "{line:?}: {outcome:?}");
    }
    let help = run(folder.path(), &["--help"]);
    assert_well(&help);
    assert!(help.stdout.contains("--per-host"));
}
