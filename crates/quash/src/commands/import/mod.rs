//! `quash import`: takes over the users and the settings of a Django site, without Django.

mod django;
mod settings;

use clap::Subcommand;

use super::context::CommandContext;
use crate::error::CommandError;

#[derive(Subcommand)]
pub(super) enum ImportCommand {
    /// Add a Django site's users with their password hashes, and update those that quash has
    Django(Box<django::DjangoArgs>),
    /// Convert the settings of Simple JWT to a settings file, and report what differs
    DjangoSettings(settings::SettingsArgs),
}

pub(super) async fn run(command: ImportCommand, context: &CommandContext) -> Result<(), CommandError> {
    match command {
        ImportCommand::Django(args) => django::run(*args, context).await,
        ImportCommand::DjangoSettings(args) => settings::run(&args, context),
    }
}
