//! `quash config`: checks, shows and explains the settings.

use clap::Subcommand;
use serde_json::json;

use super::context::CommandContext;
use super::listen;
use crate::error::CommandError;
use crate::settings::{Extent, Loaded, Origins, draft, schema};

#[derive(Subcommand)]
pub(super) enum ConfigCommand {
    /// Read all settings, and report all faults
    Check,
    /// Show the settings in force, as a settings file
    Show {
        /// Show where each setting comes from; JSON output always does
        #[arg(long)]
        origin: bool,
    },
    /// Print a settings file to start with, in which every key is explained and none is set
    Init {
        /// Print only the keys that a first deployment decides on
        #[arg(long)]
        minimal: bool,
    },
    /// Print the JSON Schema of the settings file, for editors
    Schema,
}

pub(super) fn run(command: &ConfigCommand, context: &CommandContext) -> Result<(), CommandError> {
    match command {
        ConfigCommand::Check => check(context),
        ConfigCommand::Show { origin } => {
            let origins = if *origin { Origins::Shown } else { Origins::Hidden };
            let loaded = context.loaded()?;
            context.print(&loaded.to_json(), || loaded.to_toml(origins))
        }
        ConfigCommand::Init { minimal } => {
            let draft = draft(if *minimal { Extent::Minimal } else { Extent::Whole });
            context.print(&json!({ "toml": draft }), || draft.clone())
        }
        ConfigCommand::Schema => {
            let schema = schema();
            context.print(&schema, || format!("{schema:#}"))
        }
    }
}

fn check(context: &CommandContext) -> Result<(), CommandError> {
    // `serve` refuses a wrong certificate, key or socket when it starts.
    let Loaded { file, .. } = context.loaded_and_examined(listen::examine)?;
    let file = file.map(|path| path.display().to_string());
    context.print(&json!({ "ok": true, "file": file }), || match &file {
        Some(path) => format!("ok: the settings file is {path}"),
        None => "ok: there is no settings file".into(),
    })
}
