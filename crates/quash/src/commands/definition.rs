//! The command line as it is defined, for what is made from it: manual pages, and the tests that hold the help and the
//! reference to it.

use clap::{Command, CommandFactory};

use super::Cli;

/// The command above all others, complete: each below it has its full name and the flags that all of them take. The one
/// that only repeats help isn't among them.
pub(super) fn top() -> Command {
    let mut top = Cli::command().disable_help_subcommand(true);
    top.build();
    top
}

/// A command and all below it, each before those below itself.
pub(super) fn with_all_below(command: Command) -> Vec<Command> {
    let below: Vec<_> = command.get_subcommands().cloned().collect();
    std::iter::once(command).chain(below.into_iter().flat_map(with_all_below)).collect()
}
