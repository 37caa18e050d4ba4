//! `[storage]`: where quash keeps what it must not forget.

use super::fault::Told;
use super::key::{DefaultsTo, Key};
use super::kind::Words;
use super::section::Section;
use super::table::{Naming, Table};

pub(super) const TABLE: Table = Table { name: "storage", doc: "where things are kept", naming: Naming::One, keys: &[&ENGINE] };

const ENGINE: Key<Words<Engine>> = Key {
    name: "engine",
    kind: Words(&[("sqlite", Engine::Sqlite), ("memory", Engine::Memory)]),
    unset: DefaultsTo("\"sqlite\""),
    doc: "`memory` ends with the process, accounts included, and warns at its start. For trials.",
};

/// Where quash keeps what it must not forget.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Engine {
    /// In a file of the data directory.
    Sqlite,
    /// In the process; nothing outlives it.
    Memory,
}

pub(super) fn read(mut section: Section<'_>) -> Result<Engine, Told> {
    section.read(&ENGINE)
}
