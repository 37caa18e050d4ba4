//! `quash config`: what is set, what is wrong with it, and what could be set.

use clap::Subcommand;
use serde_json::json;

use super::listen;
use super::place::Place;
use crate::error::CommandError;
use crate::settings::{Extent, Loaded, Origins, draft, schema};

#[derive(Subcommand)]
pub(super) enum ConfigCommand {
    /// Read all settings, and say everything that is wrong with them
    Check,
    /// Show the settings that hold, in the form of a settings file
    Show {
        /// Say beside each where it comes from; JSON always does
        #[arg(long)]
        origin: bool,
    },
    /// Print a settings file to begin with, in which everything is explained and nothing is set
    Init {
        /// Only what a first deployment decides on
        #[arg(long)]
        minimal: bool,
    },
    /// Print the JSON Schema of the settings file, for editors
    Schema,
}

pub(super) fn run(command: &ConfigCommand, place: &Place) -> Result<(), CommandError> {
    match command {
        ConfigCommand::Check => check(place),
        ConfigCommand::Show { origin } => {
            let origins = if *origin { Origins::Shown } else { Origins::Hidden };
            let loaded = place.loaded()?;
            place.print(&loaded.to_json(), || loaded.to_toml(origins))
        }
        ConfigCommand::Init { minimal } => {
            let draft = draft(if *minimal { Extent::Minimal } else { Extent::Whole });
            place.print(&json!({ "toml": draft }), || draft.clone())
        }
        ConfigCommand::Schema => {
            let schema = schema();
            place.print(&schema, || format!("{schema:#}"))
        }
    }
}

fn check(place: &Place) -> Result<(), CommandError> {
    let Loaded { settings, file, .. } = place.loaded()?;
    // What `serve` would refuse when it reads them.
    settings.tls.as_ref().map(listen::load).transpose()?;
    let file = file.map(|path| path.display().to_string());
    place.print(&json!({ "ok": true, "file": file }), || match &file {
        Some(path) => format!("ok: the settings file is {path}"),
        None => "ok: there is no settings file".into(),
    })
}
