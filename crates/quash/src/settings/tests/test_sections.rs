//! Sections that only exist in tests: one with a secret and a file, and named ones.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

use tempfile::TempDir;

use super::super::engine::fault::{Faults, Reported};
use super::super::engine::key::{DefaultsTo, Key, Optional, Required};
use super::super::engine::kind::{File, Secret, Text, Words};
use super::super::engine::layers::Layers;
use super::super::engine::secret::SecretText;
use super::super::engine::section::{Reader, Section};
use super::super::engine::show::{to_json, to_toml};
use super::super::engine::span::{LONGEST, Span, Zero};
use super::super::engine::table::{Naming, Table};
use super::super::engine::value::Values;
use super::super::{Environment, Flags, Origins, collect_layers};
use crate::error::CommandError;

/// `[realm]` and `[peer.<name>]`.
pub(super) const TABLES: &[Table] = &[
    Table { name: "realm", doc: "a trial", naming: Naming::One, keys: &[&SEAL, &CERT] },
    Table {
        name: "peer",
        doc: "a trial with names",
        naming: Naming::Named,
        keys: &[&MAX_LIFETIME, &TRUST, &KEY, &PUBLIC_KEY, &TOKEN],
    },
];

const SEAL: Key<Secret, Optional> = Key {
    name: "seal",
    kind: Secret,
    unset: Optional { example: "\"seal.key\"" },
    doc: "What this realm seals with.",
};
const CERT: Key<File, Optional> =
    Key { name: "cert", kind: File, unset: Optional { example: "\"cert.pem\"" }, doc: "Who this realm is." };
const MAX_LIFETIME: Key<Span, Required> = Key {
    name: "max_lifetime",
    kind: Span { least: Duration::from_secs(1), most: LONGEST, zero: Zero::Refused },
    unset: Required { example: "\"1d\"" },
    doc: "The longest that a token of it may hold.",
};
const TRUST: Key<Words<u8>> = Key {
    name: "trust",
    kind: Words(&[("none", 0), ("some", 1)]),
    unset: DefaultsTo("\"none\""),
    doc: "How far it is trusted.",
};
const KEY: Key<Text, Optional> =
    Key { name: "key", kind: Text, unset: Optional { example: "\"k\"" }, doc: "A name that ends others." };
const PUBLIC_KEY: Key<Text, Optional> = Key {
    name: "public_key",
    kind: Text,
    unset: Optional { example: "\"p\"" },
    doc: "A name that ends in another.",
};
const TOKEN: Key<Secret, Optional> = Key {
    name: "token",
    kind: Secret,
    unset: Optional { example: "\"peer.key\"" },
    doc: "What it is asked with.",
};

/// The values of the test sections.
#[derive(Clone, Debug)]
pub(super) struct Trial {
    pub(super) seal: Option<SecretText>,
    pub(super) cert: Option<PathBuf>,
    pub(super) peers: BTreeMap<String, Peer>,
}

/// The values of a named section.
#[derive(Clone, Debug)]
pub(super) struct Peer {
    pub(super) max_lifetime: Duration,
    pub(super) trust: u8,
    pub(super) key: Option<String>,
    pub(super) public_key: Option<String>,
    pub(super) token: Option<SecretText>,
}

/// A directory with a settings file, variables and flags.
pub(super) struct TestDir {
    pub(super) directory: TempDir,
    pub(super) environment: Environment,
    pub(super) flags: Flags,
}

impl TestDir {
    pub(super) fn new(file: &str, variables: &[(&str, &str)], set: &[&str]) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        fs::write(directory.path().join("quash.toml"), file).expect("it is ours");
        let variables = variables.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
        let flags = Flags { set: set.iter().map(|flag| (*flag).to_owned()).collect(), ..Flags::default() };
        Self { directory, environment: Environment::of(variables), flags }
    }

    /// Adds a file to the directory of the settings file.
    pub(super) fn with_file(self, name: &str, bytes: &[u8], mode: u32) -> Self {
        let path = self.directory.path().join(name);
        fs::write(&path, bytes).expect("it is ours");
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("it is ours");
        self
    }

    pub(super) fn collect_layers(&self) -> (Values, Faults) {
        let (Layers { values, faults, .. }, known) = collect_layers(
            TABLES,
            Some(&self.directory.path().join("quash.toml")),
            &self.environment,
            &self.flags,
        );
        assert_eq!(known, Ok(()), "{faults:?}");
        (values, faults)
    }

    pub(super) fn read(&self) -> Result<Trial, Faults> {
        let (values, mut faults) = self.collect_layers();
        let mut reader = Reader { values: &values, faults: &mut faults };
        let (seal, cert) = {
            let mut realm = reader.section(&TABLES[0]);
            (realm.secret(&SEAL), realm.read(&CERT))
        };
        let peers = reader.each(&TABLES[1], peer);
        match (seal, cert, peers) {
            (Ok(seal), Ok(cert), Ok(peers)) if faults.is_empty() => Ok(Trial { seal, cert, peers }),
            _ => Err(faults.in_order()),
        }
    }

    pub(super) fn trial(&self) -> Trial {
        self.read().unwrap_or_else(|faults| panic!("{faults:?}"))
    }

    /// Returns the faults, one on each line.
    pub(super) fn refused(&self) -> String {
        told(self.read().expect_err("it is refused"))
    }

    /// Returns the output of `config show`, as text and as JSON.
    pub(super) fn shown(&self) -> (String, serde_json::Value) {
        let (values, _) = self.collect_layers();
        (to_toml(TABLES, &values, Origins::Shown), to_json(TABLES, &values))
    }
}

/// Returns the faults, one on each line.
pub(super) fn told(faults: Faults) -> String {
    let error = CommandError::from(faults);
    assert_eq!(error.exit.code(), 2);
    let lines: Vec<String> = error
        .findings
        .iter()
        .map(|found| format!("{} ({}); {}", found.message, found.place, found.hint))
        .collect();
    lines.join("\n")
}

fn peer(mut section: Section<'_>) -> Result<Peer, Reported> {
    let (max_lifetime, trust) = (section.read(&MAX_LIFETIME), section.read(&TRUST));
    let (key, public_key, token) = (section.read(&KEY), section.read(&PUBLIC_KEY), section.secret(&TOKEN));
    Ok(Peer { max_lifetime: max_lifetime?, trust: trust?, key: key?, public_key: public_key?, token: token? })
}
