//! Child processes on green threads: std's results, neighbours that go on, and nothing lost by a kill or a deadline.

mod common;

use common::{LONG, Log, MILLI, OnDrop, PATIENCE, check, in_child, leaves_nothing};
use osier::os::unix::process::{CommandExt, ExitStatusExt};
use osier::process::{Child, ChildStdout, Command, Stdio};
use osier::time::{Elapsed, timeout};
use std::cell::RefCell;
use std::io::{ErrorKind, IoSlice, IoSliceMut, Read, Write};
use std::os::fd::OwnedFd;
use std::rc::Rc;

/// A shell that runs `script`.
fn shell(script: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    command
}

/// A child that ends when its stdin does, with this code.
fn obedient(code: i32) -> Child {
    shell(&format!("cat >/dev/null; exit {code}")).stdin(Stdio::piped()).spawn().unwrap()
}

/// The children of this process that have ended and that nobody has waited for, of those in `ids`.
fn zombies(ids: &[u32]) -> usize {
    let is_zombie = |id: &&u32| {
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
        stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('Z'))
    };
    ids.iter().filter(is_zombie).count()
}

/// Runs `waits` beside a neighbour that does what `waits` waits for after it has waited for a while.
fn beside<T: 'static>(waits: impl FnOnce() -> T + 'static, ends: impl FnOnce() + 'static) -> T {
    let log = Log::new();
    let (ours, theirs) = (log.clone(), log.clone());
    let waiter = osier::spawn_local(move || {
        ours.add("waits");
        let value = waits();
        ours.add("has waited");
        value
    });
    let neighbour = osier::spawn_local(move || {
        for _ in 0..3 {
            osier::sleep(MILLI);
        }
        theirs.add("neighbour");
        ends();
    });
    let value = waiter.join().unwrap();
    neighbour.join().unwrap();
    assert_eq!(log.take(), ["waits", "neighbour", "has waited"]);
    value
}

#[test]
fn what_it_gives_is_what_std_gives() {
    check(|| {
        let output = shell("echo out; echo err >&2; exit 3").output().unwrap();
        assert_eq!((output.stdout.as_slice(), output.stderr.as_slice()), (&b"out\n"[..], &b"err\n"[..]));
        assert_eq!(output.status.code(), Some(3));
        let status = shell("exit 7").stdout(Stdio::null()).status().unwrap();
        assert_eq!(status.code(), Some(7));
        let error = Command::new("/no/such/program").spawn().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert_eq!(Command::new("/").spawn().unwrap_err().kind(), ErrorKind::PermissionDenied);

        let mut command = Command::new("env");
        command.env_clear().env("ONE", "1").envs([("TWO", "2")]).env("NONE", "").env_remove("NONE");
        let lines = String::from_utf8(command.output().unwrap().stdout).unwrap();
        let mut lines: Vec<_> = lines.lines().collect();
        lines.sort_unstable();
        assert_eq!(lines, ["ONE=1", "TWO=2"]);
        command.arg("argument");
        assert_eq!(command.get_program(), "env");
        assert_eq!(command.get_args().collect::<Vec<_>>(), ["argument"]);
        assert_eq!(command.get_envs().count(), 2);
        assert_eq!(command.get_current_dir(), None);
        assert_eq!(format!("{command:?}"), {
            let mut std = std::process::Command::new("env");
            std.env_clear().env("ONE", "1").envs([("TWO", "2")]).arg("argument");
            format!("{std:?}")
        });

        let output = Command::new("pwd").current_dir("/").output().unwrap();
        assert_eq!(output.stdout, b"/\n");
        // What `output` pipes it pipes for one call only.
        let mut child = Command::from(std::process::Command::new("true"));
        assert!(child.output().unwrap().status.success());
        let mut child = child.spawn().unwrap();
        assert!(child.stdin.is_none() && child.stdout.is_none() && child.stderr.is_none());
        child.wait().unwrap();
    });
}

#[test]
fn what_unix_has_besides() {
    check(|| {
        let output = Command::new("sh").arg0("another-name").args(["-c", "echo $0"]).output().unwrap();
        assert_eq!(output.stdout, b"another-name\n");
        let mut child = shell("kill -TERM 0").process_group(0).spawn().unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(15), "the child's group, which is not ours");
        let mut command = Command::new("true");
        #[expect(unsafe_code, reason = "what it tests")]
        // SAFETY: it only makes an error.
        unsafe {
            command.pre_exec(|| Err(std::io::Error::from_raw_os_error(7)))
        };
        assert_eq!(command.spawn().unwrap_err().raw_os_error(), Some(7));
    });
}

/// In a process of its own, since it has the signals of a new program afterwards: one that nobody reads from ends it.
#[test]
fn an_exec_that_fails_says_why() {
    let output = in_child("an_exec_that_fails_says_why", || {
        let error = osier::run(|| Command::new("/no/such/program").exec());
        assert_eq!(error.kind(), ErrorKind::NotFound);
    });
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn a_neighbour_goes_on_during_every_wait() {
    check(|| {
        let mut child = obedient(5);
        let stdin = child.stdin.take();
        assert_eq!(beside(move || child.wait().unwrap().code(), move || drop(stdin)), Some(5));

        let mut child = obedient(6);
        let stdin = child.stdin.take();
        let status = beside(move || child.wait_timeout(LONG).unwrap().unwrap(), move || drop(stdin));
        assert_eq!(status.code(), Some(6));

        // A read, which the child answers.
        let mut child = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (mut stdin, mut stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let mut buf = [0; 8];
        let read = move || {
            let count = stdout.read(&mut buf).unwrap();
            (buf[..count].to_vec(), stdout)
        };
        let (read, stdout) = beside(read, move || stdin.write_all(b"twigs").unwrap());
        assert_eq!(read, b"twigs");
        drop(stdout);
        child.wait().unwrap();

        // A write, for which the child makes room when it is told to.
        let mut child =
            shell("kill -STOP $$; wc -c").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (mut stdin, id) = (child.stdin.take().unwrap(), child.id());
        let write = move || stdin.write_all(&vec![b'x'; 1 << 20]).unwrap();
        beside(write, move || {
            // It may not have stopped yet; then this has no effect, and it stops afterwards.
            while !std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap().contains(") T ") {
                osier::sleep(MILLI);
            }
            assert!(Command::new("kill").args(["-CONT", &id.to_string()]).status().unwrap().success());
        });
        let output = child.wait_with_output().unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap().trim(), (1 << 20).to_string());

        let mut child = obedient(8);
        let stdin = child.stdin.take();
        let output = beside(move || child.wait_with_output().unwrap(), move || drop(stdin));
        assert_eq!(output.status.code(), Some(8));
    });
}

#[test]
fn both_pipes_may_fill() {
    check(|| {
        // Far more than a pipe holds, in turn, so that whoever reads one to its end first never sees it.
        let script = "i=0; while [ $i -lt 40 ]; do head -c 30000 /dev/zero; head -c 30000 /dev/zero >&2; i=$((i+1)); done";
        let output = shell(script).output().unwrap();
        assert_eq!((output.stdout.len(), output.stderr.len()), (1_200_000, 1_200_000));
        assert!(output.status.success());
        let one = shell(script).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        assert_eq!(one.unwrap().wait_with_output().unwrap().stdout.len(), 1_200_000);
        let other = shell(script).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
        assert_eq!(other.unwrap().wait_with_output().unwrap().stderr.len(), 1_200_000);
    });
}

#[test]
fn two_hundred_children_at_once() {
    check(|| {
        let children: Vec<_> = (0..200).map(|n| obedient(n % 100)).collect();
        let ids: Vec<_> = children.iter().map(Child::id).collect();
        let codes = children.into_iter().map(|mut child| osier::spawn(move || child.wait().unwrap().code()));
        let codes: Vec<_> = osier::thread::join_all(codes).into_iter().map(Result::unwrap).collect();
        assert_eq!(codes, (0..200).map(|n| Some(n % 100)).collect::<Vec<_>>());
        assert_eq!(zombies(&ids), 0);
    });
}

#[test]
fn a_wait_has_a_bound() {
    check(|| {
        let mut child = obedient(1);
        assert_eq!(child.wait_timeout(MILLI).unwrap(), None);
        assert!(child.stdin.is_some(), "the child still has its input");
        assert_eq!(child.try_wait().unwrap(), None);
        assert_eq!(timeout(MILLI, || child.wait_timeout(LONG)).unwrap_err(), Elapsed);
        child.stdin = None;
        assert_eq!(child.wait_timeout(PATIENCE).unwrap().unwrap().code(), Some(1));
        assert_eq!(child.wait_timeout(MILLI).unwrap().unwrap().code(), Some(1), "again");
        assert_eq!(child.try_wait().unwrap().unwrap().code(), Some(1), "and again");
        assert_eq!(child.wait().unwrap().code(), Some(1));
        child.kill().unwrap();
    });
}

#[test]
fn a_kill_inside_of_a_wait_loses_nothing() {
    check(|| {
        let child = Rc::new(RefCell::new(obedient(9)));
        let stdin = child.borrow_mut().stdin.take();
        let log = Log::new();
        let waiter = osier::spawn_local({
            let (child, log) = (child.clone(), log.clone());
            move || {
                let _dropped = OnDrop::new(move || log.add("dropped"));
                child.borrow_mut().wait().unwrap();
            }
        });
        osier::yield_now();
        waiter.kill();
        assert!(waiter.join().is_err());
        assert_eq!(log.take(), ["dropped"]);
        drop(stdin);
        assert_eq!(child.borrow_mut().wait().unwrap().code(), Some(9));
        assert_eq!(zombies(&[child.borrow().id()]), 0);
    });
}

#[test]
fn a_kill_inside_of_a_read_loses_no_byte() {
    check(|| {
        let mut child = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let stdout = Rc::new(RefCell::new(child.stdout.take().unwrap()));
        let reader = osier::spawn_local({
            let stdout = stdout.clone();
            move || {
                let _ = stdout.borrow_mut().read(&mut [0; 8]);
            }
        });
        osier::yield_now();
        reader.kill();
        assert!(reader.join().is_err());
        child.stdin.take().unwrap().write_all(b"whole").unwrap();
        let mut text = String::new();
        stdout.borrow_mut().read_to_string(&mut text).unwrap();
        assert_eq!(text, "whole");
        child.wait().unwrap();
    });
}

/// Nobody has the handle of a child whose `output` or `status` was cancelled, so the next to start one collects it.
#[test]
fn children_of_cancelled_calls_do_not_stay() {
    check(|| {
        let before = children();
        // They end when nobody has the other end of their input any more.
        let (input, held) = std::io::pipe().unwrap();
        let waits = || {
            let mut command = Command::new("cat");
            command.stdin(input.try_clone().unwrap());
            command
        };
        let calls: [&dyn Fn(); 3] = [&|| drop(waits().output()), &|| drop(waits().status()), &|| {
            drop(waits().stdout(Stdio::piped()).spawn().unwrap().wait_with_output())
        }];
        for call in calls {
            assert_eq!(timeout(MILLI, call), Err(Elapsed));
        }
        assert_eq!(children(), before + 3, "they run on");
        drop((input, held));
        let end = osier::time::Instant::now() + PATIENCE;
        // Each of these also collects; the one that is waited for here is its own.
        while children() > before {
            assert!(osier::time::Instant::now() < end, "{} children are left", children() - before);
            assert!(Command::new("true").status().unwrap().success());
        }
    });
}

/// How many children this process has, ended ones included.
fn children() -> usize {
    let threads = std::fs::read_dir("/proc/self/task").unwrap();
    let children = |thread: std::io::Result<std::fs::DirEntry>| {
        let list = std::fs::read_to_string(thread.unwrap().path().join("children")).unwrap_or_default();
        list.split_whitespace().count()
    };
    threads.map(children).sum()
}

#[test]
fn ends_of_pipes() {
    check(|| {
        // The end of the stream.
        let mut child = Command::new("true").stdout(Stdio::piped()).stdin(Stdio::piped()).spawn().unwrap();
        let (mut stdin, mut stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        assert_eq!(stdout.read(&mut [0; 8]).unwrap(), 0);
        child.wait().unwrap();
        // Nobody reads any more: an error, and no signal that would end this process.
        assert_eq!(stdin.write(b"nobody").unwrap_err().kind(), ErrorKind::BrokenPipe);
        assert_eq!(
            stdin.write_vectored(&[IoSlice::new(b"nobody")]).unwrap_err().kind(),
            ErrorKind::BrokenPipe
        );

        let mut child = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (stdin, mut stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let parts = [IoSlice::new(b"in "), IoSlice::new(b"two "), IoSlice::new(b"parts")];
        assert_eq!((&stdin).write_vectored(&parts).unwrap(), 12);
        (&stdin).flush().unwrap();
        drop(stdin);
        let (mut one, mut two) = ([0; 3], [0; 16]);
        let read = stdout.read_vectored(&mut [IoSliceMut::new(&mut one), IoSliceMut::new(&mut two)]).unwrap();
        assert_eq!((read, &one, &two[..9]), (12, b"in ", &b"two parts"[..]));
        child.wait().unwrap();
    });
}

/// `echo twigs | tr a-z A-Z | cat`: an end that is given away is blocking again, as the programs that get it expect.
#[test]
fn a_pipe_leads_from_child_to_child() {
    check(|| {
        let mut one = Command::new("echo").arg("twigs").stdout(Stdio::piped()).spawn().unwrap();
        let mut two = Command::new("tr")
            .args(["a-z", "A-Z"])
            .stdin(one.stdout.take().unwrap())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let fd = OwnedFd::from(two.stdout.take().unwrap());
        let mut std = std::process::ChildStdout::from(fd.try_clone().unwrap());
        let mut text = String::new();
        // Blocks the OS thread, for which it must be blocking; what comes is on its way.
        std.read_to_string(&mut text).unwrap();
        assert_eq!(text, "TWIGS\n");
        assert_eq!(ChildStdout::from(fd).read(&mut [0; 8]).unwrap(), 0);
        one.wait().unwrap();
        two.wait().unwrap();
    });
}

#[test]
fn on_a_plain_os_thread_it_blocks() {
    leaves_nothing(|| {
        let output = shell("cat").stdin(Stdio::null()).output().unwrap();
        assert!(output.status.success() && output.stdout.is_empty());
        let mut child = obedient(4);
        assert_eq!(child.wait_timeout(MILLI).unwrap(), None);
        assert_eq!(timeout(MILLI, || child.wait_timeout(LONG)).unwrap_err(), Elapsed);
        assert_eq!(child.wait().unwrap().code(), Some(4));
        let output = shell("head -c 300000 /dev/zero; head -c 300000 /dev/zero >&2").output().unwrap();
        assert_eq!((output.stdout.len(), output.stderr.len()), (300_000, 300_000));
    });
}

#[test]
fn children_convert_to_and_from_std() {
    check(|| {
        let std =
            std::process::Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut child = Child::from(std);
        child.stdin.as_mut().unwrap().write_all(b"here").unwrap();
        let mut std = std::process::Child::from(child);
        std.stdin.as_mut().unwrap().write_all(b" and there").unwrap();
        let output = std.wait_with_output().unwrap();
        assert_eq!(output.stdout, b"here and there");
        let handle = obedient(0);
        assert!(format!("{handle:?}").starts_with("Child { stdin: Some(ChildStdin"), "{handle:?}");
        drop(handle.wait_with_output());
    });
}

/// The handles may go to another green thread, worker or OS thread.
#[test]
fn handles_are_send_and_sync() {
    fn both<T: Send + Sync>() {}
    both::<Child>();
    both::<Command>();
    both::<osier::process::ChildStdin>();
    both::<ChildStdout>();
    both::<osier::process::ChildStderr>();
}
