//! quash: JWT sessions that end when you say so. The code of the binary: it parses the command line, runs the
//! command, and turns the result into output and an exit code. The rules are in `quash-core`. No other crate
//! uses this library.

mod commands;

mod control;

mod opening;

mod fetch;

mod mail;

mod data_dir;

mod audit_file;

mod epoch_file;

mod noted_file;

mod settings;

mod output;

mod stderr;

mod traces;

mod moment;

mod error;

mod entropy;

mod file_descriptors;

mod machine;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;

use crate::commands::Cli;
use crate::error::{CommandError, Exit};
use crate::output::OutputFormat;

#[cfg(fuzzing)]
pub use settings::fuzz as fuzz_settings;

/// Runs the program.
pub fn main() -> ExitCode {
    // Every file that quash creates is private to its owner from the start.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    let arguments = settings::arguments();
    let cli = match Cli::try_parse_from(&arguments) {
        Ok(cli) => cli,
        Err(answer) => return answered(&answer, &arguments),
    };
    let (form, is_server) = (cli.form(), cli.is_server());
    match run(cli) {
        Ok(code) => code,
        Err(error) if is_server => {
            let code = ExitCode::from(error.exit.code());
            output::without_waiting(move || output::error(form, &error));
            code
        }
        Err(error) => failed(form, &error),
    }
}

fn failed(form: OutputFormat, error: &CommandError) -> ExitCode {
    output::error(form, error);
    ExitCode::from(error.exit.code())
}

/// Prints help, the version, or the fault in the command line.
fn answered(answer: &clap::Error, arguments: &[OsString]) -> ExitCode {
    if let Err(error) = output::of_clap(answer) {
        return failed(OutputFormat::Text, &error);
    }
    const PLACE: [&str; 6] = ["--data-dir", "--config", "--set", "--json", "--verbose", "-v"];
    let is_own_flag = |text: &str| text.starts_with('-') && !PLACE.iter().any(|flag| text.starts_with(flag));
    let is_flag = |argument: &OsString| argument.to_str().is_some_and(is_own_flag);
    if answer.kind() == ErrorKind::DisplayHelp
        && arguments.iter().filter(|argument| is_flag(argument)).count() > 1
    {
        // In a script, this was probably the name of an account called `--help`.
        let error = CommandError::new(Exit::Usage, "nothing was done: this command line asks for help");
        return failed(
            OutputFormat::Text,
            &error.hint("put a name that begins with - after --, such as in `quash account add -- --help`"),
        );
    }
    ExitCode::from(u8::try_from(answer.exit_code()).unwrap_or(1))
}

fn run(cli: Cli) -> Result<ExitCode, CommandError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| CommandError::failure(format!("the runtime cannot be started: {error}")))?;
    runtime.block_on(commands::run(cli))
}
