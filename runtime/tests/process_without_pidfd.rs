//! Where the kernel gives no pidfd, waiting for children works all the same. One test, since a filter makes this process's
//! kernel such a one.
#![expect(unsafe_code, reason = "installs a filter of system calls")]

mod common;

use common::descriptors;
use osier::process::{Child, Command, Stdio};
use osier::time::{Duration, Elapsed, timeout};
use std::cell::Cell;
use std::rc::Rc;

/// Answers `pidfd_open` with ENOSYS in this process from now on.
fn forget_pidfd() {
    let statement = |code: u32, jt, jf, k| libc::sock_filter { code: code as u16, jt, jf, k };
    let mut filter = [
        // The number of the system call is the first word of what a filter sees.
        statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
        statement(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1, libc::SYS_pidfd_open as u32),
        statement(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32),
        statement(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    // SAFETY: numbers only.
    assert_eq!(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) }, 0);
    let all_threads = libc::SECCOMP_FILTER_FLAG_TSYNC;
    // SAFETY: `program` describes `filter`, and both are valid for the call.
    let result = unsafe {
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, all_threads, &raw const program)
    };
    assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
    // SAFETY: no pointers.
    assert_eq!(unsafe { libc::syscall(libc::SYS_pidfd_open, libc::getpid(), 0) }, -1);
    assert_eq!(std::io::Error::last_os_error().raw_os_error(), Some(libc::ENOSYS));
}

fn obedient(code: i32) -> Child {
    let script = format!("cat >/dev/null; exit {code}");
    Command::new("sh").args(["-c", &script]).stdin(Stdio::piped()).spawn().unwrap()
}

/// What must be as before: descriptors and OS threads.
fn resources() -> (Vec<String>, usize) {
    (descriptors(), std::fs::read_dir("/proc/self/task").unwrap().count())
}

#[test]
fn children_are_waited_for_without_a_pidfd() {
    forget_pidfd();
    let before = resources();
    osier::run(|| {
        let went_on = Rc::new(Cell::new(0));
        let mut child = obedient(3);
        assert_eq!(child.wait_timeout(Duration::from_millis(1)).unwrap(), None);
        assert_eq!(
            timeout(Duration::from_millis(1), || child.wait_timeout(Duration::MAX)).unwrap_err(),
            Elapsed
        );
        let stdin = child.stdin.take();
        let waiter = osier::spawn_local(move || child.wait().unwrap().code());
        let theirs = went_on.clone();
        let neighbour = osier::spawn_local(move || {
            for _ in 0..3 {
                osier::sleep(Duration::from_millis(1));
                theirs.set(theirs.get() + 1);
            }
        });
        neighbour.join().unwrap();
        assert_eq!(went_on.get(), 3);
        assert!(!waiter.is_finished());
        drop(stdin);
        assert_eq!(waiter.join().unwrap(), Some(3));

        // More than the offload pool has OS threads; the last must end before the others can.
        let mut children: Vec<_> = (0..100).map(obedient).collect();
        let mut last = children.pop().unwrap();
        let stdin = last.stdin.take();
        let waiters: Vec<_> = children
            .into_iter()
            .map(|mut child| {
                let mut stdin = child.stdin.take();
                let ends = osier::spawn(osier::thread::park);
                let end = ends.thread().clone();
                let closes = osier::spawn(move || {
                    ends.join().unwrap();
                    stdin.take();
                });
                (end, closes, osier::spawn(move || child.wait().unwrap().code()))
            })
            .collect();
        osier::yield_now();
        let last = osier::spawn(move || last.wait().unwrap().code());
        osier::yield_now();
        drop(stdin);
        assert_eq!(last.join().unwrap(), Some(99));
        for (n, (end, closes, waiter)) in waiters.into_iter().enumerate() {
            end.unpark();
            closes.join().unwrap();
            assert_eq!(waiter.join().unwrap(), Some(n as i32));
        }
    });
    // The OS threads that waited end after they have told us.
    let end = std::time::Instant::now() + Duration::from_secs(60);
    while resources() != before {
        assert!(std::time::Instant::now() < end, "{:?} after, {before:?} before", resources());
        std::thread::yield_now();
    }
}
