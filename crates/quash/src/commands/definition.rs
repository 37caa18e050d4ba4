//! The definition of the command line, for the manual pages and for the tests that compare the help and the
//! reference with it.

use clap::{Command, CommandFactory};

use super::Cli;

/// Returns the top command, in which each subcommand has its full name and the global flags. The subcommand
/// `help` is left out.
pub(super) fn top() -> Command {
    let mut top = Cli::command().disable_help_subcommand(true);
    top.build();
    top
}

/// Returns a command and all its subcommands, each before its own subcommands.
pub(super) fn with_all_below(command: Command) -> Vec<Command> {
    let below: Vec<_> = command.get_subcommands().cloned().collect();
    std::iter::once(command).chain(below.into_iter().flat_map(with_all_below)).collect()
}
