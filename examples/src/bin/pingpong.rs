//! Two greenlets that switch to each other by hand.
//!
//! What to watch for: who prints after whom. Nobody schedules here: each line is where it is because somebody switched
//! there. In the second part a name travels with each switch, and one of the two is never switched back to: the end of its
//! scope unwinds it, so that its destructors run. In the third part both sleep between two switches: the green thread waits,
//! and its neighbour goes on.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program talks to its user")]

use clap::Parser;
use osier::greenlet::{self, Greenlet};
use osier_examples::cli;
use std::process::ExitCode;
use std::time::Duration;

/// Two greenlets that switch to each other by hand: bare, with values, and with a sleep between.
#[derive(Parser)]
#[command(version)]
struct Arguments {}

fn main() -> ExitCode {
    if let Err(line) = cli::arguments::<Arguments>() {
        eprintln!("pingpong: {line}; see pingpong --help");
        return ExitCode::from(2);
    }
    println!("bare:");
    greenlet::scope(bare);
    println!("with values:");
    greenlet::scope(with_values);
    println!("with a sleep between:");
    osier::run(with_a_sleep);
    ExitCode::SUCCESS
}

/// A pair that know each other: made first, given their bodies later.
fn pair<T: 'static>() -> (Greenlet<T>, Greenlet<T>) {
    (Greenlet::pending(), Greenlet::pending())
}

fn bare() {
    let (a, b) = pair::<()>();
    for (name, me, other) in [("A", &a, &b), ("B", &b, &a)] {
        let other = other.clone();
        let body = move |()| {
            for round in 1..=2 {
                println!("  {name} {round}");
                // The second switch of B leads to A's end, and that to A's parent, the main greenlet.
                let _ = other.switch(());
            }
        };
        me.set_body(body).expect("it has not begun");
    }
    a.switch(()).expect("nothing unwinds");
    println!("  main: A is {:?}, B is {:?}", a.state(), b.state());
}

/// Says that it is dropped.
struct Luggage(&'static str);

impl Drop for Luggage {
    fn drop(&mut self) {
        println!("  {}'s luggage is dropped", self.0);
    }
}

fn with_values() {
    let (a, b) = pair::<String>();
    let to_b = b.clone();
    let a_body = move |name: String| {
        let _luggage = Luggage("A");
        println!("  A is told {name}");
        let answer = to_b.switch(format!("{name} from A")).expect("nothing unwinds");
        println!("  A is told {answer}");
        answer
    };
    a.set_body(a_body).expect("it has not begun");
    let to_a = a.clone();
    let b_body = move |name: String| {
        let _luggage = Luggage("B");
        println!("  B is told {name}");
        let never = to_a.switch(format!("{name} and B"));
        unreachable!("nobody switches back to B: {never:?}")
    };
    b.set_body(b_body).expect("it has not begun");
    let result = a.switch("Ada".into()).expect("nothing unwinds");
    println!("  main is told {result}");
    println!("  main: A is {:?}, B is {:?}", a.state(), b.state());
}

fn with_a_sleep() {
    let neighbour = osier::spawn(|| {
        println!("  the neighbour goes on while both sleep");
    });
    greenlet::scope(|| {
        let (a, b) = pair::<u32>();
        for (name, me, other) in [("A", &a, &b), ("B", &b, &a)] {
            let other = other.clone();
            let body = move |mut round: u32| {
                while round < 4 {
                    println!("  {name} {round}");
                    osier::sleep(Duration::from_millis(10));
                    round = other.switch(round + 1).unwrap_or(u32::MAX);
                }
                round
            };
            me.set_body(body).expect("it has not begun");
        }
        a.switch(0).expect("nothing unwinds");
    });
    neighbour.join().expect("the neighbour does not panic");
}
