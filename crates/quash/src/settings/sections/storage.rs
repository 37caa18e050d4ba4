//! `[storage]`: the database and the data directory.

use quash_store::{UrlFault, check_postgres_url};

use crate::data_dir::GroupAccess;
use crate::settings::engine::fault::Reported;
use crate::settings::engine::key::{DefaultsTo, Key, Optional};
use crate::settings::engine::kind::{Secret, Switch, Words};
use crate::settings::engine::secret::SecretText;
use crate::settings::engine::section::Section;
use crate::settings::engine::table::{Naming, Table};

pub(super) const TABLE: Table = Table {
    name: "storage",
    doc: "the database and the data directory",
    naming: Naming::One,
    keys: &[&ENGINE, &URL, &GROUP_ACCESS],
};

const ENGINE: Key<Words<Named>, Optional> = Key {
    name: "engine",
    kind: Words(&[("sqlite", Named::Sqlite), ("memory", Named::Memory), ("postgres", Named::Postgres)]),
    unset: Optional { example: "\"sqlite\"" },
    doc: "`sqlite` is a file in the data directory, and the default. `postgres` is a PostgreSQL database that \
          several nodes may share, and the default if `url` is set. `memory` loses everything, including \
          accounts, when the process ends, and logs a warning at its start. For trials.",
};
const URL: Key<Secret, Optional> = Key {
    name: "url",
    kind: Secret,
    unset: Optional { example: "\"storage.url\"" },
    doc: "The PostgreSQL database: `postgres://user:password@host:5432/database`. Connections are encrypted \
          and the server's certificate is verified, except on loopback and over a unix socket \
          (`?host=/run/postgresql`).",
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

/// The names of the engines.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Named {
    Sqlite,
    Memory,
    Postgres,
}

/// The storage engine.
#[derive(Clone, Debug)]
pub(crate) enum Engine {
    /// A file in the data directory.
    Sqlite,
    /// The memory of the process.
    Memory,
    /// A PostgreSQL database with this URL.
    Postgres(SecretText),
}

/// The section's values.
pub(super) struct Storage {
    pub(super) engine: Engine,
    pub(super) group_access: GroupAccess,
}

pub(super) fn read(mut section: Section<'_>) -> Result<Storage, Reported> {
    let (engine, group_access) = (engine(&mut section), section.read(&GROUP_ACCESS));
    let group_access = if group_access? { GroupAccess::Allowed } else { GroupAccess::Refused };
    Ok(Storage { engine: engine?, group_access })
}

fn engine(section: &mut Section<'_>) -> Result<Engine, Reported> {
    let (named, url) = (section.read(&ENGINE), section.secret(&URL));
    match (named?, url?) {
        (None | Some(Named::Sqlite), None) => Ok(Engine::Sqlite),
        (Some(Named::Memory), None) => Ok(Engine::Memory),
        (None | Some(Named::Postgres), Some(url)) => match check_postgres_url(url.expose()) {
            Ok(()) => Ok(Engine::Postgres(url)),
            Err(UrlFault { fault, remedy }) => Err(section.fault(&URL, fault, remedy)),
        },
        (Some(Named::Postgres), None) => Err(section.fault(
            &ENGINE,
            "is \"postgres\" without a database",
            "set storage.url, such as \"postgres://quash@db.example.org/quash\"",
        )),
        (Some(Named::Sqlite | Named::Memory), Some(_)) => Err(section.fault(
            &URL,
            "is set, but storage.engine names another engine",
            "leave storage.engine out, or storage.url",
        )),
    }
}
