//! A hundred that raise one number under a lock, and let the others run in each tenth section: one operation is one section.

use super::{Contestant, Question};
use std::sync::Arc;
use std::time::{Duration, Instant};

pub const QUESTION: Question = Question {
    name: "mutex, 100 tasks that yield in each 10th section",
    unit: "section",
    operations: 50_000,
    contestants: &[
        Contestant { name: "osier", run: osier },
        Contestant { name: "may", run: may },
        Contestant { name: "tokio current-thread", run: tokio },
        Contestant { name: "OS threads", run: os_threads },
    ],
};

const TASKS: u64 = 100;

fn each(operations: u64) -> u64 {
    operations.div_ceil(TASKS)
}

fn osier(operations: u64) -> Duration {
    let each = each(operations);
    osier::run(move || {
        let number = Arc::new(osier::sync::Mutex::new(0));
        let start = Instant::now();
        let threads = (0..TASKS).map(|_| {
            let number = number.clone();
            osier::spawn(move || {
                for section in 0..each {
                    let mut number = number.lock().expect("nobody panics");
                    *number += 1;
                    if section % 10 == 0 {
                        osier::yield_now();
                    }
                }
            })
        });
        let threads: Vec<_> = threads.collect();
        threads.into_iter().for_each(|thread| thread.join().expect("it does not panic"));
        let took = start.elapsed();
        assert_eq!(*number.lock().expect("nobody panics"), each * TASKS);
        took
    })
}

fn may(operations: u64) -> Duration {
    super::may();
    let each = each(operations);
    let body = move || {
        let number = Arc::new(may::sync::Mutex::new(0));
        let start = Instant::now();
        let coroutines = (0..TASKS).map(|_| {
            let number = number.clone();
            let sections = move || {
                for section in 0..each {
                    let mut number = number.lock().expect("nobody panics");
                    *number += 1;
                    if section % 10 == 0 {
                        may::coroutine::yield_now();
                    }
                }
            };
            // SAFETY: the body uses no thread-locals.
            unsafe { may::coroutine::spawn(sections) }
        });
        let coroutines: Vec<_> = coroutines.collect();
        coroutines.into_iter().for_each(|coroutine| coroutine.join().expect("it does not panic"));
        let took = start.elapsed();
        assert_eq!(*number.lock().expect("nobody panics"), each * TASKS);
        took
    };
    // SAFETY: as above.
    unsafe { may::coroutine::spawn(body) }.join().expect("it does not panic")
}

fn tokio(operations: u64) -> Duration {
    let each = each(operations);
    super::tokio().block_on(async move {
        let number = Arc::new(tokio::sync::Mutex::new(0));
        let start = Instant::now();
        let tasks = (0..TASKS).map(|_| {
            let number = number.clone();
            tokio::spawn(async move {
                for section in 0..each {
                    let mut number = number.lock().await;
                    *number += 1;
                    if section % 10 == 0 {
                        tokio::task::yield_now().await;
                    }
                }
            })
        });
        let tasks: Vec<_> = tasks.collect();
        for task in tasks {
            task.await.expect("it does not panic");
        }
        let took = start.elapsed();
        assert_eq!(*number.lock().await, each * TASKS);
        took
    })
}

fn os_threads(operations: u64) -> Duration {
    let each = each(operations);
    let number = std::sync::Mutex::new(0);
    let start = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..TASKS {
            scope.spawn(|| {
                for section in 0..each {
                    let mut number = number.lock().expect("nobody panics");
                    *number += 1;
                    if section % 10 == 0 {
                        std::thread::yield_now();
                    }
                }
            });
        }
    });
    start.elapsed()
}
