//! Producers and consumers: cooks put dishes on a counter with little room, waiters take them from there.
//!
//! What to watch for: who waits for whom. A cook who finds the counter full waits until there is room, and a waiter who finds it
//! empty until there is a dish; neither knows how many of the others there are. The rest is about the end, which is where
//! such programs go wrong. A word on the counter ("closed", one for each waiter) must come behind the last dish; when it comes while a cook is
//! still at work, what he makes after it is never served, and he himself would wait for ever for room, were it not that a
//! channel without receivers says so. Waiting for at most so long ends by itself, but late, or too soon if a cook is slow. Dropping the
//! last sender needs no word at all.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program talks to its user")]

use clap::Parser;
use osier::sync::mpmc::{Receiver, Sender, sync_channel};
use osier::thread::{self, JoinHandle};
use osier_examples::cli;
use std::process::ExitCode;
use std::time::Duration;

/// Cooks and waiters around a counter with little room, and four ways to close the kitchen.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// How many cooks there are, after the first part
    #[arg(long, value_name = "N", default_value = "3", value_parser = clap::value_parser!(u32).range(1..=1000))]
    cooks: u32,

    /// How many waiters there are, after the first part
    #[arg(long, value_name = "N", default_value = "2", value_parser = clap::value_parser!(u32).range(1..=1000))]
    waiters: u32,

    /// How many dishes each cook makes
    #[arg(long, value_name = "N", default_value = "4", value_parser = clap::value_parser!(u32).range(1..=1000))]
    dishes: u32,

    /// How many dishes there is room for on the counter
    #[arg(long, value_name = "N", default_value = "2", value_parser = clap::value_parser!(u32).range(1..=1000))]
    room: u32,
}

/// What stands on the counter.
enum Item {
    /// One of its cook's dishes: which.
    Dish(u32),
    /// No dish will follow: whoever takes this goes home.
    Closed,
}

/// How long a dish takes the cook, and its way to the table the waiter.
const MOMENT: Duration = Duration::from_millis(2);
/// After how long without a dish a waiter goes home, if he was told so.
const BORED: Duration = Duration::from_millis(100);

fn main() -> ExitCode {
    let kitchen = match cli::arguments::<Arguments>() {
        Ok(kitchen) => kitchen,
        Err(line) => {
            eprintln!("kitchen: {line}; see kitchen --help");
            return ExitCode::from(2);
        }
    };
    osier::run(|| {
        println!("one cook who is quicker than the waiter:");
        one_of_each(&kitchen);
        println!("a word for each waiter, after the last dish:");
        by_sentinels(&kitchen);
        println!("a waiter goes home when nothing came for {} ms:", BORED.as_millis());
        by_timeout(&kitchen);
        println!("the kitchen shuts down:");
        by_shutdown(&kitchen);
        println!("the word comes too early:");
        too_early(&kitchen);
    });
    ExitCode::SUCCESS
}

/// Everything that happens at a counter that is smaller than the meal.
fn one_of_each(kitchen: &Arguments) {
    let (counter, dishes) = sync_channel(kitchen.room as usize);
    let last = kitchen.room + 3;
    let cook = thread::spawn(move || {
        for number in 1..=last {
            if counter.is_full() {
                println!("  cook: no room for dish {number}");
            }
            counter.send(Item::Dish(number)).expect("the waiter is there");
            println!("  cook: dish {number} is on the counter");
        }
    });
    let waiter = thread::spawn(move || {
        // Ends with the cook, who takes the counter with him.
        for item in &dishes {
            if let Item::Dish(number) = item {
                println!("  waiter: takes dish {number}");
                thread::sleep(MOMENT);
            }
        }
        println!("  waiter: no cook, no dishes");
    });
    for ended in thread::join_all([cook, waiter]) {
        ended.expect("it does not panic");
    }
}

/// Cooks who make their dishes and put them on `counter`; how many each could not get rid of.
fn cooks(kitchen: &Arguments, counter: &Sender<Item>) -> Vec<JoinHandle<u32>> {
    let dishes = kitchen.dishes;
    let cook = |_| {
        let counter = counter.clone();
        thread::spawn(move || {
            let mut lost = 0;
            for number in 1..=dishes {
                thread::sleep(MOMENT);
                lost += u32::from(counter.send(Item::Dish(number)).is_err());
            }
            lost
        })
    };
    (1..=kitchen.cooks).map(cook).collect()
}

/// Waiters who serve until they are told to go home; how many dishes each has served.
fn waiters(kitchen: &Arguments, dishes: &Receiver<Item>) -> Vec<JoinHandle<u32>> {
    let waiter = |_| {
        let dishes = dishes.clone();
        thread::spawn(move || {
            let mut served = 0;
            while let Ok(Item::Dish(..)) = dishes.recv() {
                thread::sleep(MOMENT);
                served += 1;
            }
            served
        })
    };
    (1..=kitchen.waiters).map(waiter).collect()
}

fn by_sentinels(kitchen: &Arguments) {
    let (counter, dishes) = sync_channel(kitchen.room as usize);
    let (cooks, waiters) = (cooks(kitchen, &counter), waiters(kitchen, &dishes));
    sum(cooks);
    // All dishes are on the counter or gone, so this comes behind them. Each word is taken by one waiter.
    for _ in 0..kitchen.waiters {
        counter.send(Item::Closed).expect("the waiters are there");
    }
    println!("  {} dishes served, {} left on the counter", sum(waiters), dishes.len());
}

fn by_timeout(kitchen: &Arguments) {
    let (counter, dishes) = sync_channel(kitchen.room as usize);
    let cooks = cooks(kitchen, &counter);
    let waiter = |_| {
        let dishes = dishes.clone();
        thread::spawn(move || {
            let mut served = 0;
            while dishes.recv_timeout(BORED).is_ok() {
                served += 1;
            }
            served
        })
    };
    let waiters: Vec<_> = (1..=kitchen.waiters).map(waiter).collect();
    sum(cooks);
    println!("  {} dishes served, {} left on the counter", sum(waiters), dishes.len());
}

fn by_shutdown(kitchen: &Arguments) {
    let (counter, dishes) = sync_channel(kitchen.room as usize);
    let (cooks, waiters) = (cooks(kitchen, &counter), waiters(kitchen, &dishes));
    // Each cook has a clone of the sender. When the last is dropped the waiters get what is left, and then an error.
    drop(counter);
    sum(cooks);
    println!("  {} dishes served, {} left on the counter", sum(waiters), dishes.len());
}

fn too_early(kitchen: &Arguments) {
    let (counter, dishes) = sync_channel(kitchen.room as usize);
    let (cooks, waiters) = (cooks(kitchen, &counter), waiters(kitchen, &dishes));
    // Somebody thinks that it is late, when each cook has made about one dish.
    thread::sleep(MOMENT * 3 / 2);
    for _ in 0..kitchen.waiters {
        counter.send(Item::Closed).expect("the waiters are there");
    }
    let served = sum(waiters);
    // Soon there is no room any more, and the cooks wait: for ever, as long as somebody might still take a dish.
    while !dishes.is_full() && !cooks.iter().all(JoinHandle::is_finished) {
        thread::sleep(MOMENT);
    }
    let left = dishes.len();
    drop(dishes);
    let (made, lost) = (kitchen.cooks * kitchen.dishes, sum(cooks));
    println!(
        "  {made} dishes made: {served} served, {left} left on the counter, {lost} that nobody would take"
    );
}

/// Waits for all of them, and adds up what they return.
fn sum(threads: Vec<JoinHandle<u32>>) -> u32 {
    thread::join_all(threads).into_iter().map(|ended| ended.expect("it does not panic")).sum()
}
