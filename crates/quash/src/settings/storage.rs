//! `[storage]`: where quash keeps what it must not forget.

use super::fault::Told;
use super::key::{DefaultsTo, Key};
use super::kind::{Switch, Words};
use super::section::Section;
use super::table::{Naming, Table};
use crate::data_dir::GroupAccess;

pub(super) const TABLE: Table = Table {
    name: "storage",
    doc: "where things are kept",
    naming: Naming::One,
    keys: &[&ENGINE, &GROUP_ACCESS],
};

const ENGINE: Key<Words<Engine>> = Key {
    name: "engine",
    kind: Words(&[("sqlite", Engine::Sqlite), ("memory", Engine::Memory)]),
    unset: DefaultsTo("\"sqlite\""),
    doc: "`memory` ends with the process, accounts included, and warns at its start. For trials.",
};
const GROUP_ACCESS: Key<Switch> = Key {
    name: "group_access",
    kind: Switch,
    unset: DefaultsTo("false"),
    doc: "The group of the data directory may read and write it and the files in it, the master key included. For volumes on which \
          Kubernetes gives a group access (`fsGroup`). Other users never may.",
};

/// Where quash keeps what it must not forget.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Engine {
    /// In a file of the data directory.
    Sqlite,
    /// In the process; nothing outlives it.
    Memory,
}

/// The section, read.
pub(super) struct Storage {
    pub(super) engine: Engine,
    pub(super) group_access: GroupAccess,
}

pub(super) fn read(mut section: Section<'_>) -> Result<Storage, Told> {
    let (engine, group_access) = (section.read(&ENGINE), section.read(&GROUP_ACCESS));
    let group_access = if group_access? { GroupAccess::Allowed } else { GroupAccess::Refused };
    Ok(Storage { engine: engine?, group_access })
}
