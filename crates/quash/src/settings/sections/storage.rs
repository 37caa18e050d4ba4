//! `[storage]`: the database and the data directory.

use crate::data_dir::GroupAccess;
use crate::settings::engine::fault::Reported;
use crate::settings::engine::key::{DefaultsTo, Key};
use crate::settings::engine::kind::{Switch, Words};
use crate::settings::engine::section::Section;
use crate::settings::engine::table::{Naming, Table};

pub(super) const TABLE: Table = Table {
    name: "storage",
    doc: "the database and the data directory",
    naming: Naming::One,
    keys: &[&ENGINE, &GROUP_ACCESS],
};

const ENGINE: Key<Words<Engine>> = Key {
    name: "engine",
    kind: Words(&[("sqlite", Engine::Sqlite), ("memory", Engine::Memory)]),
    unset: DefaultsTo("\"sqlite\""),
    doc: "`memory` loses everything, including accounts, when the process ends, and logs a warning at its \
          start. For trials.",
};
const GROUP_ACCESS: Key<Switch> = Key {
    name: "group_access",
    kind: Switch,
    unset: DefaultsTo("false"),
    doc: "Allows the group of the data directory to read and write it and its files, including the master \
          key. For volumes on which Kubernetes gives a group access (`fsGroup`). If the group may write to \
          the directory, new files have mode 0660; the directory needs mode 2770, so that they belong to its \
          group. Other users never get access.",
};

/// The storage engine.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Engine {
    /// A file in the data directory.
    Sqlite,
    /// The memory of the process.
    Memory,
}

/// The section's values.
pub(super) struct Storage {
    pub(super) engine: Engine,
    pub(super) group_access: GroupAccess,
}

pub(super) fn read(mut section: Section<'_>) -> Result<Storage, Reported> {
    let (engine, group_access) = (section.read(&ENGINE), section.read(&GROUP_ACCESS));
    let group_access = if group_access? { GroupAccess::Allowed } else { GroupAccess::Refused };
    Ok(Storage { engine: engine?, group_access })
}
