//! A wait ends in exactly one way: every order, up to a length, in which a permit is given, a kill comes, the deadline passes and the
//! green thread gets to run, against a few lines that say what must become of it. All of it on one worker, where nothing else can come in
//! between, so this goes through all that there is.

mod common;

use common::check_with;
use osier::Builder;
use osier::sync::{Arc, Semaphore};
use osier::thread::Killed;
use osier::time::{Duration, FakeClock};

const HOUR: Duration = Duration::from_secs(3600);

/// Steps in an order: 4 to the power of this many orders of the longest kind.
const LENGTH: u32 = 5;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Step {
    Give,
    Kill,
    LetTimePass,
    /// Everybody runs, and the worker looks at its clock.
    Run,
}

const STEPS: [Step; 4] = [Step::Give, Step::Kill, Step::LetTimePass, Step::Run];

#[derive(Clone, Copy, Debug, PartialEq)]
enum Outcome {
    Got,
    Late,
    Killed,
}

/// What must become of a wait for a permit with a deadline. `started`: it waits when the steps begin; else it starts at the first
/// `Run`, and its time begins then.
fn expected(mut started: bool, steps: &[Step]) -> Outcome {
    let (mut given, mut killed, mut due) = (false, false, false);
    // How the wait was ended; the green thread may still have to run to find that out.
    let mut ended = None;
    for step in steps {
        match step {
            Step::Give => {
                given = true;
                ended = ended.or(started.then_some(Outcome::Got));
            }
            Step::Kill => {
                killed = true;
                ended = ended.or(started.then_some(Outcome::Killed));
            }
            Step::LetTimePass => due |= started,
            Step::Run if started => ended = ended.or(due.then_some(Outcome::Late)),
            Step::Run => {
                started = true;
                // A kill comes before the first look at the permit.
                let first = if killed { Some(Outcome::Killed) } else { given.then_some(Outcome::Got) };
                ended = first;
            }
        }
    }
    ended.expect("the steps end with all there is")
}

fn everybody_runs() {
    for _ in 0..200 {
        osier::yield_now();
    }
}

fn happens(clock: &FakeClock, started: bool, steps: &[Step]) -> Outcome {
    let semaphore = Arc::new(Semaphore::new(1));
    let mut held = Some(semaphore.acquire());
    let theirs = semaphore.clone();
    let thread = osier::spawn(move || theirs.acquire_timeout(HOUR).is_some());
    if started {
        everybody_runs();
    }
    for step in steps {
        match step {
            Step::Give => drop(held.take()),
            Step::Kill => thread.kill(),
            Step::LetTimePass => clock.advance(2 * HOUR),
            Step::Run => everybody_runs(),
        }
    }
    let outcome = match thread.join() {
        Ok(true) => Outcome::Got,
        Ok(false) => Outcome::Late,
        Err(payload) if payload.is::<Killed>() => Outcome::Killed,
        Err(payload) => std::panic::resume_unwind(payload),
    };
    drop(held);
    assert_eq!(semaphore.available_permits(), 1, "the permit is there again: {steps:?}");
    outcome
}

#[test]
fn in_every_order() {
    let clock = FakeClock::new();
    check_with(Builder::new().clock(clock.clone()), |runtime| {
        runtime.run(|| {
            for length in 0..=LENGTH {
                for number in 0..STEPS.len().pow(length) {
                    let step = |place| STEPS[number / STEPS.len().pow(place) % STEPS.len()];
                    let mut steps: Vec<_> = (0..length).map(step).collect();
                    // In the end it has run, its time has passed, and it has run again.
                    steps.extend([Step::Run, Step::LetTimePass, Step::Run]);
                    for started in [false, true] {
                        let outcome = happens(&clock, started, &steps);
                        assert_eq!(outcome, expected(started, &steps), "started: {started}, {steps:?}");
                    }
                }
            }
        });
    });
}
