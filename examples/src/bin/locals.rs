//! Values of which each green thread has its own.
//!
//! What to watch for: which of the two statics is whose. `osier::local!` has one value for each green thread, made when the thread first
//! asks for it and destroyed when the thread ends; `std::thread_local!` has one for the OS thread, so all green threads of it share that,
//! and find there what the last one has left. A greenlet has none of its own: it uses the one of the green thread that it runs on.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program talks to its user")]

use clap::Parser;
use osier::greenlet::{self, Greenlet};
use osier::thread;
use osier_examples::cli;
use std::cell::Cell;
use std::process::ExitCode;

/// A value for each green thread, beside one for the OS thread that all of them share.
#[derive(Parser)]
#[command(version)]
struct Arguments {}

osier::local! {
    /// The customer that this green thread serves.
    static CUSTOMER: Cell<&'static str> = const { Cell::new("nobody") };
    /// Tells when it is made and when it is destroyed.
    static NOTEBOOK: Notebook = Notebook::new();
}

thread_local! {
    /// The same, or so it seems.
    static SHARED: Cell<&'static str> = const { Cell::new("nobody") };
}

struct Notebook {
    owner: &'static str,
    lines: Cell<u32>,
}

impl Notebook {
    fn new() -> Notebook {
        let owner = CUSTOMER.get();
        println!("  {owner}'s notebook is made");
        Notebook { owner, lines: Cell::new(0) }
    }
}

impl Drop for Notebook {
    fn drop(&mut self) {
        println!("  {}'s notebook is destroyed; lines: {}", self.owner, self.lines.get());
    }
}

fn main() -> ExitCode {
    if let Err(line) = cli::arguments::<Arguments>() {
        eprintln!("locals: {line}; see locals --help");
        return ExitCode::from(2);
    }
    osier::run(|| {
        println!(
            "three green threads write down their customers, and look again when the others had their turn:"
        );
        each(["Ada", "Bert", "Cleo"], |customer| {
            CUSTOMER.set(customer);
            SHARED.set(customer);
            thread::yield_now();
            println!("  {customer}'s: local! has {}, thread_local! has {}", CUSTOMER.get(), SHARED.get());
        });
        println!("  main: local! has {}, thread_local! has {}", CUSTOMER.get(), SHARED.get());

        println!("a local is made when it is first used, and destroyed at the end of its green thread:");
        each(["Ada", "Bert", "Cleo"], |customer| {
            CUSTOMER.set(customer);
            let lines = match customer {
                "Ada" => 3,
                "Bert" => 0,
                _ => 1,
            };
            for _ in 0..lines {
                note();
                thread::yield_now();
            }
            println!("  {customer}'s green thread ends");
        });

        println!("a greenlet uses the locals of the green thread that it runs on:");
        CUSTOMER.set("Dora");
        greenlet::scope(|| {
            let looks = Greenlet::new(|()| println!("  the greenlet's customer is {}", CUSTOMER.get()));
            looks.switch(()).expect("it does not unwind");
        });
    });
    ExitCode::SUCCESS
}

/// One green thread for each customer.
fn each(customers: [&'static str; 3], serve: fn(&'static str)) {
    let threads = customers.map(|customer| thread::spawn(move || serve(customer)));
    for ended in thread::join_all(threads) {
        ended.expect("it does not panic");
    }
}

/// One more line in the notebook of whoever runs: no argument says whose.
fn note() {
    NOTEBOOK.with(|notebook| notebook.lines.set(notebook.lines.get() + 1));
}
