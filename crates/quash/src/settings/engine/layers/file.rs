//! The settings file: TOML, read once.

use std::io::Read;
use std::path::Path;

use toml::de::{DeTable, DeValue};
use zeroize::Zeroizing;

use super::unknown::{unknown_key, unknown_section};
use super::{Layers, Origin, Reported, SettingError, cut};
use crate::settings::engine::table::{Naming, Table};
use crate::settings::engine::value::{Raw, SetValue};

/// The longest settings file, in bytes.
const FILE_BYTES: u64 = 1024 * 1024;

/// Maps offsets to lines.
struct Lines<'a> {
    path: &'a Path,
    /// The end of each line.
    ends: Vec<usize>,
}

impl Layers {
    /// Adds the values of the file, replacing those of earlier layers.
    ///
    /// # Errors
    /// The file can't be read or isn't TOML, which was reported; its content is unknown then.
    pub(in crate::settings) fn add_file(&mut self, path: &Path) -> Result<(), Reported> {
        let read = read_bounded(path);
        let bytes = read.map_err(|error| {
            self.unreadable(Lines { path, ends: Vec::new() }.origin(0), &error.to_string())
        })?;
        self.add_text(path, &bytes)
    }

    /// Adds the values of a file's content, replacing those of earlier layers.
    ///
    /// # Errors
    /// As with [`Layers::add_file`].
    pub(in crate::settings) fn add_text(&mut self, path: &Path, bytes: &[u8]) -> Result<(), Reported> {
        let ends = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at).collect();
        let lines = Lines { path, ends };
        let text = str::from_utf8(bytes)
            .map_err(|error| self.unreadable(lines.origin(error.valid_up_to()), "it isn't UTF-8"))?;
        let table = DeTable::parse(text).map_err(|error| {
            // Only the message: the full error would quote the line, which may hold a secret.
            let (at, message) =
                (error.span().map_or(0, |span| span.start), error.message().trim().replace('\n', ", "));
            self.faults.report(|| SettingError {
                subject: "the settings file".into(),
                origin: lines.origin(at),
                fault: format!("isn't TOML: {message}"),
                remedy: "correct the line; https://toml.io shows the form".into(),
            })
        })?;
        for (name, content) in table.get_ref() {
            let origin = lines.origin(name.span().start);
            match (self.table(name.get_ref()), content.get_ref()) {
                (Some(table), DeValue::Table(content)) => self.add_section(table, content, &lines),
                (Some(table), _) => self.no_section(table.name, &table.heading(), origin),
                (None, content) => {
                    let is_section = matches!(content, DeValue::Table(_));
                    let tables = self.tables;
                    self.faults.report(|| unknown_section(tables, name.get_ref(), is_section, origin));
                }
            }
        }
        Ok(())
    }

    fn add_section(&mut self, table: &'static Table, content: &DeTable<'_>, lines: &Lines<'_>) {
        if table.naming == Naming::One {
            return self.add_keys(table, table.name, content, lines);
        }
        for (name, content) in content {
            let origin = lines.origin(name.span().start);
            match content.get_ref() {
                DeValue::Table(content) => {
                    if let Ok(section) = self.open(table, name.get_ref(), &origin) {
                        self.add_keys(table, &section, content, lines);
                    }
                }
                _ => self.no_section(
                    &format!("{}.{}", table.name, cut(name.get_ref())),
                    &table.heading(),
                    origin,
                ),
            }
        }
    }

    fn add_keys(&mut self, table: &'static Table, section: &str, content: &DeTable<'_>, lines: &Lines<'_>) {
        for (name, value) in content {
            let origin = lines.origin(name.span().start);
            match table.key(name.get_ref()) {
                Some(key) => {
                    self.values.set(section, &key, SetValue { raw: Raw::of(value.get_ref()), origin })
                }
                None => {
                    let tables = self.tables;
                    self.faults.report(|| unknown_key(tables, table, section, name.get_ref(), origin));
                }
            }
        }
    }

    fn no_section(&mut self, written: &str, heading: &str, origin: Origin) {
        self.faults.report(|| SettingError {
            subject: written.to_owned(),
            origin,
            fault: "isn't written as a section".into(),
            remedy: format!("put [{heading}] on a line of its own, and its keys below"),
        });
    }

    fn unreadable(&mut self, origin: Origin, detail: &str) -> Reported {
        self.faults.report(|| SettingError {
            subject: "the settings file".into(),
            origin,
            fault: format!("can't be read: {detail}"),
            remedy: "name another file with --config, or make this one readable".into(),
        })
    }
}

impl Lines<'_> {
    /// Returns the line of an offset.
    fn origin(&self, offset: usize) -> Origin {
        Origin::File { path: self.path.to_owned(), line: self.ends.partition_point(|end| *end < offset) + 1 }
    }
}

/// Reads the file into memory that is wiped when dropped, because the file may hold secrets.
fn read_bounded(path: &Path) -> std::io::Result<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(Vec::new());
    std::fs::File::open(path)?.take(FILE_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_BYTES {
        return Err(std::io::Error::other("it is longer than 1 MiB"));
    }
    Ok(bytes)
}
