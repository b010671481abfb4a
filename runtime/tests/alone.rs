//! What can be seen only in a process with one OS thread: that of `main`, since this file has no test harness. Each case
//! runs in a process of its own.
#![expect(unsafe_code, reason = "limits the address space of a process of its own")]

mod common;

use common::descriptors;
use osier::sync::Semaphore;
use osier::time::{Duration, timeout};
use std::cell::Cell;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

const CASES: [(&str, fn()); 8] = [
    ("all_parked_for_ever_is_a_deadlock", all_parked_for_ever_is_a_deadlock),
    (
        "whoever_wakes_somebody_and_ends_during_the_look_is_heard",
        whoever_wakes_somebody_and_ends_during_the_look_is_heard,
    ),
    (
        "an_os_thread_that_ends_and_has_woken_nobody_leaves_a_deadlock",
        an_os_thread_that_ends_and_has_woken_nobody_leaves_a_deadlock,
    ),
    ("no_wait_is_handed_to_another_os_thread", no_wait_is_handed_to_another_os_thread),
    ("an_idle_runtime_does_not_wake_up", an_idle_runtime_does_not_wake_up),
    ("a_hundred_thousand_parked_at_once", a_hundred_thousand_parked_at_once),
    ("want_of_stacks_is_reported_by_join", want_of_stacks_is_reported_by_join),
    ("idle_os_threads_of_the_pool_end", idle_os_threads_of_the_pool_end),
];

fn main() {
    let case = std::env::args().nth(1);
    if let Some((_, case)) = CASES.iter().find(|(name, _)| case.as_deref() == Some(name)) {
        return case();
    }
    // As the harness would: a word selects the cases that contain it, and leaves them out after `--skip`.
    let (mut wanted, mut unwanted) = (Vec::new(), Vec::new());
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--skip" => unwanted.extend(arguments.next()),
            word if !word.starts_with('-') => wanted.push(argument),
            _ => {}
        }
    }
    let selected = |name: &str| {
        let named = |words: &[String]| words.iter().any(|word| name.contains(word));
        (wanted.is_empty() || named(&wanted)) && !named(&unwanted)
    };
    let mut failed = Vec::new();
    for (name, _) in CASES.iter().filter(|(name, _)| selected(name)) {
        let status = Command::new(std::env::current_exe().unwrap()).arg(name).status().unwrap();
        if !status.success() {
            failed.push((name, status));
        }
    }
    assert!(failed.is_empty(), "failed: {failed:?}");
}

fn os_threads() -> usize {
    std::fs::read_dir("/proc/self/task").unwrap().count()
}

/// The number after `name` in /proc/self/status.
fn status(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Bytes of memory behind the mappings of stacks: those that must not have huge pages.
fn touched_by_stacks() -> u64 {
    let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
    let (mut touched, mut anonymous) = (0, 0);
    for line in maps.lines() {
        if let Some(kilobytes) = line.strip_prefix("Anonymous:") {
            anonymous = kilobytes.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024;
        } else if line.strip_prefix("VmFlags:").is_some_and(|flags| flags.split(' ').any(|flag| flag == "nh"))
        {
            touched += anonymous;
        }
    }
    touched
}

fn all_parked_for_ever_is_a_deadlock() {
    let runtime = osier::Builder::new().build().unwrap();
    for _ in 0..2 {
        let deadlock = runtime
            .try_run(|| {
                let semaphore = Arc::new(Semaphore::new(0));
                let theirs = semaphore.clone();
                let hungry = osier::thread::Builder::new().name("hungry".into());
                hungry.spawn(move || drop(theirs.acquire())).unwrap();
                osier::thread::park();
            })
            .unwrap_err();
        assert_eq!(deadlock.circle().count(), 0);
        let text = deadlock.to_string();
        assert!(
            text.contains("green thread 'hungry' (") && text.contains("waits for the semaphore"),
            "{text}"
        );
        assert!(text.contains("green thread 'main' (") && text.contains("parked"), "{text}");
    }
    // With idle OS threads of the pool it is one, too.
    let after_offload = runtime.try_run(|| {
        osier::offload(|| ());
        osier::thread::park();
    });
    after_offload.unwrap_err();
    assert_eq!(runtime.run(|| 1), 1);
    // And with one that ends meanwhile, or that wakes somebody, it is none.
    runtime.run(|| {
        let me = osier::thread::current();
        let os_thread = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(150));
            me.unpark();
        });
        osier::thread::park();
        os_thread.join().unwrap();
    });
}

/// The look at who waits takes longer the more there are: an OS thread that ends in the middle of it has woken main before.
fn whoever_wakes_somebody_and_ends_during_the_look_is_heard() {
    let runtime = osier::Builder::new().build().unwrap();
    let look = Duration::from_millis(50);
    let outcome = runtime.try_run(|| {
        let waiting: Vec<_> = (0..3000).map(|_| osier::spawn(osier::thread::park)).collect();
        for round in 0..40 {
            osier::yield_now();
            let me = osier::thread::current();
            let os_thread = std::thread::spawn(move || {
                std::thread::sleep(look + Duration::from_micros(200 * round));
                me.unpark();
            });
            osier::thread::park();
            os_thread.join().unwrap();
        }
        waiting.iter().for_each(osier::thread::JoinHandle::kill);
    });
    assert!(outcome.is_ok(), "a deadlock was seen where somebody had been woken");
}

/// It is looked again, also after it was told that somebody might still come; and told once.
fn an_os_thread_that_ends_and_has_woken_nobody_leaves_a_deadlock() {
    let (told, ends) = (Arc::new(AtomicUsize::new(0)), std::sync::mpsc::channel::<()>());
    let (count, end) = (told.clone(), Cell::new(Some(ends.0)));
    let runtime = osier::Builder::new().on_stuck(move |_| {
        count.fetch_add(1, Ordering::Relaxed);
        // The OS thread ends.
        end.take();
    });
    let deadlock = runtime.build().unwrap().try_run(move || {
        std::thread::spawn(move || ends.1.recv());
        osier::thread::park();
    });
    assert_eq!(deadlock.unwrap_err().waiting().len(), 1);
    assert_eq!(told.load(Ordering::Relaxed), 1);
}

fn no_wait_is_handed_to_another_os_thread() {
    assert_eq!(os_threads(), 1);
    let second = Duration::from_millis(3);
    type Wait = (&'static str, fn(Duration));
    let waits: [Wait; 11] = [
        ("sleep", osier::sleep),
        ("sleep_until", |time| osier::thread::sleep_until(osier::time::Instant::now() + time)),
        ("park_timeout", osier::thread::park_timeout),
        ("park", |time| {
            let me = osier::thread::current();
            osier::spawn(move || {
                osier::sleep(time);
                me.unpark();
            });
            osier::thread::park();
        }),
        ("join", |time| osier::spawn(move || osier::sleep(time)).join().unwrap()),
        ("join_timeout", |time| drop(osier::spawn(osier::thread::park).join_timeout(time).unwrap_err())),
        ("scope", |time| {
            osier::thread::scope(|scope| {
                scope.spawn(|| osier::sleep(time));
            });
        }),
        ("acquire", |time| {
            let semaphore = Arc::new(Semaphore::new(0));
            let theirs = semaphore.clone();
            osier::spawn(move || {
                osier::sleep(time);
                theirs.add_permits(1);
            });
            drop(semaphore.acquire());
        }),
        ("acquire_timeout", |time| assert!(Semaphore::new(0).acquire_timeout(time).is_none())),
        ("timeout", |time| assert!(timeout(time, osier::thread::park).is_err())),
        ("yield_now", |time| {
            let start = osier::time::Instant::now();
            while start.elapsed() < time {
                osier::yield_now();
            }
        }),
    ];
    osier::run(|| {
        for (name, wait) in waits {
            let rounds = Arc::new(AtomicUsize::new(0));
            let theirs = rounds.clone();
            let neighbour = osier::spawn(move || {
                loop {
                    assert_eq!(os_threads(), 1, "an OS thread besides the worker's");
                    theirs.fetch_add(1, Ordering::Relaxed);
                    osier::sleep(Duration::from_micros(100));
                }
            });
            // On a busy machine one wait may be too short for the neighbour to be woken twice.
            for _ in 0..100 {
                wait(second);
                if rounds.load(Ordering::Relaxed) > 1 {
                    break;
                }
            }
            assert!(!neighbour.is_finished(), "{name}: the neighbour has failed");
            assert!(rounds.load(Ordering::Relaxed) > 1, "{name}: the neighbour has not gone on");
            neighbour.kill();
        }
    });
    assert_eq!(os_threads(), 1);
}

fn an_idle_runtime_does_not_wake_up() {
    osier::run(|| {
        osier::spawn(|| osier::sleep(Duration::from_secs(3600)));
        osier::spawn(osier::thread::park);
        osier::sleep(Duration::from_millis(1));
        // The pages of idle stacks are given back after a pause; that may take a wake-up, once.
        let woken = || {
            let before = status("voluntary_ctxt_switches");
            osier::sleep(Duration::from_millis(600));
            status("voluntary_ctxt_switches") - before
        };
        // A machine that is short of memory has a reader of /proc sleep now and then: what is woken without work is so each time.
        let woken: Vec<_> = (0..5).map(|_| woken()).take_while(|switches| *switches > 5).collect();
        assert!(woken.len() < 5, "{woken:?} wake-ups in 600 ms without work");
    });
}

fn a_hundred_thousand_parked_at_once() {
    const COUNT: usize = 100_000;
    // What the runtime itself and the first stacks need is there before.
    osier::run(|| osier::spawn(|| ()).join().unwrap());
    let (fds, stacks) = (descriptors(), osier::stacks().in_use);
    let unwound = Arc::new(AtomicUsize::new(0));
    struct Counts(Arc<AtomicUsize>);
    impl Drop for Counts {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    osier::run(|| {
        let threads: Vec<_> = (0..COUNT)
            .map(|_| {
                let counts = Counts(unwound.clone());
                osier::spawn(move || {
                    let _counts = counts;
                    osier::thread::park();
                })
            })
            .collect();
        let spawned = touched_by_stacks();
        assert!(osier::stacks().in_use <= stacks + 1, "a green thread that has not run has no stack");
        osier::yield_now();
        let parked = touched_by_stacks();
        assert!(osier::stacks().in_use >= stacks + COUNT);
        let pages = (parked - spawned) as f64 / COUNT as f64 / 4096.0;
        // The main green thread may have touched a few more of its own.
        assert!(pages <= 2.01, "{pages} pages each were touched");
        threads.iter().for_each(|thread| thread.kill());
        assert!(threads.into_iter().all(|thread| thread.join().unwrap_err().is::<osier::thread::Killed>()));
    });
    assert_eq!(unwound.load(Ordering::Relaxed), COUNT);
    assert_eq!((descriptors(), osier::stacks().in_use, osier::stacks().leaked), (fds, stacks, 0));
}

fn want_of_stacks_is_reported_by_join() {
    osier::run(|| osier::spawn(|| ()).join().unwrap());
    // A gigabyte of address space more than there is now.
    let limit = status("VmSize:") * 1024 + (1 << 30);
    let limit = libc::rlimit { rlim_cur: limit, rlim_max: limit };
    // SAFETY: `limit` is valid.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_AS, &limit) }, 0);
    osier::run(|| {
        let dropped = Arc::new(AtomicUsize::new(0));
        let threads: Vec<_> = (0..40)
            .map(|_| {
                let counts = dropped.clone();
                let builder = osier::thread::Builder::new().stack_size(64 << 20);
                builder
                    .spawn(move || {
                        osier::thread::park();
                        drop(counts);
                    })
                    .unwrap()
            })
            .collect();
        osier::yield_now();
        let (failed, parked): (Vec<_>, Vec<_>) = threads.into_iter().partition(|thread| thread.is_finished());
        assert!(
            failed.len() >= 24 && !parked.is_empty(),
            "{} failed, {} did not",
            failed.len(),
            parked.len()
        );
        for thread in failed {
            let payload = thread.join().unwrap_err();
            let error = payload.downcast_ref::<std::io::Error>().expect("an error of the system");
            assert_eq!(error.kind(), std::io::ErrorKind::OutOfMemory, "{error}");
        }
        assert_eq!(Arc::strong_count(&dropped), 1 + parked.len(), "what they had captured was dropped");
        assert_eq!(osier::spawn(|| 5).join().unwrap(), 5, "small ones are still to be had");
        for thread in parked {
            thread.thread().unpark();
            thread.join().unwrap();
        }
        // And large ones again, now that others are done.
        let large = osier::thread::Builder::new().stack_size(64 << 20).spawn(|| 6).unwrap();
        assert_eq!(large.join().unwrap(), 6);
    });
}

fn idle_os_threads_of_the_pool_end() {
    osier::run(|| {
        assert_eq!(os_threads(), 1, "none before the first use");
        osier::offload(|| ());
        assert_eq!(os_threads(), 2);
        // One that has delivered its result is there for the next call.
        (0..1000).for_each(|_| osier::offload(|| ()));
        assert_eq!(os_threads(), 2, "an idle OS thread is to be used again");
    });
    // The end of the runtime ends them at once; the kernel takes its time to forget one.
    let start = std::time::Instant::now();
    while os_threads() > 1 {
        assert!(
            start.elapsed() < Duration::from_secs(60),
            "it waits for more work of a runtime that is gone"
        );
        std::thread::sleep(Duration::from_millis(1));
    }
}
