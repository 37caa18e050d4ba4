//! `quash man`: prints or writes manual pages, generated from the definition of the command line.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use clap::Command;
use clap_mangen::Man;
use serde_json::json;

use super::context::CommandContext;
use super::definition;
use crate::error::{CommandError, Exit};

pub(super) fn run(out: Option<&Path>, context: &CommandContext) -> Result<(), CommandError> {
    match out {
        Some(directory) => write_all(directory, context),
        None => {
            let page = page(definition::top()).map_err(|error| cannot_be_made(&error))?;
            context.print(&json!({ "page": page }), || page.trim_end().to_owned())
        }
    }
}

fn write_all(directory: &Path, context: &CommandContext) -> Result<(), CommandError> {
    let shown = directory.display();
    if !directory.is_dir() {
        return Err(CommandError::new(Exit::NotFound, format!("there is no directory {shown}"))
            .hint("create it, or name another with --out"));
    }
    let mut written = Vec::new();
    for command in definition::with_all_below(definition::top()) {
        let name = format!("{}.1", name_of(&command));
        let page = page(command).map_err(|error| cannot_be_made(&error))?;
        let path = directory.join(&name);
        // All users may read the manual.
        let kept =
            fs::write(&path, page).and_then(|()| fs::set_permissions(&path, Permissions::from_mode(0o644)));
        kept.map_err(|error| CommandError::failure(format!("{} can't be written: {error}", path.display())))?;
        written.push(name);
    }
    context.print(&json!({ "written": written }), || format!("wrote {} pages into {shown}", written.len()))
}

/// Generates a page in roff, for section 1 of the manual.
pub(super) fn page(command: Command) -> io::Result<String> {
    let name = name_of(&command);
    let mut page = Vec::new();
    Man::new(command)
        .title(name.to_uppercase())
        .source(concat!("quash ", env!("CARGO_PKG_VERSION")))
        .manual("quash")
        .render(&mut page)?;
    Ok(String::from_utf8_lossy(&page).into_owned())
}

/// Returns the name of a page, such as `quash-account-add`.
fn name_of(command: &Command) -> String {
    command.get_display_name().unwrap_or_else(|| command.get_name()).to_owned()
}

fn cannot_be_made(error: &io::Error) -> CommandError {
    CommandError::failure(format!("the manual page can't be generated: {error}"))
}
