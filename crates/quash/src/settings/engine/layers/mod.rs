//! The layers of settings: the file, the environment and the flags, each overriding the earlier ones. An
//! unknown key is a fault in every layer. Values are checked later, in `section.rs`.

mod environment;
mod file;
mod flags;
mod unknown;

use crate::settings::engine::fault::{Faults, Origin, Reported, SettingError, cut};
use crate::settings::engine::table::{Naming, Table};
use crate::settings::engine::value::Values;

/// The collected layers.
pub(crate) struct Layers {
    tables: &'static [Table],
    pub(crate) values: Values,
    pub(crate) faults: Faults,
}

/// The longest name of a named section, in bytes.
pub(crate) const NAME_BYTES: usize = 32;
/// The most named sections of one kind.
const NAMES: usize = 64;

impl Layers {
    pub(crate) fn new(tables: &'static [Table]) -> Self {
        Self { tables, values: Values::default(), faults: Faults::default() }
    }

    fn table(&self, name: &str) -> Option<&'static Table> {
        self.tables.iter().find(|table| table.name == name)
    }

    /// Adds a named section, and returns its full name.
    fn open(&mut self, table: &Table, name: &str, origin: &Origin) -> Result<String, Reported> {
        let section = format!("{}.{name}", table.name);
        let wrong = |fault: &str, remedy: String| SettingError {
            subject: format!("section [{}.{}]", table.name, cut(name)),
            origin: origin.clone(),
            fault: fault.into(),
            remedy,
        };
        if !is_name(name) {
            let remedy = format!("use 1 to {NAME_BYTES} characters from a-z, 0-9, _ and -");
            return Err(self.faults.report(|| wrong("has an invalid name", remedy)));
        }
        if !self.has_room(table, name) {
            let remedy = format!("remove some; {NAMES} are allowed");
            return Err(self.faults.report(|| wrong("exceeds the number of sections of its kind", remedy)));
        }
        self.values.open(&section, origin);
        Ok(section)
    }

    /// Returns whether a named section exists or may be added.
    fn has_room(&self, table: &Table, name: &str) -> bool {
        self.values.names(table).any(|there| there == name) || self.values.names(table).count() < NAMES
    }
}

/// Returns whether a text is a valid name of a section: a bare key of TOML that can be part of a variable's
/// name.
fn is_name(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-');
    (1..=NAME_BYTES).contains(&name.len()) && name.bytes().all(fits)
}

impl Table {
    /// Returns the variable of a key, which may include the name of its section.
    fn variable(&self, key: &str) -> String {
        format!("QUASH_{}_{key}", self.name).to_uppercase()
    }

    /// Returns the prefix of a key: `tokens` or `foreign.<name>`, with the name if it is known.
    fn written(&self, name: Option<&str>) -> String {
        match (self.naming, name) {
            (Naming::One, _) | (Naming::Named, None) => self.heading(),
            (Naming::Named, Some(name)) => format!("{}.{name}", self.name),
        }
    }
}
