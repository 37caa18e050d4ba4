//! `quash completions`: prints a shell completion script, generated from the definition of the command line.

use clap::CommandFactory;
use clap_complete::Shell;
use serde_json::json;

use super::Cli;
use super::context::CommandContext;
use crate::error::CommandError;

pub(super) fn run(shell: Shell, context: &CommandContext) -> Result<(), CommandError> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "quash", &mut script);
    let script = String::from_utf8_lossy(&script);
    context.print(&json!({ "script": script }), || script.trim_end().to_owned())
}
