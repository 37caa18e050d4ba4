//! Descriptions of sections and keys, shared by the code that reads them, `quash config`, the schema and the
//! tests of the documents. Each section's content is in its own file.

use super::key::{Description, Entry};

/// A section of the settings.
#[derive(Clone, Copy)]
pub(crate) struct Table {
    /// The name, such as `tokens`.
    pub(crate) name: &'static str,
    /// The topic, worded to follow the name.
    pub(crate) doc: &'static str,
    pub(crate) naming: Naming,
    /// The keys, in the order of display.
    pub(crate) keys: &'static [&'static dyn Entry],
}

/// The number of sections of a kind.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Naming {
    /// `[tokens]`.
    One,
    /// `[foreign.<name>]`, as many as there are names, each with the same keys.
    Named,
}

impl Table {
    /// Returns the text between the brackets.
    pub(crate) fn heading(&self) -> String {
        match self.naming {
            Naming::One => self.name.to_owned(),
            Naming::Named => format!("{}.<name>", self.name),
        }
    }

    /// Returns all keys; one that may be in a file is followed by the key of that file.
    pub(crate) fn keys(&self) -> Vec<Description> {
        let keys = self.keys.iter().map(|key| key.describe());
        keys.flat_map(|key| {
            let file = key.file();
            [Some(key), file].into_iter().flatten()
        })
        .collect()
    }

    pub(crate) fn key(&self, name: &str) -> Option<Description> {
        self.keys().into_iter().find(|key| key.name == name)
    }
}
