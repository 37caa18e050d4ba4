//! `quash import django-settings`: converts the settings of Simple JWT to a settings file, and reports what differs.

mod convert;
mod python;
mod tokens;

use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use self::convert::{Carried, convert};
use super::super::context::CommandContext;
use crate::error::{CommandError, Exit};
use crate::output::{self, OutputFormat};

#[derive(Args)]
pub(in crate::commands) struct SettingsArgs {
    /// The Python file with the dictionary SIMPLE_JWT, such as settings.py; it isn't executed
    file: PathBuf,
    /// Write the settings to this new file instead of standard output
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
}

/// The longest file, in bytes.
const FILE_BYTES: u64 = 1024 * 1024;

/// The result of a conversion.
#[derive(Serialize)]
struct ConvertedShown {
    /// The text of quash.toml.
    toml: String,
    settings: Vec<Carried>,
}

pub(super) fn run(args: &SettingsArgs, context: &CommandContext) -> Result<(), CommandError> {
    let SettingsArgs { file, to } = args;
    let fault = |detail: String| {
        CommandError::new(Exit::Usage, format!("{} can't be used: {detail}", file.display()))
    };
    let mut source = String::new();
    let opened = std::fs::File::open(file).map_err(|error| {
        CommandError::new(Exit::NotFound, format!("{} can't be read: {error}", file.display()))
    })?;
    opened.take(FILE_BYTES + 1).read_to_string(&mut source).map_err(|error| fault(error.to_string()))?;
    if source.len() as u64 > FILE_BYTES {
        return Err(fault(format!("it is longer than {FILE_BYTES} bytes")));
    }
    let read = python::simple_jwt(&source).map_err(|detail| {
        fault(detail).hint("copy the dictionary into a file of its own: SIMPLE_JWT = {…}")
    })?;
    let (toml, settings) = convert(&read);
    let shown = ConvertedShown { toml, settings };
    if let Some(path) = to {
        let written = OpenOptions::new().write(true).create_new(true).open(path);
        let written =
            written.and_then(|mut file| file.write_all(shown.toml.as_bytes()).and_then(|()| file.sync_all()));
        written.map_err(|error| {
            CommandError::failure(format!("{} can't be written: {error}", path.display()))
                .hint("nothing is overwritten: name another file")
        })?;
        return context.print(&shown, || report(&shown.settings));
    }
    if context.form == OutputFormat::Text {
        for line in report(&shown.settings).lines() {
            output::note(line);
        }
    }
    context.print(&shown, || shown.toml.trim_end().to_owned())
}

fn report(settings: &[Carried]) -> String {
    let rows = settings.iter().map(|one| format!("{} {}: {}", one.outcome.word(), one.setting, one.detail));
    rows.map(|row| output::clean(&row)).collect::<Vec<_>>().join("\n")
}
