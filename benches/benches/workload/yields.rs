//! Green threads that do nothing but let each other run: one operation is one yield.

use super::{Contestant, Question};
use std::time::{Duration, Instant};

pub const TWO: Question = Question {
    name: "yield, 2 green threads",
    unit: "yield",
    operations: 200_000,
    contestants: &[
        Contestant { name: "osier", run: |operations| osier(2, operations) },
        Contestant { name: "may", run: |operations| may(2, operations) },
        Contestant { name: "tokio current-thread", run: |operations| tokio(2, operations) },
    ],
};

pub const THOUSAND: Question = Question {
    name: "yield, 1,000 green threads",
    unit: "yield",
    operations: 200_000,
    contestants: &[
        Contestant { name: "osier", run: |operations| osier(1_000, operations) },
        Contestant { name: "may", run: |operations| may(1_000, operations) },
        Contestant { name: "tokio current-thread", run: |operations| tokio(1_000, operations) },
    ],
};

/// Each yields so often; once more before the clock starts, so that all have their stacks.
fn share(threads: u64, operations: u64) -> u64 {
    operations.div_ceil(threads)
}

fn osier(threads: u64, operations: u64) -> Duration {
    let each = share(threads, operations);
    osier::run(move || {
        let threads: Vec<_> = (0..threads)
            .map(|_| {
                osier::spawn(move || {
                    osier::yield_now();
                    let start = Instant::now();
                    for _ in 0..each {
                        osier::yield_now();
                    }
                    (start, Instant::now())
                })
            })
            .collect();
        span(threads.into_iter().map(|thread| thread.join().expect("it does not panic")))
    })
}

fn may(threads: u64, operations: u64) -> Duration {
    super::may();
    let each = share(threads, operations);
    let body = move || {
        may::coroutine::yield_now();
        let start = Instant::now();
        for _ in 0..each {
            may::coroutine::yield_now();
        }
        (start, Instant::now())
    };
    // Spawned by a coroutine, so that all are there before the first runs.
    let spawner = move || {
        // SAFETY: the body uses no thread-locals.
        let threads: Vec<_> = (0..threads).map(|_| unsafe { may::coroutine::spawn(body) }).collect();
        span(threads.into_iter().map(|thread| thread.join().expect("it does not panic")))
    };
    // SAFETY: as above.
    unsafe { may::coroutine::spawn(spawner) }.join().expect("it does not panic")
}

fn tokio(threads: u64, operations: u64) -> Duration {
    let each = share(threads, operations);
    super::tokio().block_on(async move {
        let tasks: Vec<_> = (0..threads)
            .map(|_| {
                tokio::spawn(async move {
                    tokio::task::yield_now().await;
                    let start = Instant::now();
                    for _ in 0..each {
                        tokio::task::yield_now().await;
                    }
                    (start, Instant::now())
                })
            })
            .collect();
        let mut times = Vec::new();
        for task in tasks {
            times.push(task.await.expect("it does not panic"));
        }
        span(times.into_iter())
    })
}

/// From the first start to the last end.
fn span(times: impl Iterator<Item = (Instant, Instant)>) -> Duration {
    let (starts, ends): (Vec<_>, Vec<_>) = times.unzip();
    let (start, end) = (starts.into_iter().min(), ends.into_iter().max());
    end.expect("at least one thread") - start.expect("at least one thread")
}
