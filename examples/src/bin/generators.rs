//! Functions that give values one after another.
//!
//! What to watch for: a generator runs only while somebody asks it for a value, and stands still in between, in the middle
//! of its loop. That is enough for two loops in turn, for a producer and a consumer, and for iterators without an end.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program talks to its user")]

use clap::Parser;
use osier::generator::{Generator, Yielder};
use osier::greenlet;
use osier_examples::cli;
use std::process::ExitCode;

/// Generators: loops in turn, send and close, return values, iterators.
#[derive(Parser)]
#[command(version)]
struct Arguments {}

fn main() -> ExitCode {
    if let Err(line) = cli::arguments::<Arguments>() {
        eprintln!("generators: {line}; see generators --help");
        return ExitCode::from(2);
    }
    greenlet::scope(|| {
        println!("two loops in turn:");
        two_loops();
        println!("producer and consumer:");
        producer_and_consumer();
        println!("next, send, and the return value:");
        next_send_return();
        println!("two instances of one body:");
        two_instances();
        println!("fibonacci as an iterator:");
        println!("  {:?}", fibonacci().take(10).collect::<Vec<_>>());
        println!("fibonacci as an iterable type:");
        for n in &(Fibonacci { below: 50 }) {
            print!("  {n}");
        }
        println!();
    });
    ExitCode::SUCCESS
}

fn two_loops() {
    let work = |name: &'static str, rounds: u32| {
        Generator::<()>::new(move |co| {
            for round in 1..=rounds {
                println!("  {name} {round}");
                co.yield_(());
            }
        })
    };
    let (mut a, mut b) = (work("A", 3), work("B", 2));
    // Bitwise, so that both get their turn in each round.
    while a.next().is_some() | b.next().is_some() {}
}

fn producer_and_consumer() {
    let mut consumer = Generator::<&str, u32>::new(|co| {
        /// Its destructor runs when the consumer is closed.
        struct Till(u32);
        impl Drop for Till {
            fn drop(&mut self) {
                println!("  consumer: closed after {} items", self.0);
            }
        }
        let mut till = Till(0);
        let mut answer = "ready";
        loop {
            if let Some(item) = co.yield_(answer) {
                println!("  consumer: got {item}");
                till.0 += 1;
                answer = "200 OK";
            }
        }
    });
    println!("  consumer says {:?}", consumer.next().expect("it has no end"));
    for item in 1..=3 {
        println!("  producer: sends {item}");
        let answer = consumer.send(item).expect("it was started").expect("it has no end");
        println!("  consumer says {answer:?}");
    }
    consumer.close().expect("it does not hold out");
}

fn next_send_return() {
    let mut asks = Generator::<&str, &str, String>::new(|co| {
        let name = co.yield_("who are you?").unwrap_or("nobody");
        let place = co.yield_("where from?").unwrap_or("nowhere");
        format!("{name} from {place}")
    });
    println!("  {:?}", asks.send("too early").map_err(|error| error.to_string()));
    println!("  {:?}", asks.next());
    println!("  {:?}", asks.send("Ada").expect("it was started"));
    // A plain next sends nothing.
    println!("  {:?}", asks.next());
    println!("  returned {:?}", asks.take_return());
}

fn two_instances() {
    let countdown =
        |from: u32| Generator::<u32>::new(move |co| (1..=from).rev().for_each(|n| _ = co.yield_(n)));
    let (mut a, mut b) = (countdown(3), countdown(2));
    println!(
        "  a {:?}, b {:?}, a {:?}, b {:?}, a {:?}, b {:?}",
        a.next(),
        b.next(),
        a.next(),
        b.next(),
        a.next(),
        b.next()
    );
}

fn fibonacci() -> Generator<u64> {
    Generator::new(|co: &Yielder<u64>| {
        let (mut a, mut b) = (0, 1);
        loop {
            co.yield_(a);
            (a, b) = (b, a + b);
        }
    })
}

/// The Fibonacci numbers below a bound.
struct Fibonacci {
    below: u64,
}

impl IntoIterator for &Fibonacci {
    type Item = u64;
    type IntoIter = Generator<u64>;

    fn into_iter(self) -> Generator<u64> {
        let below = self.below;
        Generator::new(move |co| {
            for n in fibonacci().take_while(|&n| n < below) {
                co.yield_(n);
            }
        })
    }
}
