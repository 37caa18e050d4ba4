//! The project's automation, run as `cargo xtask <command>`. It isn't part of the product: quash needs
//! nothing of it at run time.

#![expect(clippy::print_stdout, reason = "a terminal program prints its results")]
#![expect(clippy::print_stderr, reason = "failures are printed to stderr, in one place")]
#![expect(
    clippy::disallowed_methods,
    reason = "xtask times its steps and reads its command line; it isn't part of the product"
)]

mod background;
mod bench;
mod browser;
mod ci;
mod failure;
mod fuzz;
mod postgres;
mod program;
mod python;
mod python_versions;
mod services;
mod sim;
mod soak;
mod test;
mod tidy;
mod wheels;
mod workspace;

use std::process::ExitCode;

use failure::{Failure, Result};

const HELP: &str = "\
The project's automation.

Usage: cargo xtask <command>

  ci [step..]           what CI runs: formatting, tidy, clippy, documentation, tests; or only these steps of it
  test [args..]         the tests (cargo nextest where it is installed, else cargo test); args go to the runner
  test --store NAME [args..]
                        those of the server and of the binary, with their data in sqlite, postgres or pgbouncer
  tidy                  the project's rules: dependencies between crates, and what sources may contain
  soak [filter]         the long forms of the tests, optimized, with their figures
  fuzz [target] [--seconds N]
                        random inputs, for a minute each: tokens, keys, bodies, settings, the feed
  sim [--seed N] [--runs K]
                        the simulation of the guard with K seeds, each with its own clocks, crashes and network
  sim --mutants [name] [--runs K]
                        builds faults into a copy of the code, and checks that the simulations find each
  bench [row] [--write] the figures of docs/reference/benchmarks.md, against baselines on this machine;
                        [row] is a part of a row's name; --write puts the table into the page
  wheels [--quick]      the Python packages as they would be published: built, audited and installed into an
                        empty environment; --quick compiles no wheel
  services [command..]  a private PostgreSQL and pgbouncer for the tests, until Ctrl-C, or while the command runs;
                        prints the variables with which tests find them
  help                  this text
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match std::env::var(fuzz::FLAGS) {
        Ok(flags) => fuzz::compile(&args, &flags),
        Err(_) => dispatch(&args),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if !failure.is_printed() {
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
        "ci" => ci::run(rest),
        "test" => test::run(rest),
        "tidy" => no_arguments(rest).and_then(|()| tidy::run()),
        "soak" => soak::run(rest),
        "fuzz" => fuzz::command(rest),
        "sim" => sim::command(rest),
        "bench" => bench::run(rest),
        "wheels" => wheels::run(rest),
        "services" => services::command(rest),
        "help" | "--help" | "-h" => {
            print!("{HELP}");
            Ok(())
        }
        unknown => {
            Err(Failure::usage(format!("there is no command '{unknown}'; `cargo xtask help` lists them")))
        }
    }
}

fn no_arguments(args: &[String]) -> Result<()> {
    match args.first() {
        None => Ok(()),
        Some(unexpected) => Err(Failure::usage(format!(
            "unexpected argument '{unexpected}'; `cargo xtask help` shows the usage"
        ))),
    }
}
