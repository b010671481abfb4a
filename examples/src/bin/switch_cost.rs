//! What switching costs when nobody waits.
//!
//! What to watch for: the last column. Two workers do the same calculation, first one after the other, then switching to
//! each other after every step. Nobody waits for anything, so the switches are lost time: a little with greenlets and green
//! threads, which switch without the kernel, and a lot with OS threads. Beside a real step of work (multiplying a number of thousands of
//! digits) the little is lost in the noise.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program talks to its user")]

use clap::Parser;
use num_bigint::BigUint;
use osier::greenlet::{self, Greenlet, State};
use osier_examples::cli;
use std::cell::RefCell;
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant};

/// Times 1 + 2 + ... + N and 1 * 2 * ... * N, with and without a switch after every step.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// How many steps a calculation has
    #[arg(long, value_name = "N", default_value = "10000", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    steps: u32,

    /// How often each is timed; the best time counts
    #[arg(long, value_name = "RUNS", default_value = "3", value_parser = clap::value_parser!(u32).range(1..=1000))]
    runs: u32,
}

/// What two workers do side by side.
#[derive(Clone, Copy)]
struct Calculation {
    steps: u32,
    /// What the calculation begins with.
    first: u32,
    step: fn(&mut BigUint, u32),
}

impl Calculation {
    fn run(self, mut after_step: impl FnMut()) -> BigUint {
        let mut result = BigUint::from(self.first);
        for n in 1..=self.steps {
            (self.step)(&mut result, n);
            after_step();
        }
        result
    }
}

/// The calculation, done twice: with a switch after every step if `switch`, else one after the other.
type Way = fn(Calculation, switch: bool) -> [BigUint; 2];

fn main() -> ExitCode {
    let Arguments { steps, runs } = match cli::arguments() {
        Ok(arguments) => arguments,
        Err(line) => {
            eprintln!("switch_cost: {line}; see switch_cost --help");
            return ExitCode::from(2);
        }
    };
    let sum = Calculation { steps, first: 0, step: |sum, n| *sum += n };
    let product = Calculation { steps, first: 1, step: |product, n| *product *= n };
    println!("{:<14} {:>12} {:>14} {:>14}", "", "no switches", "with switches", "one switch");
    println!("1 + 2 + ... + {steps} = {}", sum.run(|| {}));
    rows(sum, runs);
    println!("1 * 2 * ... * {steps}, a number of {} digits", product.run(|| {}).to_string().len());
    rows(product, runs);
    ExitCode::SUCCESS
}

fn rows(calculation: Calculation, runs: u32) {
    let expected = calculation.run(|| {});
    let ways: [(&str, Way); 3] =
        [("greenlet", greenlets), ("green thread", green_threads), ("OS thread", os_threads)];
    for (name, way) in ways {
        let [without, with] = [false, true].map(|switch| {
            let times = (0..runs).map(|_| {
                let start = Instant::now();
                let results = way(calculation, switch);
                let time = start.elapsed();
                assert!(results.iter().all(|result| *result == expected), "{name}: a wrong result");
                time
            });
            times.min().unwrap_or_default()
        });
        let switches = 2.0 * f64::from(calculation.steps);
        println!(
            "  {name:<12} {:>9.2} ms {:>11.2} ms {:>11.0} ns",
            milliseconds(without),
            milliseconds(with),
            (milliseconds(with) - milliseconds(without)) * 1e6 / switches,
        );
    }
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn greenlets(calculation: Calculation, switch: bool) -> [BigUint; 2] {
    greenlet::scope(|| {
        let results = Rc::new(RefCell::new(Vec::new()));
        let (a, b) = (Greenlet::<()>::pending(), Greenlet::<()>::pending());
        for (me, other) in [(&a, &b), (&b, &a)] {
            let (other, results) = (other.clone(), results.clone());
            let body = move |()| {
                let result = calculation.run(|| {
                    if switch {
                        other.switch(()).expect("nothing unwinds");
                    }
                });
                results.borrow_mut().push(result);
            };
            me.set_body(body).expect("it has not begun");
        }
        for greenlet in [&a, &b] {
            // The one that ends first leads here; the other is then still at its last switch.
            if greenlet.state() != State::Dead {
                greenlet.switch(()).expect("nothing unwinds");
            }
        }
        let results = results.take();
        results.try_into().expect("two results")
    })
}

fn green_threads(calculation: Calculation, switch: bool) -> [BigUint; 2] {
    osier::run(|| {
        let work = move || {
            calculation.run(|| {
                if switch {
                    osier::yield_now();
                }
            })
        };
        [osier::spawn(work), osier::spawn(work)].map(|thread| thread.join().expect("it does not panic"))
    })
}

/// Who of two OS threads may run.
struct Turn {
    whose: Mutex<usize>,
    changed: Condvar,
}

impl Turn {
    fn give(&self, to: usize) {
        *self.whose.lock().expect("nobody panics") = to;
        self.changed.notify_all();
    }

    fn wait(&self, me: usize) {
        let whose = self.whose.lock().expect("nobody panics");
        drop(self.changed.wait_while(whose, |whose| *whose != me).expect("nobody panics"));
    }
}

fn os_threads(calculation: Calculation, switch: bool) -> [BigUint; 2] {
    // Without turns both would run at once, on two processors, and nobody would switch.
    let turn = Turn { whose: Mutex::new(0), changed: Condvar::new() };
    let work = |me: usize| {
        turn.wait(me);
        let result = calculation.run(|| {
            if switch {
                turn.give(1 - me);
                turn.wait(me);
            }
        });
        turn.give(1 - me);
        result
    };
    std::thread::scope(|scope| {
        let work = &work;
        let threads = [0, 1].map(|me| scope.spawn(move || work(me)));
        threads.map(|thread| thread.join().expect("it does not panic"))
    })
}
