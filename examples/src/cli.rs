//! Arguments, and how a program says that they are wrong: in one line.

use clap::Parser;
use clap::error::ErrorKind;

/// Reads the program's arguments. `--help` and `--version` print and end the program.
///
/// # Errors
///
/// What is wrong with the arguments, in one line without its end.
pub fn arguments<A: Parser>() -> Result<A, String> {
    A::try_parse().map_err(|error| {
        if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
            error.exit();
        }
        one_line(&error.to_string())
    })
}

/// The part of clap's message that says what is wrong, without the usage that follows it.
fn one_line(message: &str) -> String {
    let what = message.split("\n\nUsage:").next().and_then(|what| what.split("\n\nFor more").next());
    let line = what.unwrap_or_default().lines().map(str::trim).filter(|line| !line.is_empty());
    let line = line.collect::<Vec<_>>().join(" ");
    line.strip_prefix("error: ").unwrap_or(&line).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Parser)]
    struct Arguments {
        #[arg(long, value_parser = ["red", "green"])]
        colour: String,
    }

    fn wrong(arguments: &[&str]) -> String {
        one_line(&Arguments::try_parse_from(arguments).expect_err("wrong arguments").to_string())
    }

    #[test]
    fn a_mistake_is_told_in_one_line() {
        let told = "invalid value 'blue' for '--colour <COLOUR>' [possible values: red, green]";
        assert_eq!(wrong(&["x", "--colour", "blue"]), told);
        assert_eq!(wrong(&["x"]), "the following required arguments were not provided: --colour <COLOUR>");
        assert!(wrong(&["x", "--color=red"]).starts_with("unexpected argument '--color'"));
    }
}
