//! quash: JWT sessions that end when you say so. The work of the one binary: it reads the command line, hands the work to
//! its command, and turns what comes back into output and an exit code. No rule lives here, and nobody else uses it.

mod commands;

mod control;

mod opening;

mod fetch;

mod mail;

mod data_dir;

mod epoch_file;

mod settings;

mod output;

mod moment;

mod error;

mod entropy;

mod handles;

use std::process::ExitCode;

use clap::Parser;

use crate::commands::Cli;
use crate::error::CommandError;

#[cfg(fuzzing)]
pub use settings::fuzz as fuzz_settings;

/// The whole of the program.
pub fn main() -> ExitCode {
    // Whatever quash makes is for its owner only, from the first moment on.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    let cli = Cli::parse();
    let form = cli.form();
    match run(cli) {
        Ok(code) => code,
        Err(error) => {
            output::error(form, &error);
            ExitCode::from(error.exit.code())
        }
    }
}

fn run(cli: Cli) -> Result<ExitCode, CommandError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| CommandError::failure(format!("the runtime cannot be started: {error}")))?;
    runtime.block_on(commands::run(cli))
}
