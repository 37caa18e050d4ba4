//! Descriptions of sections and keys, shared by the code that reads them, `quash config`, the schema and the
//! tests of the documents. Each section's content is in its own file.

use super::key::{Description, Entry};

/// A section of the settings.
#[derive(Clone, Copy)]
pub(super) struct Table {
    /// The name, such as `tokens`.
    pub(super) name: &'static str,
    /// The topic, worded to follow the name.
    pub(super) doc: &'static str,
    pub(super) naming: Naming,
    /// The keys, in the order of display.
    pub(super) keys: &'static [&'static dyn Entry],
}

/// The number of sections of a kind.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Naming {
    /// `[tokens]`.
    One,
    /// `[foreign.<name>]`, as many as there are names, each with the same keys.
    Named,
}

impl Table {
    /// Returns the text between the brackets.
    pub(super) fn heading(&self) -> String {
        match self.naming {
            Naming::One => self.name.to_owned(),
            Naming::Named => format!("{}.<name>", self.name),
        }
    }

    /// Returns all keys; one that may be in a file is followed by the key of that file.
    pub(super) fn keys(&self) -> Vec<Description> {
        let keys = self.keys.iter().map(|key| key.describe());
        keys.flat_map(|key| {
            let file = key.file();
            [Some(key), file].into_iter().flatten()
        })
        .collect()
    }

    pub(super) fn key(&self, name: &str) -> Option<Description> {
        self.keys().into_iter().find(|key| key.name == name)
    }
}
