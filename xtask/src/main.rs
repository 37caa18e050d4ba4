//! The project's own automation, run as `cargo xtask <command>`. It is no part of the product: nothing that quash needs
//! when it runs lives here.

#![expect(clippy::print_stdout, reason = "a program for a terminal: what it prints is its purpose")]
#![expect(clippy::print_stderr, reason = "failures go to stderr, once, at the edge")]
#![expect(
    clippy::disallowed_methods,
    reason = "it times its own steps and reads its own command line; the product does neither here"
)]

mod bench;
mod browser;
mod ci;
mod failure;
mod fuzz;
mod program;
mod python;
mod services;
mod sim;
mod soak;
mod test;
mod tidy;
mod workspace;

use std::process::ExitCode;

use failure::{Failure, Result};

const HELP: &str = "\
The project's own automation.

Usage: cargo xtask <command>

  ci                    what CI runs: formatting, tidy, clippy, documentation, tests
  test [args..]         the tests (cargo nextest where it is installed, else cargo test); args go to the runner
  tidy                  the rules of the house: walls between crates, and what sources may hold
  soak [filter]         the long forms of the tests, optimized, with their figures
  fuzz [target] [--seconds N]
                        inputs that nobody would think of, for a minute each: tokens, keys, bodies,
                        settings, the feed
  sim [--seed N] [--runs K]
                        the simulation of the guard: so many seeds, each with its own clocks, crashes and network
  sim --mutants [name]  builds faults into a copy of the code, and asks of the simulation that it finds each
  bench [row] [--write] the figures of docs/reference/benchmarks.md beside this machine's own baselines;
                        a row is chosen by a part of its name; --write puts the table into the page
  help                  this text
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match dispatch(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if !failure.is_told() {
                eprintln!("xtask: {failure}");
            }
            failure.exit_code()
        }
    }
}

fn dispatch(args: &[String]) -> Result<()> {
    let (command, rest) =
        args.split_first().map_or(("help", args), |(command, rest)| (command.as_str(), rest));
    match command {
        "ci" => none_of(rest).and_then(|()| ci::run()),
        "test" => test::run(rest),
        "tidy" => none_of(rest).and_then(|()| tidy::run()),
        "soak" => soak::run(rest),
        "fuzz" => fuzz::command(rest),
        "sim" => sim::command(rest),
        "bench" => bench::run(rest),
        "help" | "--help" | "-h" => {
            print!("{HELP}");
            Ok(())
        }
        unknown => {
            Err(Failure::usage(format!("there is no command '{unknown}'; `cargo xtask help` lists them")))
        }
    }
}

fn none_of(args: &[String]) -> Result<()> {
    match args.first() {
        None => Ok(()),
        Some(unexpected) => Err(Failure::usage(format!(
            "unexpected argument '{unexpected}'; `cargo xtask help` shows the usage"
        ))),
    }
}
