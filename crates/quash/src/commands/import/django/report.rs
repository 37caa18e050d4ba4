//! The report of an import: a line for each user who was skipped or has a restriction, written at once, and a summary.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::error::{CommandError, Exit};
use crate::output::{self, OutputFormat};

/// Where the lines go.
pub(super) struct Report {
    to: Destination,
    pub(super) summary: Summary,
}

enum Destination {
    Stdout(OutputFormat),
    File(PathBuf, BufWriter<File>),
}

/// A line of the report.
#[derive(Serialize)]
struct Line<'a> {
    outcome: &'static str,
    /// The user's primary key, or the line of the file.
    user: &'a str,
    username: Option<&'a str>,
    reason: &'a str,
}

/// The result of an import.
#[derive(Default, Serialize)]
pub(super) struct Summary {
    pub(super) source: String,
    pub(super) dry_run: bool,
    pub(super) users: u64,
    pub(super) created: u64,
    pub(super) changed: u64,
    pub(super) unchanged: u64,
    pub(super) skipped: u64,
    pub(super) warnings: u64,
    /// Unexpired tokens of the site's blacklist.
    pub(super) blacklisted: u64,
    /// Those that are revoked in a namespace.
    pub(super) revoked: u64,
    /// The values that the import leaves out.
    pub(super) notes: Vec<String>,
}

impl Report {
    /// Starts a report. Its file must be new, because it could be the source or the database of quash.
    pub(super) fn start(
        file: Option<&Path>,
        form: OutputFormat,
        summary: Summary,
    ) -> Result<Self, CommandError> {
        let to = match file {
            None => Destination::Stdout(form),
            Some(path) => {
                let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
                let file = file.map_err(|error| unwritable(path, &error))?;
                Destination::File(path.to_owned(), BufWriter::new(file))
            }
        };
        Ok(Self { to, summary })
    }

    pub(super) fn skip(
        &mut self,
        user: &str,
        username: Option<&str>,
        reason: &str,
    ) -> Result<(), CommandError> {
        self.summary.users += 1;
        self.summary.skipped += 1;
        self.line(&Line { outcome: "skipped", user, username, reason })
    }

    pub(super) fn warn(&mut self, user: &str, username: &str, reason: &str) -> Result<(), CommandError> {
        self.summary.warnings += 1;
        self.line(&Line { outcome: "warning", user, username: Some(username), reason })
    }

    fn line(&mut self, line: &Line<'_>) -> Result<(), CommandError> {
        let json = || serde_json::to_string(line).map_err(|error| CommandError::failure(error.to_string()));
        match &mut self.to {
            Destination::Stdout(OutputFormat::Json) => output::line(&json()?).map(drop),
            Destination::Stdout(OutputFormat::Text) => {
                let Line { outcome, user, username, reason } = line;
                let named = username.map(|name| format!(" ({name})")).unwrap_or_default();
                output::line(&output::clean(&format!("{outcome}: {user}{named}: {reason}"))).map(drop)
            }
            Destination::File(path, file) => {
                writeln!(file, "{}", json()?).map_err(|error| unwritable(path, &error))
            }
        }
    }

    /// Writes what is left, and returns the summary.
    pub(super) fn finish(self) -> Result<Summary, CommandError> {
        if let Destination::File(path, mut file) = self.to {
            let written = file.flush().and_then(|()| file.get_ref().sync_all());
            written.map_err(|error| unwritable(&path, &error))?;
        }
        Ok(self.summary)
    }
}

impl Summary {
    pub(super) fn text(&self) -> String {
        let Self { users, created, changed, unchanged, skipped, blacklisted, revoked, notes, .. } = self;
        let dry = if self.dry_run { " (nothing was written)" } else { "" };
        let mut lines = vec![format!(
            "{users} users: {created} created, {changed} changed, {unchanged} unchanged, {skipped} skipped{dry}"
        )];
        if *blacklisted > 0 {
            lines.push(format!("{blacklisted} blacklisted tokens: {revoked} revoked{dry}"));
        }
        lines.extend(notes.iter().map(|note| output::clean(note)));
        lines.join("\n")
    }
}

fn unwritable(path: &Path, error: &std::io::Error) -> CommandError {
    let fault =
        CommandError::new(Exit::Failure, format!("the report {} can't be written: {error}", path.display()));
    if error.kind() == ErrorKind::AlreadyExists {
        return fault.hint("nothing is overwritten: name another file");
    }
    fault.hint("name another file with --report, and run the command again: users who were imported stay as they are")
}
