//! How sections and keys describe themselves: once, for the code that reads them, for `quash config`, for the schema
//! and for the tests of the documents. What the sections hold stands in their own files.

use super::key::{Description, Entry};

/// A section of the settings.
#[derive(Clone, Copy)]
pub(super) struct Table {
    /// Its name, such as `tokens`.
    pub(super) name: &'static str,
    /// What it is about, to be read after its name.
    pub(super) doc: &'static str,
    /// Whether there is one of it.
    pub(super) naming: Naming,
    /// Its keys, in the order in which they are shown.
    pub(super) keys: &'static [&'static dyn Entry],
}

/// Whether there is one section of a kind, or one for each name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Naming {
    /// `[tokens]`.
    One,
    /// `[foreign.<name>]`, as many as there are names, each with the same keys.
    Named,
}

impl Table {
    /// What stands between the brackets.
    pub(super) fn heading(&self) -> String {
        match self.naming {
            Naming::One => self.name.to_owned(),
            Naming::Named => format!("{}.<name>", self.name),
        }
    }

    /// All keys; one that may be in a file is followed by the key of that file.
    pub(super) fn keys(&self) -> Vec<Description> {
        let keys = self.keys.iter().map(|key| key.describe());
        keys.flat_map(|key| {
            let file = key.file();
            [Some(key), file].into_iter().flatten()
        })
        .collect()
    }

    /// The key of this name.
    pub(super) fn key(&self, name: &str) -> Option<Description> {
        self.keys().into_iter().find(|key| key.name == name)
    }
}
