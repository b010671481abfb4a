//! Serves a directory over HTTP/1.1, every connection on a green thread of its own, or in four other ways.
//!
//! What to watch for: run it and open the address that it prints; then let `wrk -c1000` at it, or a thousand clients that send a byte a
//! second, and see in `/proc/PID/task` that one OS thread serves them all. `--mode` serves the same requests with OS threads, with processes, and
//! with hand-written loops over nonblocking sockets; `--compare` puts all of them beside each other. The parts are in `osier_examples::server`
//! and `osier_examples::http`.
#![allow(clippy::print_stderr, clippy::print_stdout, reason = "a program talks to its user")]

use osier::signal::{Signal, Signals};
use osier_examples::cli;
use osier_examples::server::{Options, Server, compare, serve_as_staff};
use std::process::ExitCode;

fn main() -> ExitCode {
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(line) => {
            eprintln!("server: {line}");
            ExitCode::from(2)
        }
    }
}

fn serve() -> Result<(), String> {
    let options = cli::arguments::<Options>()?;
    if options.staff {
        return serve_as_staff(&options);
    }
    if options.compare {
        return compare(&options, |line| println!("{line}"));
    }
    let server = Server::new(&options)?;
    let signals = Signals::new(&[Signal::INTERRUPT, Signal::TERMINATE])
        .map_err(|error| format!("cannot wait for signals: {error}"))?;
    eprintln!("serving at {}", server.url());
    let stop = || {
        if signals.wait().is_ok() {
            eprintln!("server: finishing what runs; a second signal ends it at once");
            server.stop();
        }
        if let Ok(signal) = signals.wait() {
            // What a shell calls the end by this signal.
            osier::process::exit(128 + signal.as_raw());
        }
    };
    server.run(stop, |line| eprintln!("server: {line}")).map_err(|error| format!("cannot accept: {error}"))
}
