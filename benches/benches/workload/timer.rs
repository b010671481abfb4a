//! Deadlines: those that are set and taken back, as most of IO's are, and those that pass.

use super::{Contestant, Question};
use std::sync::Arc;
use std::time::{Duration, Instant};

pub const CANCELLED: Question = Question {
    name: "wait with a deadline, woken before",
    unit: "wait",
    operations: 100_000,
    contestants: &[
        Contestant { name: "osier", run: osier_woken },
        Contestant { name: "may", run: may_woken },
        Contestant { name: "tokio current-thread", run: tokio_woken },
    ],
};

pub const FIRED: Question = Question {
    name: "10,000 sleepers of 0 to 10 ms, processor time",
    unit: "sleeper",
    operations: 10_000,
    contestants: &[
        Contestant { name: "osier", run: osier_sleeps },
        Contestant { name: "may", run: may_sleeps },
        Contestant { name: "tokio current-thread", run: tokio_sleeps },
    ],
};

const HOUR: Duration = Duration::from_secs(3600);

/// How long the sleeper with this number sleeps: all over the range, in no order.
fn nap(number: u64) -> Duration {
    Duration::from_micros(number.wrapping_mul(7_919) % 10_000)
}

/// What the process has used of its processors while `f` ran.
fn processor_time(f: impl FnOnce()) -> Duration {
    fn now() -> Duration {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        Duration::try_from(time).expect("processor time is positive")
    }
    let start = now();
    f();
    now() - start
}

/// Two green threads that wake each other in turn, each wait bound by an hour.
fn osier_woken(operations: u64) -> Duration {
    osier::run(move || {
        let first = osier::thread::current();
        let second = osier::spawn(move || {
            for _ in 0..operations / 2 {
                osier::thread::park_timeout(HOUR);
                first.unpark();
            }
        });
        let start = Instant::now();
        for _ in 0..operations / 2 {
            second.thread().unpark();
            osier::thread::park_timeout(HOUR);
        }
        let took = start.elapsed();
        second.join().expect("it does not panic");
        took
    })
}

fn may_woken(operations: u64) -> Duration {
    super::may();
    let first = move || {
        let first = may::coroutine::current();
        let second = move || {
            for _ in 0..operations / 2 {
                may::coroutine::park_timeout(HOUR);
                first.unpark();
            }
        };
        // SAFETY: the body uses no thread-locals.
        let second = unsafe { may::coroutine::spawn(second) };
        let start = Instant::now();
        for _ in 0..operations / 2 {
            second.coroutine().unpark();
            may::coroutine::park_timeout(HOUR);
        }
        let took = start.elapsed();
        second.join().expect("it does not panic");
        took
    };
    // SAFETY: as above.
    unsafe { may::coroutine::spawn(first) }.join().expect("it does not panic")
}

fn tokio_woken(operations: u64) -> Duration {
    async fn wait(notify: &tokio::sync::Notify) {
        tokio::time::timeout(HOUR, notify.notified()).await.expect("an hour is long");
    }
    super::tokio().block_on(async move {
        let both = Arc::new([tokio::sync::Notify::new(), tokio::sync::Notify::new()]);
        let theirs = both.clone();
        let second = tokio::spawn(async move {
            for _ in 0..operations / 2 {
                wait(&theirs[1]).await;
                theirs[0].notify_one();
            }
        });
        let first = tokio::spawn(async move {
            let start = Instant::now();
            for _ in 0..operations / 2 {
                both[1].notify_one();
                wait(&both[0]).await;
            }
            start.elapsed()
        });
        let took = first.await.expect("it does not panic");
        second.await.expect("it does not panic");
        took
    })
}

fn osier_sleeps(operations: u64) -> Duration {
    processor_time(|| {
        osier::run(|| {
            let threads: Vec<_> =
                (0..operations).map(|number| osier::spawn(move || osier::sleep(nap(number)))).collect();
            threads.into_iter().for_each(|thread| thread.join().expect("it does not panic"));
        });
    })
}

fn may_sleeps(operations: u64) -> Duration {
    super::may();
    let sleeper = |number| move || may::coroutine::sleep(nap(number));
    processor_time(|| {
        // SAFETY: the body uses no thread-locals.
        let threads: Vec<_> =
            (0..operations).map(|number| unsafe { may::coroutine::spawn(sleeper(number)) }).collect();
        threads.into_iter().for_each(|thread| thread.join().expect("it does not panic"));
    })
}

fn tokio_sleeps(operations: u64) -> Duration {
    processor_time(|| {
        super::tokio().block_on(async {
            let tasks: Vec<_> =
                (0..operations).map(|number| tokio::spawn(tokio::time::sleep(nap(number)))).collect();
            for task in tasks {
                task.await.expect("it does not panic");
            }
        });
    })
}
