//! Spawning and joining: one operation is one green thread that does nothing.

use super::{Contestant, Question};
use std::time::{Duration, Instant};

pub const ONE: Question = Question {
    name: "spawn one and join it",
    unit: "green thread",
    operations: 20_000,
    contestants: &[
        Contestant { name: "osier", run: |operations| osier(operations, 1) },
        Contestant { name: "may", run: |operations| may(operations, 1) },
        Contestant { name: "tokio current-thread", run: |operations| tokio(operations, 1) },
    ],
};

pub const MANY: Question = Question {
    name: "spawn 100,000, then join all",
    unit: "green thread",
    operations: 100_000,
    contestants: &[
        Contestant { name: "osier", run: |operations| osier(1, operations) },
        // Its stacks are two mappings each, of which Linux gives a process 65,530.
        Contestant {
            name: "may, 10,000 at once",
            run: |operations| may(operations.div_ceil(10_000), operations.min(10_000)),
        },
        Contestant { name: "tokio current-thread", run: |operations| tokio(1, operations) },
    ],
};

fn osier(times: u64, at_once: u64) -> Duration {
    osier::run(move || {
        let start = Instant::now();
        for _ in 0..times {
            let threads: Vec<_> = (0..at_once).map(|_| osier::spawn(|| ())).collect();
            threads.into_iter().for_each(|thread| thread.join().expect("it does not panic"));
        }
        start.elapsed()
    })
}

fn may(times: u64, at_once: u64) -> Duration {
    super::may();
    let spawner = move || {
        let start = Instant::now();
        for _ in 0..times {
            // SAFETY: the body uses no thread-locals.
            let threads: Vec<_> = (0..at_once).map(|_| unsafe { may::coroutine::spawn(|| ()) }).collect();
            threads.into_iter().for_each(|thread| thread.join().expect("it does not panic"));
        }
        start.elapsed()
    };
    // SAFETY: as above.
    unsafe { may::coroutine::spawn(spawner) }.join().expect("it does not panic")
}

fn tokio(times: u64, at_once: u64) -> Duration {
    super::tokio().block_on(async move {
        // As for the others, what joins is scheduled as what it joins is.
        let spawner = tokio::spawn(async move {
            let start = Instant::now();
            for _ in 0..times {
                let tasks: Vec<_> = (0..at_once).map(|_| tokio::spawn(async {})).collect();
                for task in tasks {
                    task.await.expect("it does not panic");
                }
            }
            start.elapsed()
        });
        spawner.await.expect("it does not panic")
    })
}
