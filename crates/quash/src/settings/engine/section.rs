//! Reads the keys of sections: their values or defaults. Faults are collected, so that all are reported at
//! once.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::fault::{Faults, Origin, Reported, SettingError, ValueFault};
use super::key::{Entry, FILE, Key, Presence, Unset};
use super::kind::{File, Kind, Public, Secret, Text};
use super::secret::{SecretText, read_text};
use super::shape::Describe;
use super::table::Table;
use super::value::{Content, Raw, SetValue, Values};

/// The source of a value that may be in a file.
enum Source<'a> {
    Text(&'a SetValue),
    File(PathBuf),
}

/// The reader of all sections.
pub(crate) struct Reader<'a> {
    pub(crate) values: &'a Values,
    pub(crate) faults: &'a mut Faults,
}

/// The reader of one section.
pub(crate) struct Section<'a> {
    /// Such as `tokens` or `foreign.django`.
    name: String,
    content: Option<&'a Content>,
    faults: &'a mut Faults,
}

impl<'a> Reader<'a> {
    /// Opens a section that exists once.
    pub(crate) fn section(&mut self, table: &Table) -> Section<'_> {
        self.open(table.name.to_owned())
    }

    /// Reads each of a table's named sections, and returns their values by name.
    ///
    /// # Errors
    /// At least one section has a fault.
    pub(crate) fn each<T>(
        &mut self,
        table: &Table,
        read: impl Fn(Section<'_>) -> Result<T, Reported>,
    ) -> Result<BTreeMap<String, T>, Reported> {
        let names: Vec<String> = self.values.names(table).map(str::to_owned).collect();
        // All sections are read before the first fault is returned.
        let read: Vec<_> =
            names.into_iter().map(|name| (read(self.open(format!("{}.{name}", table.name))), name)).collect();
        read.into_iter().map(|(read, name)| read.map(|value| (name, value))).collect()
    }

    fn open(&mut self, name: String) -> Section<'_> {
        Section { content: self.values.section(&name), name, faults: self.faults }
    }
}

impl<'a> Section<'a> {
    /// Reads a key's value, or its default.
    ///
    /// # Errors
    /// The value has a fault, which was reported.
    pub(crate) fn read<K: Kind, U: Presence>(
        &mut self,
        key: &Key<K, U>,
    ) -> Result<U::Of<K::Value>, Reported> {
        let read = match (self.found(key.name), key.unset.describe()) {
            (Some(found), _) => key.kind.read(found),
            (None, Unset::DefaultsTo(toml)) => {
                key.kind.read(&SetValue { raw: Raw::parse(toml), origin: Origin::Default })
            }
            (None, Unset::Optional { .. } | Unset::Required { .. }) => return self.absent(key, key.name),
        };
        read.map(U::present).map_err(|wrong| self.fault(key, wrong.fault, wrong.remedy))
    }

    /// Reads a secret: the key's own text, or the content of the file that the key with the suffix `_file`
    /// names.
    ///
    /// # Errors
    /// The value has a fault, which was reported.
    pub(crate) fn secret<U: Presence>(
        &mut self,
        key: &Key<Secret, U>,
    ) -> Result<U::Of<SecretText>, Reported> {
        let Some(source) = self.source(key)? else { return self.absent(key, &file_of(key)) };
        let read = match source {
            Source::Text(SetValue { raw: Raw::Secret(secret), .. }) => {
                secret.check().map(|()| secret.clone())
            }
            Source::Text(_) => Err(ValueFault::new("isn't a text", "put it in quotation marks")),
            Source::File(path) => SecretText::read(&path),
        };
        self.checked(key, read)
    }

    /// Reads a public key: the key's own text, or the content of the file that the key with the suffix
    /// `_file` names.
    ///
    /// # Errors
    /// The value has a fault, which was reported.
    pub(crate) fn public<U: Presence>(&mut self, key: &Key<Public, U>) -> Result<U::Of<String>, Reported> {
        let Some(source) = self.source(key)? else { return self.absent(key, &file_of(key)) };
        let read = match source {
            Source::Text(found) => Text.read(found),
            Source::File(path) => read_text(&path).map(|text| text.to_string()),
        };
        self.checked(key, read)
    }

    /// Returns whether a key is set, directly or with a file.
    pub(crate) fn has(&self, key: &dyn Entry) -> bool {
        self.found(key.name()).is_some() || self.found(&format!("{}{FILE}", key.name())).is_some()
    }

    /// Finds the source of a key that may be in a file.
    fn source<K: Describe, U: Presence>(&mut self, key: &Key<K, U>) -> Result<Option<Source<'a>>, Reported> {
        let file = file_of(key);
        match (self.found(key.name), self.found(&file)) {
            (None, None) => Ok(None),
            (Some(_), Some(named)) => {
                let fault = format!("and {}.{file} ({}) are both set", self.name, named.origin);
                Err(self.fault(key, fault, "remove one of them"))
            }
            (Some(found), None) => Ok(Some(Source::Text(found))),
            (None, Some(named)) => match File.read(named) {
                Ok(path) => Ok(Some(Source::File(path))),
                Err(ValueFault { fault, remedy }) => Err(self.report(&file, fault, remedy)),
            },
        }
    }

    /// Returns the result for a key that may be in a file, and reports its fault at the value's location.
    fn checked<K: Describe, U: Presence, T>(
        &mut self,
        key: &Key<K, U>,
        read: Result<T, ValueFault>,
    ) -> Result<U::Of<T>, Reported> {
        read.map(U::present).map_err(|ValueFault { fault, remedy }| self.fault(key, fault, remedy))
    }

    /// Reports a fault of a key's value, or of the file that holds the value.
    pub(crate) fn fault(
        &mut self,
        key: &dyn Entry,
        fault: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Reported {
        let file = format!("{}{FILE}", key.name());
        let written =
            if self.found(key.name()).is_none() && self.found(&file).is_some() { &file } else { key.name() };
        self.report(written, fault.into(), remedy.into())
    }

    /// Returns the result for a key that isn't set, or reports that it is missing; `written` is the key to
    /// set.
    fn absent<K, U: Presence, T>(&mut self, key: &Key<K, U>, written: &str) -> Result<U::Of<T>, Reported> {
        U::absent().ok_or_else(|| {
            let section = &self.name;
            self.faults.report(|| SettingError {
                subject: format!("{section}.{}", key.name),
                origin: self.content.map_or(Origin::Default, |content| content.origin.clone()),
                fault: "is missing".into(),
                remedy: format!(
                    "write it under [{section}], such as {written} = {}",
                    key.unset.describe().written()
                ),
            })
        })
    }

    fn report(&mut self, key: &str, fault: String, remedy: String) -> Reported {
        let found = self.found(key);
        let value = found.map(|found| format!(" = {}", found.raw)).unwrap_or_default();
        let subject = format!("{}.{key}{value}", self.name);
        let origin = found.map_or(Origin::Default, |found| found.origin.clone());
        self.faults.report(|| SettingError { subject, origin, fault, remedy })
    }

    fn found(&self, key: &str) -> Option<&'a SetValue> {
        self.content.and_then(|content| content.found(key))
    }
}

/// Returns the name of the key that names a file with this key's value.
fn file_of<K: Describe, U: Presence>(key: &Key<K, U>) -> String {
    format!("{}{FILE}", key.name)
}
