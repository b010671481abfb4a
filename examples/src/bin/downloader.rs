//! Downloads URLs, many at once, on one OS thread, with a blocking HTTP client that has never heard of green threads.
//!
//! What to watch for: run it without arguments. Forty downloads, each of which the server delays by 100 ms, end in little
//! more than those 100 ms, and the last line counts the OS threads of the process. The parts are in
//! `osier_examples::download`.

use osier_examples::cli;
use osier_examples::download::run;
use std::io;
use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(match cli::arguments() {
        Ok(options) => run::run(&options),
        Err(line) => run::refuse(&io::Error::new(io::ErrorKind::InvalidInput, format!("{line}; see --help"))),
    })
}
