//! What of several workers can be seen only in a process that has no OS threads but ours: this file has no test harness, and
//! each case runs in a process of its own.

use osier::sync::Semaphore;
use osier::time::Duration;
use std::cell::Cell;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

const CASES: [(&str, fn()); 6] = [
    ("all_parked_for_ever_is_a_deadlock", all_parked_for_ever_is_a_deadlock),
    (
        "an_os_thread_that_ends_and_has_woken_nobody_leaves_a_deadlock",
        an_os_thread_that_ends_and_has_woken_nobody_leaves_a_deadlock,
    ),
    ("os_threads_come_and_go_with_the_entry", os_threads_come_and_go_with_the_entry),
    ("ten_thousand_waiters_wake_nobody", ten_thousand_waiters_wake_nobody),
    ("virtual_time_is_that_of_all_workers", virtual_time_is_that_of_all_workers),
    ("the_end_during_the_look_is_no_deadlock", the_end_during_the_look_is_no_deadlock),
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
        let status = Command::new(std::env::current_exe().unwrap()).arg(name).status().unwrap();
        if !status.success() {
            failed.push((name, status));
        }
    }
    assert!(failed.is_empty(), "failed: {failed:?}");
}

fn builder() -> osier::Builder {
    osier::Builder::new().workers(2)
}

/// The names of the process's OS threads.
fn os_threads() -> Vec<String> {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let mut names: Vec<_> = tasks
        .filter_map(|task| std::fs::read_to_string(task.unwrap().path().join("comm")).ok())
        .map(|name| name.trim().to_string())
        .collect();
    names.sort();
    names
}

/// Waits until only the main OS thread is left: the kernel takes its time to forget one that was joined.
fn wait_until_alone() {
    let start = std::time::Instant::now();
    while os_threads().len() > 1 {
        assert!(start.elapsed() < Duration::from_secs(60), "{:?}", os_threads());
        std::thread::yield_now();
    }
}

/// Voluntary switches of all OS threads: each time that one of them slept and was woken.
fn sleeps() -> u64 {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let sleeps = tasks.map(|task| {
        let status = std::fs::read_to_string(task.unwrap().path().join("status")).unwrap();
        let line = status.lines().find(|line| line.starts_with("voluntary_ctxt_switches")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap()
    });
    sleeps.sum()
}

fn all_parked_for_ever_is_a_deadlock() {
    let runtime = builder().build().unwrap();
    for round in 0..4 {
        let deadlock = runtime
            .try_run(|| {
                let semaphore = Arc::new(Semaphore::new(0));
                for worker in 0..2 {
                    let theirs = semaphore.clone();
                    let hungry =
                        osier::thread::Builder::new().worker(worker).name(format!("hungry {worker}"));
                    hungry.spawn(move || drop(theirs.acquire())).unwrap();
                }
                if round % 2 == 0 {
                    osier::thread::park();
                } else {
                    osier::thread::Builder::new()
                        .worker(1)
                        .spawn(osier::thread::park)
                        .unwrap()
                        .join()
                        .unwrap();
                }
            })
            .unwrap_err();
        assert_eq!(deadlock.circle().count(), 0);
        let text = deadlock.to_string();
        for name in ["'main'", "'hungry 0'", "'hungry 1'"] {
            assert!(text.contains(name), "{text}");
        }
        assert_eq!(deadlock.waiting().len(), 3 + round % 2, "{text}");
    }
    let after_offload = runtime.try_run(|| {
        osier::offload(|| ());
        osier::thread::park();
    });
    after_offload.unwrap_err();
    assert_eq!(runtime.run(|| osier::spawn(|| 1).join().unwrap()), 1);
    // With an OS thread that wakes somebody on the other worker it is none.
    runtime.run(|| {
        let thread = osier::thread::Builder::new().worker(1).spawn(osier::thread::park).unwrap();
        let theirs = thread.thread().clone();
        let os_thread = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(150));
            theirs.unpark();
        });
        thread.join().unwrap();
        os_thread.join().unwrap();
    });
}

/// It is looked again, also after it was told that somebody might still come; and told once.
fn an_os_thread_that_ends_and_has_woken_nobody_leaves_a_deadlock() {
    let (told, ends) = (Arc::new(AtomicUsize::new(0)), std::sync::mpsc::channel::<()>());
    let (count, end) = (told.clone(), Cell::new(Some(ends.0)));
    let builder = builder().on_stuck(move |_| {
        count.fetch_add(1, Ordering::Relaxed);
        // The OS thread ends.
        end.take();
    });
    let deadlock = builder.build().unwrap().try_run(move || {
        std::thread::spawn(move || ends.1.recv());
        osier::thread::Builder::new().worker(1).spawn(osier::thread::park).unwrap().join().unwrap();
    });
    assert_eq!(deadlock.unwrap_err().waiting().len(), 2);
    assert_eq!(told.load(Ordering::Relaxed), 1);
}

fn os_threads_come_and_go_with_the_entry() {
    let main = os_threads();
    let runtime = osier::Builder::new().workers(3).build().unwrap();
    assert_eq!(os_threads(), main, "`build` starts none");
    for _ in 0..20 {
        runtime.run(|| {
            for worker in 1..3 {
                osier::thread::Builder::new().worker(worker).spawn(|| ()).unwrap().join().unwrap();
            }
            let names = os_threads();
            assert_eq!(names.len(), 3, "{names:?}");
            assert!(names.contains(&"osier-worker-1".into()) && names.contains(&"osier-worker-2".into()));
        });
        wait_until_alone();
    }
    runtime.enter(|_| assert_eq!(os_threads().len(), 3));
    wait_until_alone();
}

fn ten_thousand_waiters_wake_nobody() {
    const COUNT: usize = 10_000;
    builder().build().unwrap().run(|| {
        let never = Arc::new(Semaphore::new(0));
        let waiting = Arc::new(AtomicUsize::new(0));
        let sockets: Vec<_> = (0..100)
            .map(|n| {
                let socket = osier::net::UdpSocket::bind("127.0.0.1:0").unwrap();
                let waiting = waiting.clone();
                let on = osier::thread::Builder::new().worker(n % 2);
                on.spawn(move || {
                    waiting.fetch_add(1, Ordering::Relaxed);
                    socket.recv(&mut [0]).unwrap();
                })
                .unwrap()
            })
            .collect();
        for n in sockets.len()..COUNT {
            let (never, waiting) = (never.clone(), waiting.clone());
            let body = move || {
                waiting.fetch_add(1, Ordering::Relaxed);
                drop(never.acquire());
            };
            match n % 4 {
                0 => drop(osier::thread::Builder::new().worker(1).spawn(body).unwrap()),
                1 => drop(osier::thread::Builder::new().worker(0).spawn(body).unwrap()),
                _ => drop(osier::spawn(body)),
            }
        }
        while waiting.load(Ordering::Relaxed) < COUNT {
            osier::yield_now();
        }
        // The pages of idle stacks are given back after a pause; that may take a wake-up, once.
        osier::sleep(Duration::from_millis(500));
        let woken = || {
            let before = sleeps();
            osier::sleep(Duration::from_secs(2));
            sleeps() - before
        };
        // The one that ends this sleep, and room for a stray signal. A machine that is short of memory has a reader of /proc sleep now and
        // then: what is woken without work is so each time.
        let woken: Vec<_> = (0..5).map(|_| woken()).take_while(|sleeps| *sleeps > 3).collect();
        assert!(woken.len() < 5, "{woken:?} wake-ups in 2 s without work");
    });
    wait_until_alone();
}

fn virtual_time_is_that_of_all_workers() {
    use osier::time::{FakeClock, Instant};
    const HOUR: Duration = Duration::from_secs(3600);
    let started = std::time::Instant::now();
    let runtime = builder().clock(FakeClock::new()).build().unwrap();
    for _ in 0..5 {
        runtime.run(|| {
            let start = Instant::now();
            let log = Arc::new(std::sync::Mutex::new(Vec::new()));
            let threads: Vec<_> = (0..40_u32)
                .map(|n| {
                    let log = log.clone();
                    let on = osier::thread::Builder::new().worker(n as usize % 2);
                    on.spawn(move || {
                        osier::sleep(HOUR * (n * 7 % 10));
                        log.lock().unwrap().push(start.elapsed());
                        // The others' time does not go on while this runs.
                        assert_eq!(start.elapsed(), HOUR * (n * 7 % 10));
                    })
                    .unwrap()
                })
                .collect();
            threads.into_iter().for_each(|thread| thread.join().unwrap());
            assert!(log.lock().unwrap().is_sorted(), "in order of deadlines, also across workers");
            assert_eq!(start.elapsed(), HOUR * 9);
        });
    }
    assert!(started.elapsed() < HOUR / 60);
    // A deadlock is found in virtual time, too.
    runtime.try_run(osier::thread::park).unwrap_err();
}

/// Whoever is woken during the look, and ends, before the other worker has said what it knows.
fn the_end_during_the_look_is_no_deadlock() {
    use osier::time::{Clock, Instant, MachineClock};
    use std::thread::{JoinHandle, ThreadId};
    /// The first worker's OS thread, and one that wakes main and ends, for which it waits when it sleeps.
    type First = (ThreadId, JoinHandle<()>);
    #[derive(Clone, Default)]
    struct Prompter {
        first: Arc<Mutex<Option<First>>>,
        /// Times that the first worker sleeps before; one of the next few is in the look.
        sleeps: Arc<AtomicUsize>,
        go: Arc<AtomicBool>,
        /// The other worker is held up as it falls asleep: it cannot say what it knows.
        holds: Arc<AtomicBool>,
    }
    impl Clock for Prompter {
        fn now(&self) -> Instant {
            MachineClock.now()
        }

        fn idle(&self, until: Option<Instant>) -> Option<Duration> {
            let mut first = self.first.lock().unwrap();
            if first.as_ref().is_some_and(|(first, _)| *first == std::thread::current().id())
                && self.sleeps.fetch_sub(1, Ordering::Relaxed) == 0
            {
                self.go.store(true, Ordering::Release);
                first.take().unwrap().1.join().unwrap();
            }
            drop(first);
            if std::thread::current().name() == Some("osier-worker-1") {
                while self.holds.load(Ordering::Acquire) {
                    std::thread::yield_now();
                }
            }
            MachineClock.idle(until)
        }
    }
    for sleeps in 1..=6 {
        let clock = Prompter { sleeps: Arc::new(AtomicUsize::new(sleeps)), ..Prompter::default() };
        let runtime = builder().clock(clock.clone()).build().unwrap();
        let outcome = runtime.try_run(|| {
            // By itself, so that it is not held up before: after that it falls asleep once more.
            let holds = clock.holds.clone();
            let hold = osier::thread::Builder::new().worker(1);
            hold.spawn(move || holds.store(true, Ordering::Release)).unwrap().join().unwrap();
            let (main, go) = (osier::thread::current(), clock.go.clone());
            let waker = std::thread::spawn(move || {
                while !go.load(Ordering::Acquire) {
                    std::thread::yield_now();
                }
                main.unpark();
            });
            *clock.first.lock().unwrap() = Some((std::thread::current().id(), waker));
            osier::thread::park();
            clock.holds.store(false, Ordering::Release);
            7
        });
        assert_eq!(outcome.map_err(|deadlock| deadlock.to_string()), Ok(7));
    }
}
