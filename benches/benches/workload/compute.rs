//! Computing on one worker and on two: one operation is some 50 µs of arithmetic, on a green thread of its own, and what is spawned by
//! one is run by all.

use super::{Contestant, Question};
use std::hint::black_box;
use std::time::{Duration, Instant};

pub const COMPUTE: Question = Question {
    name: "compute on several workers",
    unit: "green thread of 50 µs",
    operations: 400,
    contestants: &[
        Contestant { name: "osier, 2 workers", run: |operations| compute(2, operations) },
        Contestant { name: "osier, 1 worker", run: |operations| compute(1, operations) },
    ],
};

pub const TREE: Question = Question {
    name: "a tree of green threads on several workers",
    unit: "green thread",
    operations: 111_111,
    contestants: &[
        Contestant { name: "osier, 2 workers", run: |operations| tree(2, operations) },
        Contestant { name: "osier, 1 worker", run: |operations| tree(1, operations) },
    ],
};

fn on(workers: usize, body: impl FnOnce()) -> Duration {
    let runtime = osier::Builder::new().workers(workers).build().expect("a runtime");
    runtime.run(|| {
        let start = Instant::now();
        body();
        start.elapsed()
    })
}

fn compute(workers: usize, operations: u64) -> Duration {
    on(workers, || {
        let threads: Vec<_> = (0..operations).map(|n| osier::spawn(move || arithmetic(n))).collect();
        for thread in threads {
            black_box(thread.join().expect("it does not panic"));
        }
    })
}

fn arithmetic(mut state: u64) -> u64 {
    for _ in 0..16_000 {
        state = black_box(state.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(1));
    }
    state
}

/// As many levels of ten children each as there are digits.
fn tree(workers: usize, operations: u64) -> Duration {
    fn grow(levels: u32) -> u64 {
        if levels == 0 {
            return 1;
        }
        let children: Vec<_> = (0..10).map(|_| osier::spawn(move || grow(levels - 1))).collect();
        1 + children.into_iter().map(|child| child.join().expect("it does not panic")).sum::<u64>()
    }
    let levels = operations.ilog10();
    on(workers, || {
        black_box(grow(levels));
    })
}
