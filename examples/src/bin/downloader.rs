//! Downloads URLs, many at once, on one OS thread, with a blocking HTTP client that has never heard of green threads.
//!
//! What to watch for: run it without arguments. Forty downloads, each of which the server delays by 100 ms, end in little
//! more than those 100 ms, and the last line counts the OS threads of the process. The parts are in
//! `osier_examples::download`.

use osier_examples::download::options::{Options, Refusal};
use osier_examples::download::run;
use std::io::{self, Write};
use std::process::ExitCode;

fn main() -> ExitCode {
    match Options::parse_line(std::env::args_os()) {
        Ok(options) => ExitCode::from(run::run(&options)),
        Err(Refusal::Answer(text)) => match write!(io::stdout(), "{text}") {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        },
        Err(Refusal::Wrong(line)) => {
            let _ = writeln!(io::stderr(), "downloader: {line}; see downloader --help");
            ExitCode::from(2)
        }
    }
}
