//! The layers: the settings file, over it the environment, over that the flags. Each later one wins. A key that
//! nobody knows is a fault, in whichever layer it stands. What a value should be isn't known here.

mod environment;
mod file;
mod flags;
mod unknown;

use super::fault::{Fault, Faults, Origin, Told, cut};
use super::table::{Naming, Table};
use super::value::Values;

/// The layers, being laid one over the other.
pub(super) struct Layers {
    tables: &'static [Table],
    pub(super) values: Values,
    pub(super) faults: Faults,
}

/// The longest name of a named section, in bytes.
pub(super) const NAME_BYTES: usize = 32;
/// Named sections of one kind.
const NAMES: usize = 64;

impl Layers {
    pub(super) fn new(tables: &'static [Table]) -> Self {
        Self { tables, values: Values::default(), faults: Faults::default() }
    }

    fn table(&self, name: &str) -> Option<&'static Table> {
        self.tables.iter().find(|table| table.name == name)
    }

    /// Opens a named section.
    fn open(&mut self, table: &Table, name: &str, origin: &Origin) -> Result<String, Told> {
        let section = format!("{}.{name}", table.name);
        let wrong = |fault: &str, remedy: String| Fault {
            subject: format!("section [{}.{}]", table.name, cut(name)),
            origin: origin.clone(),
            fault: fault.into(),
            remedy,
        };
        if !is_name(name) {
            let remedy = format!("call it by 1 to {NAME_BYTES} of a-z, 0-9, _ and -");
            return Err(self.faults.tell(|| wrong("doesn't have a name that can be used", remedy)));
        }
        if !self.has_room(table, name) {
            let remedy = format!("leave some out; {NAMES} are allowed");
            return Err(self.faults.tell(|| wrong("is one too many of its kind", remedy)));
        }
        self.values.open(&section, origin);
        Ok(section)
    }

    /// Whether a named section is there, or may be.
    fn has_room(&self, table: &Table, name: &str) -> bool {
        self.values.names(table).any(|there| there == name) || self.values.names(table).count() < NAMES
    }
}

/// Whether a named section may be called so. Each such name is a bare key of TOML, and can stand in a variable's name.
fn is_name(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-');
    (1..=NAME_BYTES).contains(&name.len()) && name.bytes().all(fits)
}

impl Table {
    /// The variable of a key, which may have the name of its section before it.
    fn variable(&self, key: &str) -> String {
        format!("QUASH_{}_{key}", self.name).to_uppercase()
    }

    /// What is written before a key: `tokens` or `foreign.<name>`, with the name where there is one.
    fn written(&self, name: Option<&str>) -> String {
        match (self.naming, name) {
            (Naming::One, _) | (Naming::Named, None) => self.heading(),
            (Naming::Named, Some(name)) => format!("{}.{name}", self.name),
        }
    }
}
