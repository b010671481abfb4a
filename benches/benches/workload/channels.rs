//! Two that send each other numbers: one operation is one message, or one that comes back.

use super::{Contestant, Question};
use std::time::{Duration, Instant};

pub const ROUND_TRIP: Question = Question {
    name: "channel round trip, capacity 1",
    unit: "round trip",
    operations: 20_000,
    contestants: &[
        Contestant { name: "osier", run: osier_returns },
        Contestant { name: "may, unbounded", run: may_returns },
        Contestant { name: "tokio current-thread", run: tokio_returns },
        Contestant { name: "OS threads", run: os_threads_return },
    ],
};

pub const STREAM: Question = Question {
    name: "channel stream, capacity 128",
    unit: "message",
    operations: 200_000,
    contestants: &[
        Contestant { name: "osier", run: osier_streams },
        Contestant { name: "may, unbounded", run: may_streams },
        Contestant { name: "tokio current-thread", run: tokio_streams },
        Contestant { name: "OS threads", run: os_threads_stream },
    ],
};

fn osier_returns(operations: u64) -> Duration {
    use osier::sync::mpsc::sync_channel;
    osier::run(move || {
        let ((there, theirs), (back, ours)) = (sync_channel(1), sync_channel(1));
        let other =
            osier::spawn(move || theirs.iter().for_each(|number| back.send(number).expect("we wait")));
        let start = Instant::now();
        for number in 0..operations {
            there.send(number).expect("it waits");
            assert_eq!(ours.recv(), Ok(number));
        }
        let took = start.elapsed();
        drop(there);
        other.join().expect("it does not panic");
        took
    })
}

fn osier_streams(operations: u64) -> Duration {
    osier::run(move || {
        let (sender, receiver) = osier::sync::mpsc::sync_channel(128);
        let start = Instant::now();
        let other = osier::spawn(move || (0..operations).for_each(|n| sender.send(n).expect("we receive")));
        assert_eq!(receiver.iter().count() as u64, operations);
        let took = start.elapsed();
        other.join().expect("it does not panic");
        took
    })
}

fn may_returns(operations: u64) -> Duration {
    use may::sync::mpsc::channel;
    super::may();
    let body = move || {
        let ((there, theirs), (back, ours)) = (channel(), channel());
        let returns = move || theirs.iter().for_each(|number: u64| back.send(number).expect("we wait"));
        // SAFETY: the body uses no thread-locals.
        let other = unsafe { may::coroutine::spawn(returns) };
        let start = Instant::now();
        for number in 0..operations {
            there.send(number).expect("it waits");
            assert_eq!(ours.recv(), Ok(number));
        }
        let took = start.elapsed();
        drop(there);
        other.join().expect("it does not panic");
        took
    };
    // SAFETY: as above.
    unsafe { may::coroutine::spawn(body) }.join().expect("it does not panic")
}

fn may_streams(operations: u64) -> Duration {
    super::may();
    let body = move || {
        let (sender, receiver) = may::sync::mpsc::channel();
        let start = Instant::now();
        let sends = move || (0..operations).for_each(|number| sender.send(number).expect("we receive"));
        // SAFETY: the body uses no thread-locals.
        let other = unsafe { may::coroutine::spawn(sends) };
        assert_eq!(receiver.iter().count() as u64, operations);
        let took = start.elapsed();
        other.join().expect("it does not panic");
        took
    };
    // SAFETY: as above.
    unsafe { may::coroutine::spawn(body) }.join().expect("it does not panic")
}

fn tokio_returns(operations: u64) -> Duration {
    use tokio::sync::mpsc::channel;
    let both = async move {
        let ((there, mut theirs), (back, mut ours)) = (channel(1), channel(1));
        let other = tokio::spawn(async move {
            while let Some(number) = theirs.recv().await {
                back.send(number).await.expect("we wait");
            }
        });
        let start = Instant::now();
        for number in 0..operations {
            there.send(number).await.expect("it waits");
            assert_eq!(ours.recv().await, Some(number));
        }
        let took = start.elapsed();
        drop(there);
        other.await.expect("it does not panic");
        took
    };
    // As for the others, both are scheduled alike.
    super::tokio().block_on(async { tokio::spawn(both).await.expect("it does not panic") })
}

fn tokio_streams(operations: u64) -> Duration {
    let both = async move {
        let (sender, mut receiver) = tokio::sync::mpsc::channel(128);
        let start = Instant::now();
        let other = tokio::spawn(async move {
            for number in 0..operations {
                sender.send(number).await.expect("we receive");
            }
        });
        let mut count = 0;
        while receiver.recv().await.is_some() {
            count += 1;
        }
        assert_eq!(count, operations);
        let took = start.elapsed();
        other.await.expect("it does not panic");
        took
    };
    super::tokio().block_on(async { tokio::spawn(both).await.expect("it does not panic") })
}

fn os_threads_return(operations: u64) -> Duration {
    use std::sync::mpsc::sync_channel;
    let ((there, theirs), (back, ours)) = (sync_channel(1), sync_channel(1));
    std::thread::scope(|scope| {
        scope.spawn(move || theirs.iter().for_each(|number| back.send(number).expect("we wait")));
        let start = Instant::now();
        for number in 0..operations {
            there.send(number).expect("it waits");
            assert_eq!(ours.recv(), Ok(number));
        }
        let took = start.elapsed();
        drop(there);
        took
    })
}

fn os_threads_stream(operations: u64) -> Duration {
    let (sender, receiver) = std::sync::mpsc::sync_channel(128);
    std::thread::scope(|scope| {
        let start = Instant::now();
        scope.spawn(move || (0..operations).for_each(|n| sender.send(n).expect("we receive")));
        assert_eq!(receiver.iter().count() as u64, operations);
        start.elapsed()
    })
}
