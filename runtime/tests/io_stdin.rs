//! The standard input parks only who reads it, and a kill loses none of it. Each test runs itself once more as a child process
//! whose standard input is what it gives it.

use osier::io::{BufRead, Read, stdin};
use osier::time::{Duration, timeout};
use std::fs::File;
use std::io::{BufReader, Write};
use std::os::fd::OwnedFd;
use std::process::{Child, ChildStdout, Command, Stdio};

const CHILD: &str = "OSIER_TEST_STDIN";

/// In the child runs `body`, and ends; in the parent starts the child, with this input.
fn child(name: &str, input: impl Into<Stdio>, body: impl FnOnce()) -> Child {
    if std::env::var(CHILD).is_ok_and(|child| child == name) {
        body();
        std::process::exit(0);
    }
    Command::new(std::env::current_exe().unwrap())
        .args([name, "--exact", "--nocapture", "--test-threads=1"])
        .env(CHILD, name)
        .stdin(input)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Prints a line that the parent looks for.
fn say(what: &str) {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "\nsays {what}").unwrap();
    stdout.flush().unwrap();
}

/// The next line that the child says; `None` at its end.
fn heard(lines: &mut BufReader<ChildStdout>) -> Option<String> {
    loop {
        let mut line = String::new();
        if lines.read_line(&mut line).unwrap() == 0 {
            return None;
        }
        if let Some(said) = line.trim_end().strip_prefix("says ") {
            return Some(said.to_string());
        }
    }
}

/// All that the child says from here on; it ends well.
fn rest(mut child: Child, mut lines: BufReader<ChildStdout>) -> Vec<String> {
    let said = std::iter::from_fn(|| heard(&mut lines)).collect();
    assert!(child.wait().unwrap().success());
    said
}

/// Whether descriptor 0 is nonblocking.
fn is_nonblocking() -> bool {
    let info = std::fs::read_to_string("/proc/self/fdinfo/0").unwrap();
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).unwrap().trim();
    i32::from_str_radix(flags, 8).unwrap() & libc::O_NONBLOCK != 0
}

/// Reads two lines, the first of which is half there when a neighbour speaks.
fn reads_beside_a_neighbour() {
    osier::run(|| {
        let reader = osier::spawn(|| {
            let mut line = String::new();
            assert_eq!(stdin().read_line(&mut line).unwrap(), line.len());
            say(&format!("read {}", line.trim_end()));
        });
        let neighbour = osier::spawn(|| {
            for n in 0..3 {
                osier::sleep(Duration::from_millis(1));
                say(&format!("neighbour {n}"));
            }
        });
        neighbour.join().unwrap();
        reader.join().unwrap();
        let rest: Vec<_> = stdin().lines().map(Result::unwrap).collect();
        say(&format!("the rest {rest:?}"));
        assert_eq!(stdin().read(&mut [0; 8]).unwrap(), 0);
        assert!(!is_nonblocking(), "others may have the same input");
    });
}

#[test]
fn a_neighbour_goes_on_while_a_line_is_half_there() {
    let name = "a_neighbour_goes_on_while_a_line_is_half_there";
    let mut child = child(name, Stdio::piped(), reads_beside_a_neighbour);
    let mut input = child.stdin.take().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    input.write_all(b"half").unwrap();
    for n in 0..3 {
        assert_eq!(heard(&mut lines).unwrap(), format!("neighbour {n}"));
    }
    input.write_all(b" a line\nand\nmore").unwrap();
    assert_eq!(heard(&mut lines).unwrap(), "read half a line");
    drop(input);
    assert_eq!(rest(child, lines), [r#"the rest ["and", "more"]"#]);
}

/// A new terminal: the end that the program has, and the one of who types.
fn terminal() -> (OwnedFd, File) {
    let options = || {
        let mut options = File::options();
        options.read(true).write(true);
        std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, libc::O_NOCTTY);
        options
    };
    let typist = options().open("/dev/ptmx").unwrap();
    let (unlock, mut number) = (0, 0);
    let fd = std::os::fd::AsRawFd::as_raw_fd(&typist);
    #[expect(unsafe_code, reason = "std opens no terminals")]
    // SAFETY: each reads or writes the one number that it is given.
    let results = unsafe {
        [
            libc::ioctl(fd, libc::TIOCSPTLCK, &raw const unlock),
            libc::ioctl(fd, libc::TIOCGPTN, &raw mut number),
        ]
    };
    assert_eq!(results, [0, 0], "{}", std::io::Error::last_os_error());
    (options().open(format!("/dev/pts/{number}")).unwrap().into(), typist)
}

#[test]
fn a_terminal_is_waited_for_too() {
    let (program, mut typist) = terminal();
    let name = "a_terminal_is_waited_for_too";
    let mut child = child(name, program, || {
        assert!(stdin().is_terminal());
        reads_beside_a_neighbour();
    });
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    // A terminal gives whole lines: the program hears of none of this.
    typist.write_all(b"half").unwrap();
    for n in 0..3 {
        assert_eq!(heard(&mut lines).unwrap(), format!("neighbour {n}"));
    }
    typist.write_all(b" a line\n").unwrap();
    assert_eq!(heard(&mut lines).unwrap(), "read half a line");
    // Ctrl-D twice: the end for `lines`, and for the read after it.
    typist.write_all(b"and\n\x04\x04").unwrap();
    assert_eq!(rest(child, lines), [r#"the rest ["and"]"#]);
}

#[test]
fn a_kill_or_a_deadline_loses_nothing() {
    let name = "a_kill_or_a_deadline_loses_nothing";
    let mut child = child(name, Stdio::piped(), || {
        osier::run(|| {
            let mut one = [0; 1];
            stdin().read_exact(&mut one).unwrap();
            let killed = osier::spawn(|| {
                let _ = stdin().read_line(&mut String::new());
            });
            osier::yield_now();
            killed.kill();
            assert!(killed.join().is_err());
            timeout(Duration::from_millis(1), || stdin().lock().fill_buf().map(<[u8]>::len))
                .unwrap()
                .unwrap();
            timeout(Duration::from_millis(1), || stdin().read_line(&mut String::new())).unwrap_err();
            say("now");
            let mut line = String::new();
            stdin().read_line(&mut line).unwrap();
            say(&format!("{one:?} {}", line.trim_end()));
        });
    });
    let mut input = child.stdin.take().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    input.write_all(b"\x01half").unwrap();
    assert_eq!(heard(&mut lines).unwrap(), "now");
    input.write_all(b" a line\n").unwrap();
    assert_eq!(rest(child, lines), ["[1] half a line"]);
}

/// Two that read at the same time get a line each.
#[test]
fn lines_are_whole_for_several_readers() {
    let name = "lines_are_whole_for_several_readers";
    let mut child = child(name, Stdio::piped(), || {
        osier::run(|| {
            let readers: Vec<_> = (0..2)
                .map(|_| {
                    osier::spawn(|| {
                        let mut line = String::new();
                        stdin().read_line(&mut line).unwrap();
                        line
                    })
                })
                .collect();
            osier::yield_now();
            say("both read");
            let lines: Vec<_> = readers.into_iter().map(|reader| reader.join().unwrap()).collect();
            say(&format!("{lines:?}"));
        });
    });
    let mut input = child.stdin.take().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    assert_eq!(heard(&mut lines).unwrap(), "both read");
    for part in ["on", "e\nt", "wo\n"] {
        input.write_all(part.as_bytes()).unwrap();
    }
    assert_eq!(rest(child, lines), [r#"["one\n", "two\n"]"#]);
}

#[test]
fn a_regular_file_is_read_to_its_end() {
    let path = std::env::temp_dir().join(format!("osier-stdin-{}", std::process::id()));
    let text: String = (0..20_000).map(|n| format!("line {n}\n")).collect();
    std::fs::write(&path, &text).unwrap();
    let name = "a_regular_file_is_read_to_its_end";
    let mut child = child(name, File::open(&path).unwrap(), || {
        osier::run(|| {
            let mut first = String::new();
            stdin().read_line(&mut first).unwrap();
            let mut rest = String::new();
            stdin().read_to_string(&mut rest).unwrap();
            say(&format!("{} {}", first.trim_end(), first.len() + rest.len()));
        });
    });
    let lines = BufReader::new(child.stdout.take().unwrap());
    assert_eq!(rest(child, lines), [format!("line 0 {}", text.len())]);
    std::fs::remove_file(path).unwrap();
}

#[test]
fn on_a_plain_os_thread_it_blocks() {
    let mut child = child("on_a_plain_os_thread_it_blocks", Stdio::piped(), || {
        say("reads");
        let lines: Vec<_> = stdin().lines().map(Result::unwrap).collect();
        say(&format!("{lines:?}"));
    });
    let mut input = child.stdin.take().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    assert_eq!(heard(&mut lines).unwrap(), "reads");
    input.write_all(b"one\ntwo").unwrap();
    drop(input);
    assert_eq!(rest(child, lines), [r#"["one", "two"]"#]);
}
