//! Functions of the program in child processes, and what processes share. Only a process with one OS thread can be copied, so
//! this file has no test harness; each case runs in a process of its own.
#![expect(
    unsafe_code,
    reason = "maps shared memory, sends signals to itself, copies a process with OS threads"
)]

mod common;

use common::{LONG, Log, MILLI, OnDrop, PATIENCE, descriptors};
use osier::multiprocess::{Builder, Map, Process, Queue, Semaphore, duplex, fork, one_way};
use osier::os::unix::net::UnixStream;
use osier::os::unix::process::ExitStatusExt;
use osier::process::exit;
use osier::signal::{Signal, Signals};
use osier::time::{Elapsed, timeout};
use std::cell::Cell;
use std::collections::BTreeSet;
use std::io::{ErrorKind, Read, Write};
use std::rc::Rc;

const CASES: [(&str, fn()); 21] = [
    ("each_process_counts_its_own", each_process_counts_its_own),
    ("a_child_may_have_children", a_child_may_have_children),
    ("how_a_child_ends", how_a_child_ends),
    ("a_child_has_a_whole_runtime", a_child_has_a_whole_runtime),
    ("a_neighbour_goes_on_during_a_join", a_neighbour_goes_on_during_a_join),
    ("a_kill_inside_of_a_wait_loses_nothing", a_kill_inside_of_a_wait_loses_nothing),
    ("only_the_one_that_forked_runs_on", only_the_one_that_forked_runs_on),
    ("the_childs_sockets_are_not_the_parents_events", the_childs_sockets_are_not_the_parents_events),
    ("each_message_of_a_queue_goes_to_one", each_message_of_a_queue_goes_to_one),
    ("a_full_queue_is_waited_for", a_full_queue_is_waited_for),
    ("messages_both_ways_and_their_end", messages_both_ways_and_their_end),
    ("a_lock_between_processes", a_lock_between_processes),
    ("a_map_between_processes", a_map_between_processes),
    ("a_daemon_ends_with_its_handle_and_with_its_parent", a_daemon_ends_with_its_handle_and_with_its_parent),
    ("one_that_is_not_alone_is_refused", one_that_is_not_alone_is_refused),
    ("idle_os_threads_of_the_pool_are_ended", idle_os_threads_of_the_pool_are_ended),
    ("memory_that_is_not_copied_is_refused", memory_that_is_not_copied_is_refused),
    ("signals_reach_the_process_that_they_are_for", signals_reach_the_process_that_they_are_for),
    ("what_is_printed_is_printed_once", what_is_printed_is_printed_once),
    ("from_outside_of_green_threads", from_outside_of_green_threads),
    ("with_os_threads_a_copy_may_execute_or_end", with_os_threads_a_copy_may_execute_or_end),
];

fn main() {
    let case = std::env::args().nth(1);
    if let Some((_, case)) = CASES.iter().find(|(name, _)| case.as_deref() == Some(name)) {
        return case();
    }
    // As the harness would: a word selects the cases that contain it.
    let wanted = std::env::args().skip(1).find(|argument| !argument.starts_with('-')).unwrap_or_default();
    let mut failed = Vec::new();
    for (name, _) in CASES.iter().filter(|(name, _)| name.contains(&wanted)) {
        let mut command = std::process::Command::new(std::env::current_exe().unwrap());
        std::os::unix::process::CommandExt::process_group(command.arg(name), 0);
        let mut process = command.spawn().unwrap();
        let end = std::time::Instant::now() + PATIENCE;
        let is_over = |process: &mut std::process::Child| process.try_wait().unwrap().is_some();
        while !is_over(&mut process) && std::time::Instant::now() < end {
            std::thread::sleep(MILLI);
        }
        if !is_over(&mut process) {
            // With its children.
            // SAFETY: numbers only; the group is the child's, and has its number as long as that was not waited for.
            unsafe { libc::kill(-process.id().cast_signed(), libc::SIGKILL) };
        }
        let status = process.wait().unwrap();
        if !status.success() {
            failed.push((name, status));
        }
    }
    assert!(failed.is_empty(), "failed: {failed:?}");
}

/// Children of this process, ended ones included.
fn children() -> usize {
    let pid = std::process::id();
    std::fs::read_to_string(format!("/proc/self/task/{pid}/children")).unwrap().split_whitespace().count()
}

/// Runs `body` in a runtime, and checks that no descriptors and no children are left of it.
fn check(body: impl FnOnce()) {
    let before = (descriptors(), children());
    osier::run(body);
    assert_eq!((descriptors(), children()), before, "descriptors and children, after and before");
}

/// The code with which a child that runs `f` ends.
fn code(f: impl FnOnce()) -> Option<i32> {
    Process::spawn(f).unwrap().join().unwrap().code()
}

fn each_process_counts_its_own() {
    check(|| {
        let mut count = 1;
        // Twice, one after the other, and both begin with what the parent has.
        for _ in 0..2 {
            let counted = code(|| {
                count += 10;
                exit(count);
            });
            assert_eq!((counted, count), (Some(11), 1));
            count = 1;
        }
        count += 1;
        assert_eq!(code(|| exit(count)), Some(2), "what the parent has now");
    });
}

fn a_child_may_have_children() {
    check(|| {
        let queue = Queue::new().unwrap();
        let me = osier::process::id();
        let mut child = Process::spawn(|| {
            let child = osier::process::id();
            assert_eq!(osier::os::unix::process::parent_id(), me);
            let mut grandchild = Process::spawn(|| {
                assert_eq!(osier::os::unix::process::parent_id(), child);
                queue.put(b"grandchild").unwrap();
            })
            .unwrap();
            assert!(grandchild.join().unwrap().success());
            queue.put(b"child").unwrap();
        })
        .unwrap();
        assert!(child.join().unwrap().success());
        assert_eq!([queue.get().unwrap(), queue.get().unwrap()], [&b"grandchild"[..], b"child"]);
    });
}

fn how_a_child_ends() {
    check(|| {
        assert_eq!(code(|| ()), Some(0));
        assert_eq!(code(|| exit(7)), Some(7));
        assert_eq!(code(|| std::panic::resume_unwind(Box::new("panics"))), Some(101));
        assert_eq!(
            code(|| osier::spawn(|| exit(8)).join().unwrap()),
            Some(8),
            "from any of its green threads"
        );

        let mut process = Process::spawn(|| osier::sleep(LONG)).unwrap();
        assert_eq!(process.name(), format!("process-{}", process.pid()));
        assert!(process.is_alive().unwrap());
        assert_eq!(process.join_timeout(MILLI).unwrap(), None);
        process.terminate().unwrap();
        assert_eq!(process.join().unwrap().signal(), Some(libc::SIGTERM));
        assert_eq!(process.join_timeout(MILLI).unwrap().unwrap().signal(), Some(libc::SIGTERM), "again");
        assert!(!process.is_alive().unwrap());
        process.terminate().unwrap();

        let mut process = Builder::new().name("named").spawn(|| osier::sleep(LONG)).unwrap();
        assert_eq!(process.name(), "named");
        process.kill().unwrap();
        assert_eq!(process.join().unwrap().signal(), Some(libc::SIGKILL));
    });
}

fn a_child_has_a_whole_runtime() {
    check(|| {
        // Used by the parent before, so its reactor knows them.
        let (mut here, mut there) = UnixStream::pair().unwrap();
        assert_eq!(timeout(MILLI, || there.read(&mut [0; 8])).unwrap_err(), Elapsed);
        let half = Semaphore::new(0).unwrap();
        let ready = &half;
        let mut child = Process::spawn(move || {
            let log = Log::new();
            let theirs = log.clone();
            let reader = osier::spawn_local(move || {
                let mut text = [0; 5];
                there.read_exact(&mut text).unwrap();
                theirs.add(String::from_utf8(text.to_vec()).unwrap());
                there
            });
            osier::sleep(MILLI);
            log.add("neighbour".to_string());
            ready.add_permits(1).unwrap();
            let (mut one, mut two) = UnixStream::pair().unwrap();
            let writer = osier::spawn(move || one.write_all(b"new").unwrap());
            let mut text = String::new();
            two.read_to_string(&mut text).unwrap();
            writer.join().unwrap();
            assert_eq!(text, "new");
            // Offloaded, and a program.
            assert!(osier::fs::read("/proc/self/stat").is_ok());
            assert!(osier::process::Command::new("true").status().unwrap().success());
            assert_eq!(timeout(MILLI, || osier::sleep(LONG)), Err(Elapsed));
            osier::multiprocess::duplex().unwrap();
            let mut there = reader.join().unwrap();
            assert_eq!(log.take(), ["neighbour", "twigs"]);
            there.write_all(b"done").unwrap();
        })
        .unwrap();
        drop(half.acquire().unwrap());
        here.write_all(b"twigs").unwrap();
        let mut text = String::new();
        here.read_to_string(&mut text).unwrap();
        assert_eq!(text, "done");
        assert!(child.join().unwrap().success());
    });
}

fn a_neighbour_goes_on_during_a_join() {
    check(|| {
        let (sender, receiver) = one_way().unwrap();
        let mut process = Process::spawn(|| {
            receiver.recv().unwrap().unwrap();
        })
        .unwrap();
        let waiter = osier::spawn(move || process.join().unwrap().code());
        let went_on = Rc::new(Cell::new(0));
        let theirs = went_on.clone();
        let neighbour = osier::spawn_local(move || {
            for _ in 0..3 {
                osier::sleep(MILLI);
                theirs.set(theirs.get() + 1);
            }
            sender.send(b"end").unwrap();
        });
        neighbour.join().unwrap();
        assert_eq!(went_on.get(), 3);
        assert_eq!(waiter.join().unwrap(), Some(0));
    });
}

fn a_kill_inside_of_a_wait_loses_nothing() {
    check(|| {
        let log = Log::new();
        // Kills `waits` while it waits; its destructor runs.
        let killed = |waits: Box<dyn FnOnce()>| {
            let theirs = log.clone();
            let thread = osier::spawn_local(move || {
                let _dropped = OnDrop::new(move || theirs.add("dropped"));
                waits();
            });
            osier::yield_now();
            osier::sleep(MILLI);
            thread.kill();
            assert!(thread.join().is_err());
            assert_eq!(log.take(), ["dropped"]);
        };

        let (sender, receiver) = one_way().unwrap();
        let process = Process::spawn(|| {
            receiver.recv().unwrap().unwrap();
            exit(3);
        })
        .unwrap();
        let process = Rc::new(std::cell::RefCell::new(process));
        let theirs = process.clone();
        killed(Box::new(move || drop(theirs.borrow_mut().join())));
        sender.send(b"end").unwrap();
        assert_eq!(process.borrow_mut().join().unwrap().code(), Some(3));

        let lock = Rc::new(Semaphore::new(1).unwrap());
        let permit = lock.acquire().unwrap();
        let theirs = lock.clone();
        killed(Box::new(move || drop(theirs.acquire())));
        drop(permit);
        assert!(lock.try_acquire().unwrap().is_some());

        let queue = Rc::new(Queue::new().unwrap());
        let theirs = queue.clone();
        killed(Box::new(move || drop(theirs.get())));
        queue.put(b"kept").unwrap();
        assert_eq!(queue.get().unwrap(), b"kept");
    });
}

fn only_the_one_that_forked_runs_on() {
    check(|| {
        let queue = Rc::new(Queue::new().unwrap());
        let (theirs, done) = (queue.clone(), Rc::new(Cell::new(false)));
        let ended = done.clone();
        let other = osier::spawn_local(move || {
            let _dropped = OnDrop::new(|| theirs.put(b"dropped").unwrap());
            while !ended.get() {
                osier::sleep(MILLI);
                theirs.put(b"runs").unwrap();
            }
        });
        osier::yield_now();
        let mut child = Process::spawn(|| {
            // Were it here, it would put something in between.
            while queue.try_get().unwrap().is_some() {}
            osier::sleep(5 * MILLI);
            queue.put(b"child").unwrap();
        })
        .unwrap();
        // The parent's does not run meanwhile, since this blocks the OS thread.
        let mut messages = Vec::new();
        loop {
            match queue.try_get().unwrap() {
                Some(message) if message == b"child" => break,
                Some(message) => messages.push(message),
                None => std::thread::yield_now(),
            }
        }
        assert!(messages.len() <= 1, "{messages:?}");
        assert!(child.join().unwrap().success());
        done.set(true);
        other.join().unwrap();
        let mut left =
            std::iter::from_fn(|| queue.try_get().unwrap()).filter(|message| message == b"dropped");
        assert_eq!((left.next().is_some(), left.next()), (true, None), "once, here");
    });
}

/// The numbers that follow `word` in what the kernel says of this process's descriptors.
fn noted(word: &str) -> BTreeSet<u64> {
    let infos = std::fs::read_dir("/proc/self/fdinfo").unwrap();
    let infos = infos.map(|info| std::fs::read_to_string(info.unwrap().path()).unwrap_or_default());
    let lines: Vec<String> =
        infos.flat_map(|info| info.lines().map(String::from).collect::<Vec<_>>()).collect();
    let number = |line: &String| line.strip_prefix(word)?.split_whitespace().next()?.parse().ok();
    lines.iter().filter_map(number).collect()
}

/// The descriptors that epoll instances of this process watch.
fn watched() -> BTreeSet<u64> {
    noted("tfd:")
}

/// A socket that the parent waits for is closed in the child: the parent hears of it all the same.
fn the_childs_sockets_are_not_the_parents_events() {
    check(|| {
        let (mut here, mut there) = UnixStream::pair().unwrap();
        assert_eq!(timeout(MILLI, || there.read(&mut [0; 8])).unwrap_err(), Elapsed);
        let second = there.try_clone().unwrap();
        let mut registered = second;
        assert_eq!(timeout(MILLI, || registered.read(&mut [0; 8])).unwrap_err(), Elapsed);
        let copy = &registered;
        let mut child = Process::spawn(|| {
            // A copy of the clone, with what the parent has noted of it.
            #[expect(unsafe_code, reason = "takes the copy, which nobody else uses in this process")]
            // SAFETY: the original is never used or dropped in this process.
            drop(unsafe { std::ptr::read(copy) });
        })
        .unwrap();
        assert!(child.join().unwrap().success());
        let reader = osier::spawn(move || {
            let mut text = [0; 5];
            registered.read_exact(&mut text).unwrap();
            text
        });
        osier::yield_now();
        here.write_all(b"twigs").unwrap();
        let read = reader.join_timeout(PATIENCE).expect("the parent hears of what was sent");
        assert_eq!(&read.unwrap(), b"twigs");

        // Closed here while a child has it: events of the child's copy do not keep this process awake.
        let (mut one, mut reading) = UnixStream::pair().unwrap();
        let before = watched();
        assert_eq!(timeout(MILLI, || reading.read(&mut [0; 8])).unwrap_err(), Elapsed);
        let reads = || {
            for byte in 0..3 {
                let mut read = [9];
                (&reading).read_exact(&mut read).unwrap();
                assert_eq!(read, [byte]);
            }
        };
        let mut child = Builder::new().without(&one).spawn(reads).unwrap();
        assert_eq!(watched().difference(&before).count(), 1);
        drop(reading);
        assert_eq!(watched(), before, "the child's copy keeps the socket open");
        for byte in 0..3 {
            one.write_all(&[byte]).unwrap();
        }
        assert!(child.join().unwrap().success());
    });
}

fn each_message_of_a_queue_goes_to_one() {
    check(|| {
        let (queue, sums) = (Queue::new().unwrap(), Queue::new().unwrap());
        let mut getters: Vec<_> = (0..3)
            .map(|_| {
                let sum = || {
                    let mut sum = 0_u64;
                    loop {
                        let message = queue.get().unwrap();
                        match <[u8; 8]>::try_from(message.as_slice()) {
                            Ok(number) => sum += u64::from_ne_bytes(number),
                            Err(_) => break,
                        }
                    }
                    sums.put(&sum.to_ne_bytes()).unwrap();
                };
                Process::spawn(sum).unwrap()
            })
            .collect();
        let mut putters: Vec<_> = (0..3)
            .map(|putter| {
                let put = || {
                    for n in 0..500_u64 {
                        queue.put(&(putter * 500 + n).to_ne_bytes()).unwrap();
                    }
                };
                Process::spawn(put).unwrap()
            })
            .collect();
        putters.iter_mut().for_each(|process| assert!(process.join().unwrap().success()));
        getters.iter().for_each(|_| queue.put(b"").unwrap());
        getters.iter_mut().for_each(|process| assert!(process.join().unwrap().success()));
        let sum: u64 =
            (0..3).map(|_| u64::from_ne_bytes(sums.get().unwrap().as_slice().try_into().unwrap())).sum();
        assert_eq!(sum, (0..1500).sum::<u64>());
        assert!(queue.try_get().unwrap().is_none());
    });
}

fn a_full_queue_is_waited_for() {
    check(|| {
        let queue = Rc::new(Queue::new().unwrap());
        let message = vec![5; osier::multiprocess::MAX_MESSAGE];
        let too_long = queue.put(&vec![0; message.len() + 1]).unwrap_err();
        assert_eq!(too_long.kind(), ErrorKind::InvalidInput);
        assert_eq!(too_long.to_string(), "a message of 65537 bytes is longer than 65536");
        let mut put = 0;
        while timeout(5 * MILLI, || queue.put(&message)).is_ok() {
            put += 1;
        }
        assert!(put >= 1);
        let log = Log::new();
        let putter = osier::spawn_local({
            let (queue, message, log) = (queue.clone(), message.clone(), log.clone());
            move || {
                queue.put(&message).unwrap();
                log.add("put");
            }
        });
        osier::sleep(MILLI);
        log.add("neighbour");
        let mut got = 0;
        while got < put + 1 {
            assert!(queue.get_timeout(PATIENCE).unwrap() == message);
            got += 1;
        }
        putter.join().unwrap();
        assert_eq!(log.take(), ["neighbour", "put"]);
        assert_eq!(queue.get_timeout(MILLI).unwrap_err().kind(), ErrorKind::TimedOut);
    });
}

fn messages_both_ways_and_their_end() {
    check(|| {
        let (here, there) = duplex().unwrap();
        let theirs = here.try_clone().unwrap();
        let mut child = Process::spawn(move || {
            // Its copies of the other end would keep it from the end.
            drop((here, theirs));
            while let Some(message) = there.recv().unwrap() {
                there.send(&message.iter().rev().copied().collect::<Vec<_>>()).unwrap();
            }
            there.send(b"nobody").unwrap_err();
        })
        .unwrap();
        assert!(child.join_timeout(PATIENCE).unwrap().is_some(), "both ends were captured, and dropped here");

        // This process keeps one end, and the child the other.
        let (here, there) = duplex().unwrap();
        let echo = move || {
            while let Some(message) = there.recv().unwrap() {
                there.send(&message.iter().rev().copied().collect::<Vec<_>>()).unwrap();
            }
        };
        let mut child = Builder::new().without(&here).spawn(echo).unwrap();
        for message in [&b"twigs"[..], b"", &[7; 65536]] {
            here.send(message).unwrap();
            let reversed: Vec<_> = message.iter().rev().copied().collect();
            assert!(here.recv_timeout(PATIENCE).unwrap().unwrap() == reversed);
        }
        drop(here);
        assert!(child.join().unwrap().success());

        let (sender, receiver) = one_way().unwrap();
        assert_eq!(receiver.send(b"back").unwrap_err().kind(), ErrorKind::BrokenPipe);
        let mut child = Process::spawn(|| sender.send(b"forth").unwrap()).unwrap();
        assert_eq!(receiver.recv().unwrap().unwrap(), b"forth");
        assert!(child.join().unwrap().success());
        assert_eq!(receiver.try_recv().unwrap_err().kind(), ErrorKind::WouldBlock);
        drop(sender);
        assert_eq!(receiver.recv().unwrap(), None);
    });
}

fn a_lock_between_processes() {
    check(|| {
        let path = std::env::temp_dir().join(format!("osier-lock-{}", std::process::id()));
        std::fs::write(&path, "0").unwrap();
        let lock = Semaphore::new(1).unwrap();
        let mut processes: Vec<_> = (0..5)
            .map(|_| {
                let count = || {
                    for _ in 0..20 {
                        let permit = lock.acquire().unwrap();
                        let n: u32 = std::fs::read_to_string(&path).unwrap().parse().unwrap();
                        // Gives the others time to do it wrong.
                        osier::yield_now();
                        std::fs::write(&path, (n + 1).to_string()).unwrap();
                        drop(permit);
                    }
                };
                Process::spawn(count).unwrap()
            })
            .collect();
        processes.iter_mut().for_each(|process| assert!(process.join().unwrap().success()));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "100");
        std::fs::remove_file(&path).unwrap();

        let permit = lock.acquire().unwrap();
        assert!(lock.try_acquire().unwrap().is_none());
        assert!(lock.acquire_timeout(MILLI).unwrap().is_none());
        assert_eq!(
            code(|| exit(i32::from(lock.try_acquire().unwrap().is_some()))),
            Some(0),
            "held there, too"
        );
        drop(permit);
        lock.add_permits(1).unwrap();
        let both = (lock.acquire_timeout(LONG).unwrap(), lock.try_acquire().unwrap());
        assert!(both.0.is_some() && both.1.is_some() && lock.try_acquire().unwrap().is_none());
    });
}

fn a_map_between_processes() {
    let before = descriptors();
    osier::run(|| {
        let map = Map::new().unwrap();
        assert!(map.is_empty().unwrap());
        assert_eq!(map.insert(b"sum", b"0").unwrap(), None);
        assert_eq!(map.insert(b"", b"").unwrap(), None);
        assert_eq!(map.get(b"").unwrap().unwrap(), b"");
        assert_eq!(map.get(b"none").unwrap(), None);
        let add = |sum: Option<Vec<u8>>| {
            let sum: u32 = String::from_utf8(sum.unwrap()).unwrap().parse().unwrap();
            (sum + 1).to_string().into_bytes()
        };
        let add_all = || (0..50).for_each(|_| map.update(b"sum", add).unwrap());
        let mut processes: Vec<_> = (0..4).map(|_| Process::spawn(add_all).unwrap()).collect();
        add_all();
        processes.iter_mut().for_each(|process| assert!(process.join().unwrap().success()));
        assert_eq!(map.get(b"sum").unwrap().unwrap(), b"250");
        assert_eq!(map.len().unwrap(), 2);
        assert_eq!(map.remove(b"sum").unwrap().unwrap(), b"250");
        assert_eq!(map.get(&[0; 65536]).unwrap_err().kind(), ErrorKind::InvalidInput);
        drop(map);
        // Its process ends when nobody can ask it any more, and whoever starts one more child collects it.
        let end = std::time::Instant::now() + PATIENCE / 2;
        while children() > 0 {
            assert!(std::time::Instant::now() < end);
            code(|| ());
        }
    });
    assert_eq!(descriptors(), before);
}

/// Waits until there is no process of this number, or only what is left of it.
fn wait_for_end(pid: u32) {
    let end = std::time::Instant::now() + PATIENCE;
    while std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z ")) {
        assert!(std::time::Instant::now() < end, "process {pid} is still there");
        std::thread::yield_now();
    }
}

fn a_daemon_ends_with_its_handle_and_with_its_parent() {
    osier::run(|| {
        let daemon = Builder::new().daemon(true).spawn(|| osier::sleep(LONG)).unwrap();
        let pid = daemon.pid();
        let mut daemon = daemon;
        let theirs = &mut daemon;
        let refused = code(move || exit(i32::from(theirs.terminate().is_ok_and(|()| true))));
        assert_eq!(refused, Some(0), "a child is not its sibling's parent");
        assert!(daemon.is_alive().unwrap());
        drop(daemon);
        wait_for_end(pid);

        let (sender, receiver) = one_way().unwrap();
        let mut parent = Process::spawn(|| {
            let daemon = Builder::new().daemon(true).spawn(|| osier::sleep(LONG)).unwrap();
            sender.send(&daemon.pid().to_ne_bytes()).unwrap();
            std::mem::forget(daemon);
        })
        .unwrap();
        let daemon = u32::from_ne_bytes(receiver.recv().unwrap().unwrap().try_into().unwrap());
        assert!(parent.join().unwrap().success());
        wait_for_end(daemon);

        // Others run on, and are collected by whoever starts one more.
        let (sender, receiver) = one_way().unwrap();
        drop(Process::spawn(|| assert_eq!(receiver.recv().unwrap().unwrap(), b"end")).unwrap());
        sender.send(b"end").unwrap();
        let end = std::time::Instant::now() + PATIENCE;
        while children() > 0 {
            assert!(std::time::Instant::now() < end);
            code(|| ());
        }
    });
}

fn one_that_is_not_alone_is_refused() {
    check(|| {
        let (release, wait) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::spawn(move || wait.recv().unwrap_err());
        let error = Process::spawn(|| ()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert_eq!(error.to_string(), "the process cannot be copied while it has 2 OS threads");
        drop(release);
        thread.join().unwrap();

        let (release, wait) = std::sync::mpsc::channel::<()>();
        let offloaded = osier::spawn(|| osier::offload(move || wait.recv().unwrap_err()));
        osier::yield_now();
        let error = Process::spawn(|| ()).unwrap_err();
        assert_eq!(error.to_string(), "the process cannot be copied while offloaded calls are under way");
        drop(release);
        offloaded.join().unwrap();
        assert_eq!(code(|| ()), Some(0), "now it can");
    });
}

fn idle_os_threads_of_the_pool_are_ended() {
    check(|| {
        let threads: Vec<_> =
            (0..8).map(|_| osier::spawn(|| osier::offload(std::thread::yield_now))).collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(code(|| assert_eq!(osier::offload(|| 5), 5)), Some(0));
        assert_eq!(osier::offload(|| 6), 6, "they are started anew");
        // And if the kernel takes its time to forget one.
        osier::offload(end_slowly);
        assert_eq!(code(|| ()), Some(0));
    });
}

/// Has the kernel take its time with this OS thread when it ends. It has a table of descriptors of its own from now on, and in it some
/// that are slow to close.
fn end_slowly() {
    // SAFETY: no pointers.
    assert_eq!(unsafe { libc::unshare(libc::CLONE_FILES) }, 0, "{}", std::io::Error::last_os_error());
    for _ in 0..20 {
        // SAFETY: no pointers.
        let watches = unsafe { libc::inotify_init() };
        // As many as there are.
        if watches >= 0 {
            // SAFETY: a string.
            assert!(unsafe { libc::inotify_add_watch(watches, c"/".as_ptr(), libc::IN_CREATE) } >= 0);
        }
    }
}

fn memory_that_is_not_copied_is_refused() {
    check(|| {
        let (read, write) = (libc::PROT_READ, libc::PROT_WRITE);
        // SAFETY: a new mapping.
        let map = |rights| unsafe {
            libc::mmap(std::ptr::null_mut(), 4096, rights, libc::MAP_SHARED | libc::MAP_ANONYMOUS, -1, 0)
        };
        // SAFETY: mapped by the closure above, and nobody refers to it.
        let unmap = |address| assert_eq!(unsafe { libc::munmap(address, 4096) }, 0);
        let shared = map(read | write);
        let error = Process::spawn(|| ()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.to_string().contains(&format!("{:x}-", shared.addr())), "{error}");
        unmap(shared);
        let readable = map(read);
        assert_eq!(code(|| ()), Some(0));
        unmap(readable);
    });
}

fn signals_reach_the_process_that_they_are_for() {
    check(|| {
        let signals = Signals::new(&[Signal::USER1]).unwrap();
        let (here, there) = duplex().unwrap();
        let parents = noted("eventfd-id:");
        let mut child = Process::spawn(|| {
            assert!(noted("eventfd-id:").is_disjoint(&parents), "what wakes one would be taken by the other");
            there.send(b"ready").unwrap();
            assert_eq!(signals.wait().unwrap(), Signal::USER1);
            there.send(b"received").unwrap();
            there.recv().unwrap().unwrap();
            assert_eq!(signals.wait_timeout(MILLI).unwrap(), None, "that one was the parent's");
        })
        .unwrap();
        assert_eq!(here.recv().unwrap().unwrap(), b"ready");
        // SAFETY: numbers only, and the signal is listened for.
        let send = |pid: u32| assert_eq!(unsafe { libc::kill(pid as i32, libc::SIGUSR1) }, 0);
        send(child.pid());
        assert_eq!(here.recv().unwrap().unwrap(), b"received");
        assert_eq!(signals.wait_timeout(MILLI).unwrap(), None, "that one was the child's");
        send(std::process::id());
        assert_eq!(signals.wait().unwrap(), Signal::USER1);
        here.send(b"end").unwrap();
        assert!(child.join().unwrap().success());
    });
}

fn what_is_printed_is_printed_once() {
    if std::env::args().nth(2).is_some() {
        return osier::run(|| {
            let mut stdout = std::io::stdout();
            stdout.write_all(b"parent,").unwrap();
            code(|| stdout.write_all(b"child,").unwrap());
            code(|| {
                std::io::stdout().write_all(b"exit,").unwrap();
                exit(0);
            });
            std::io::stdout().write_all(b"parent again").unwrap();
        });
    }
    let mut command = osier::process::Command::new(std::env::current_exe().unwrap());
    let output = command.args(["what_is_printed_is_printed_once", "prints"]).output().unwrap();
    assert_eq!(common::text(&output.stdout), "parent,child,exit,parent again");
}

fn from_outside_of_green_threads() {
    assert_eq!(code(|| exit(osier::spawn(|| 5).join().unwrap())), Some(5));
    osier::Builder::new().build().unwrap().enter(|driver| {
        osier::spawn(osier::thread::park);
        driver.turn(Some(MILLI));
        assert_eq!(code(|| exit(osier::spawn(|| 6).join().unwrap())), Some(6));
    });
    osier::run(|| {
        // On a greenlet of a green thread, in a shield and under a deadline that is over.
        let in_greenlet = osier::greenlet::Greenlet::new(|(): ()| {
            let late = timeout(MILLI, || {
                osier::shield(|| osier::sleep(2 * MILLI));
                osier::shield(|| {
                    code(|| {
                        assert_eq!(timeout(MILLI, || osier::sleep(LONG)), Err(Elapsed));
                        osier::sleep(MILLI);
                        exit(7);
                    })
                })
            });
            assert_eq!(late, Ok(Some(7)));
        });
        in_greenlet.switch(()).unwrap();
    });
}

fn with_os_threads_a_copy_may_execute_or_end() {
    let runtime = osier::Builder::new().offload_threads(2).build().unwrap();
    runtime.run(|| {
        let (release, wait) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::spawn(move || wait.recv().unwrap_err());
        // SAFETY: it only ends.
        let mut process = unsafe { fork(|| libc::_exit(9)) }.unwrap();
        assert_eq!(process.join().unwrap().code(), Some(9));
        let (path, argument) = (c"/bin/true", [c"true".as_ptr(), std::ptr::null()]);
        // SAFETY: it only executes a program; the strings and the list end as they should.
        let mut process = unsafe {
            fork(|| {
                libc::execv(path.as_ptr(), argument.as_ptr());
                libc::_exit(1);
            })
        }
        .unwrap();
        assert_eq!(process.join().unwrap().code(), Some(0));
        drop(release);
        thread.join().unwrap();
        // Alone again, it may do as it likes.
        // SAFETY: there is no other OS thread.
        let mut process =
            unsafe { fork(|| osier::run(|| exit(osier::spawn(|| 4).join().unwrap()))) }.unwrap();
        assert_eq!(process.join().unwrap().code(), Some(4));
    });
}
