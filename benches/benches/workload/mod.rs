//! What is measured, for Osier and for its peers, one question a file.

use std::time::Duration;

pub mod channels;
pub mod compute;
pub mod echo;
pub mod locks;
pub mod spawn;
pub mod switch;
pub mod timer;
pub mod yields;

/// One thing to be measured, and those who do it.
pub struct Question {
    pub name: &'static str,
    /// What one operation is.
    pub unit: &'static str,
    /// How many operations make a round of some 10 ms.
    pub operations: u64,
    /// Osier first.
    pub contestants: &'static [Contestant],
}

/// One of those who are compared.
pub struct Contestant {
    pub name: &'static str,
    /// Does so many operations and says how long they took, without what came before and after.
    pub run: fn(u64) -> Duration,
}

/// May, with one worker as all others here.
pub fn may() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        may::config().set_workers(1);
    });
}

/// Tokio's current-thread runtime.
pub fn tokio() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a tokio runtime")
}

/// Answers `questions` with criterion.
pub fn with_criterion(questions: &[Question]) {
    let mut criterion = criterion::Criterion::default().configure_from_args();
    for question in questions {
        let mut group = criterion.benchmark_group(question.name);
        group.throughput(criterion::Throughput::Elements(question.operations));
        group
            .sample_size(10)
            .warm_up_time(Duration::from_millis(200))
            .measurement_time(Duration::from_secs(1));
        for contestant in question.contestants {
            group.bench_function(contestant.name, |bencher| {
                bencher.iter_custom(|times| (0..times).map(|_| (contestant.run)(question.operations)).sum());
            });
        }
        group.finish();
    }
    criterion.final_summary();
}
