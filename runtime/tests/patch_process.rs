//! Waiting for children on green threads: `wait`, `waitpid`, `wait3`, `wait4` and `waitid`.

mod patching;

use patching::{answer, killed_in, neighbour_goes_on, others_go_on, timed_out_in, watchdog};
use std::io::Write;
use std::mem::zeroed;
use std::process::{Command, Stdio};
use std::ptr::null_mut;

/// A child that ends, with this code, when its standard input does.
fn obedient(code: i32) -> (std::process::Child, std::process::ChildStdin) {
    let script = format!("read line; exit {code}");
    let mut child = Command::new("sh").args(["-c", &script]).stdin(Stdio::piped()).spawn().unwrap();
    let stdin = child.stdin.take().unwrap();
    (child, stdin)
}

fn code_of(status: i32) -> Option<i32> {
    libc::WIFEXITED(status).then(|| libc::WEXITSTATUS(status))
}

fn waitpid(pid: i32, options: i32) -> (Result<usize, i32>, i32) {
    let mut status = 0;
    // SAFETY: valid for a write.
    let pid = unsafe { libc::waitpid(pid, &mut status, options) };
    (answer(pid as isize), status)
}

fn waitid(kind: libc::idtype_t, id: u32, options: i32) -> Result<(i32, i32, i32), i32> {
    // SAFETY: all zero is a valid one.
    let mut info: libc::siginfo_t = unsafe { zeroed() };
    // SAFETY: valid for a write.
    answer(unsafe { libc::waitid(kind, id, &mut info, options) } as isize)?;
    // SAFETY: the kernel has filled it in.
    Ok(unsafe { (info.si_pid(), info.si_status(), info.si_code) })
}

fn one_child() {
    let (mut child, stdin) = obedient(3);
    let waited = neighbour_goes_on("std's wait", move || child.wait().unwrap().code(), || drop(stdin));
    assert_eq!(waited, Some(3));

    let (child, stdin) = obedient(4);
    let pid = child.id() as i32;
    assert_eq!(waitpid(pid, libc::WNOHANG).0, Ok(0));
    assert_eq!(killed_in("waitpid", move || waitpid(pid, 0).0), Err(libc::ECANCELED));
    assert_eq!(timed_out_in("waitpid", || waitpid(pid, 0).0), Err(libc::ETIMEDOUT));
    let looked = neighbour_goes_on(
        "waitid, WNOWAIT",
        move || waitid(libc::P_PID, pid as u32, libc::WEXITED | libc::WNOWAIT),
        || drop(stdin),
    );
    assert_eq!(looked, Ok((pid, 4, libc::CLD_EXITED)));
    let (waited, status) = waitpid(pid, 0);
    assert_eq!((waited, code_of(status)), (Ok(pid as usize), Some(4)), "it was left to be waited for");
    assert_eq!(waitpid(pid, 0).0, Err(libc::ECHILD));
    assert_eq!(waitid(libc::P_PID, pid as u32, libc::WEXITED), Err(libc::ECHILD));
    assert_eq!(waitpid(pid, 1 << 20).0, Err(libc::EINVAL));
    assert_eq!(waitid(libc::P_PID, pid as u32, 0), Err(libc::EINVAL));

    // By wait4, with what it has used.
    let (child, stdin) = obedient(5);
    let pid = child.id() as i32;
    let wait4 = move || {
        // SAFETY: all zero is a valid one.
        let (mut status, mut usage): (i32, libc::rusage) = unsafe { zeroed() };
        // SAFETY: valid for writes.
        let waited = unsafe { libc::wait4(pid, &mut status, 0, &mut usage) };
        (waited, code_of(status), usage.ru_maxrss > 0)
    };
    assert_eq!(neighbour_goes_on("wait4", wait4, || drop(stdin)), (pid, Some(5), true));

    // By a descriptor that stands for it.
    let (child, stdin) = obedient(6);
    let pid = child.id() as i32;
    // SAFETY: no pointers.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) } as u32;
    let waited = neighbour_goes_on(
        "waitid, P_PIDFD",
        move || waitid(libc::P_PIDFD, fd, libc::WEXITED),
        || drop(stdin),
    );
    assert_eq!(waited, Ok((pid, 6, libc::CLD_EXITED)));
    // SAFETY: ours.
    unsafe { libc::close(fd as i32) };

    // Two wait for one child: it is one's.
    let (child, stdin) = obedient(7);
    let pid = child.id() as i32;
    let second = osier::spawn(move || waitpid(pid, 0).0);
    let first = neighbour_goes_on("waitpid", move || waitpid(pid, 0).0, || drop(stdin));
    let both = [first, second.join().unwrap()];
    assert!(both.contains(&Ok(pid as usize)) && both.contains(&Err(libc::ECHILD)), "{both:?}");
}

/// For these the kernel has no descriptor: an OS thread waits, and takes nothing.
#[expect(clippy::zombie_processes, reason = "they are waited for by other calls than std's")]
fn any_child() {
    let ((one, first), (other, second)) = (obedient(1), obedient(2));
    let wait = || {
        let mut status = 0;
        // SAFETY: valid for a write.
        let pid = unsafe { libc::wait(&mut status) };
        (pid, code_of(status))
    };
    assert_eq!(others_go_on("wait", wait, || drop(second)), (other.id() as i32, Some(2)));
    assert_eq!(killed_in("wait", || waitpid(-1, 0).0), Err(libc::ECANCELED));
    let any = || waitpid(-1, 0);
    let (waited, status) = others_go_on("waitpid of any", any, || drop(first));
    assert_eq!((waited, code_of(status)), (Ok(one.id() as usize), Some(1)));
    assert_eq!(wait().0, -1);
    assert_eq!(waitpid(-1, 0).0, Err(libc::ECHILD));

    // Of a process group.
    let mut child = Command::new("sh");
    std::os::unix::process::CommandExt::process_group(&mut child, 0);
    let mut child = child.args(["-c", "read line; exit 9"]).stdin(Stdio::piped()).spawn().unwrap();
    let group = child.id() as i32;
    let stdin = child.stdin.take();
    let (waited, status) = others_go_on("waitpid of a group", move || waitpid(-group, 0), || drop(stdin));
    assert_eq!((waited, code_of(status)), (Ok(group as usize), Some(9)));
}

fn stops() {
    let (child, mut stdin) = obedient(0);
    let pid = child.id() as i32;
    let stop = move |signal| {
        // SAFETY: no pointers.
        assert_eq!(unsafe { libc::kill(pid, signal) }, 0);
    };
    let stopped =
        others_go_on("waitpid, WUNTRACED", move || waitpid(pid, libc::WUNTRACED), || stop(libc::SIGSTOP));
    assert!(stopped.0 == Ok(pid as usize) && libc::WIFSTOPPED(stopped.1), "{stopped:?}");
    let continued = others_go_on(
        "waitid, WCONTINUED",
        move || waitid(libc::P_PID, pid as u32, libc::WCONTINUED),
        || stop(libc::SIGCONT),
    );
    assert_eq!(continued, Ok((pid, libc::SIGCONT, libc::CLD_CONTINUED)));
    stdin.write_all(b"\n").unwrap();
    assert_eq!(waitpid(pid, 0).0, Ok(pid as usize));
    // SAFETY: nothing is asked for.
    assert_eq!(unsafe { libc::waitid(libc::P_ALL, 0, null_mut(), libc::WEXITED) }, -1);
}

/// A child's output is read and its end is waited for by std, with pipes and all.
fn commands() {
    let mut child = Command::new("sh")
        .args(["-c", "read line; echo hello; echo oh >&2"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let stdin = child.stdin.take();
    let output = neighbour_goes_on("wait_with_output", || child.wait_with_output().unwrap(), || drop(stdin));
    assert_eq!((&output.stdout[..], &output.stderr[..]), (&b"hello\n"[..], &b"oh\n"[..]));
    assert!(output.status.success());
}

/// Commands that wait inside of libc, until the file is there.
fn commands_of_libc() {
    let path = std::env::temp_dir().join(format!("osier-patch-process-{}", std::process::id()));
    let text = format!("until [ -e {0} ]; do sleep 0.01; done; rm {0}; exit 7", path.display());
    let command = std::ffi::CString::new(text).unwrap();
    let theirs = command.clone();
    // SAFETY: a string.
    let system = move || unsafe { libc::system(theirs.as_ptr()) };
    let go = || drop(std::fs::File::create(&path).unwrap());
    assert_eq!(code_of(others_go_on("system", system, go)), Some(7));
    // SAFETY: null asks for a shell.
    assert_ne!(unsafe { libc::system(std::ptr::null()) }, 0);

    // SAFETY: strings.
    let stream = unsafe { libc::popen(command.as_ptr(), c"r".as_ptr()) };
    // SAFETY: opened above, and closed once.
    let pclose = move || unsafe { libc::pclose(stream) };
    assert_eq!(code_of(others_go_on("pclose", pclose, go)), Some(7));

    // The child blocks what its maker blocked, and not what the pool's OS thread does.
    // SAFETY: all zero is a set.
    let (mut set, mut before): (libc::sigset_t, libc::sigset_t) = unsafe { zeroed() };
    // SAFETY: the set is valid.
    unsafe { libc::sigaddset(&mut set, libc::SIGUSR2) };
    // SAFETY: both sets are valid.
    unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &set, &mut before) };
    // SAFETY: a string.
    let blocked = unsafe { libc::system(c"kill -USR2 $$; exit 3".as_ptr()) };
    // SAFETY: as above.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &before, null_mut()) };
    assert_eq!(code_of(blocked), Some(3));
    // SAFETY: a string.
    let killed = unsafe { libc::system(c"kill -USR2 $$; exit 3".as_ptr()) };
    assert!(libc::WIFSIGNALED(killed));
}

/// A command that another one ends, in a runtime whose pool has one OS thread.
fn commands_that_wait_for_each_other() {
    let path = std::env::temp_dir().join(format!("osier-patch-commands-{}", std::process::id()));
    let command = |text: String| {
        let command = std::ffi::CString::new(text).unwrap();
        // SAFETY: a string.
        osier::spawn(move || unsafe { libc::system(command.as_ptr()) })
    };
    let waits = || command(format!("until [ -e {} ]; do sleep 0.01; done", path.display()));
    let waiting = [waits(), waits()];
    osier::yield_now();
    assert_eq!(code_of(command(format!("touch {}", path.display())).join().unwrap()), Some(0));
    for waits in waiting {
        assert_eq!(code_of(waits.join().unwrap()), Some(0));
    }
    std::fs::remove_file(path).unwrap();
}

#[test]
fn waits_for_children_are_cooperative() {
    osier::patch::all();
    watchdog();
    osier::run(|| {
        one_child();
        commands();
        commands_of_libc();
    });
    osier::Builder::new().offload_threads(1).build().unwrap().run(commands_that_wait_for_each_other);
    osier::run(|| {
        any_child();
        stops();
    });
}
