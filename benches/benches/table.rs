//! Everything beside everything: one table, in well under a minute.
//!
//! Contestants take turns, round by round, so that what else the machine does hits them alike; what is printed is the median of
//! the rounds, and how many times as long as Osier a peer took. Words on the command line choose the questions whose names
//! contain one of them.

#![allow(clippy::print_stdout, reason = "the table is what this program is for")]
#![allow(missing_docs, unreachable_pub, dead_code, reason = "the workloads are shared by several programs")]

mod workload;

use std::time::Duration;
use workload::{Contestant, Question, channels, compute, echo, locks, spawn, switch, timer, yields};

const QUESTIONS: [Question; 13] = [
    switch::QUESTION,
    yields::TWO,
    yields::THOUSAND,
    spawn::ONE,
    spawn::MANY,
    channels::ROUND_TRIP,
    channels::STREAM,
    locks::QUESTION,
    timer::CANCELLED,
    timer::FIRED,
    echo::QUESTION,
    compute::COMPUTE,
    compute::TREE,
];

/// Odd, so that there is a median.
const ROUNDS: usize = 9;

fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    // `cargo bench` says so; `cargo test` does not, and is there to see that everything runs.
    let measures = arguments.iter().any(|argument| argument == "--bench");
    let wanted: Vec<_> = arguments.iter().filter(|argument| !argument.starts_with('-')).collect();
    let questions = QUESTIONS.iter().filter(|question| {
        wanted.is_empty() || wanted.iter().any(|wanted| question.name.contains(wanted.as_str()))
    });
    for question in questions {
        if !measures {
            for contestant in question.contestants {
                (contestant.run)(64);
            }
            continue;
        }
        println!("\n{}, ns each {}", question.name, question.unit);
        let medians = measure(question);
        let osier = medians[0];
        for (Contestant { name, .. }, median) in question.contestants.iter().zip(medians) {
            println!("  {name:<22} {median:>10.1}   x {:.2}", median / osier);
        }
    }
}

/// Nanoseconds for an operation of each contestant.
fn measure(question: &Question) -> Vec<f64> {
    let mut rounds = vec![Vec::new(); question.contestants.len()];
    // The first round warms up.
    for round in 0..=ROUNDS {
        for (contestant, times) in question.contestants.iter().zip(&mut rounds) {
            let took: Duration = (contestant.run)(question.operations);
            if round > 0 {
                times.push(took.as_nanos() as f64 / question.operations as f64);
            }
        }
    }
    let median = |mut times: Vec<f64>| {
        times.sort_unstable_by(f64::total_cmp);
        times[times.len() / 2]
    };
    rounds.into_iter().map(median).collect()
}
