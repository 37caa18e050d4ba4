//! Reading sections: each key's value or its default, and whatever is wrong told, so that all faults are seen at once.

use std::collections::BTreeMap;

use super::fault::{Fault, Faults, Origin, Told};
use super::key::{Entry, Key, Presence, Unset};
use super::kind::{File, Kind, Secret, Wrong};
use super::secret::SecretText;
use super::table::{FILE, Table};
use super::value::{Content, Found, Raw, Values};

/// All sections, being read.
pub(super) struct Reader<'a> {
    pub(super) values: &'a Values,
    pub(super) faults: &'a mut Faults,
}

/// One section, being read.
pub(super) struct Section<'a> {
    /// Such as `tokens` or `foreign.django`.
    name: String,
    content: Option<&'a Content>,
    faults: &'a mut Faults,
}

impl<'a> Reader<'a> {
    /// A section of which there is one.
    pub(super) fn section(&mut self, table: &Table) -> Section<'_> {
        self.open(table.name.to_owned())
    }

    /// Reads each of a table's named sections, and gives what they hold by name.
    ///
    /// # Errors
    /// One of them couldn't be read.
    #[cfg_attr(not(test), expect(dead_code, reason = "the first section with names isn't there yet"))]
    pub(super) fn each<T>(&mut self, table: &Table, read: impl Fn(Section<'_>) -> Result<T, Told>) -> Result<BTreeMap<String, T>, Told> {
        let names: Vec<String> = self.values.names(table).map(str::to_owned).collect();
        // All are read before the first fault ends it.
        let read: Vec<_> = names.into_iter().map(|name| (read(self.open(format!("{}.{name}", table.name))), name)).collect();
        read.into_iter().map(|(read, name)| read.map(|value| (name, value))).collect()
    }

    fn open(&mut self, name: String) -> Section<'_> {
        Section { content: self.values.section(&name), name, faults: self.faults }
    }
}

impl<'a> Section<'a> {
    /// A key's value, or its default.
    ///
    /// # Errors
    /// There is something wrong with it, which has been told.
    pub(super) fn read<K: Kind, U: Presence>(&mut self, key: &Key<K, U>) -> Result<U::Of<K::Value>, Told> {
        let read = match (self.found(key.name), key.unset.describe()) {
            (Some(found), _) => key.kind.read(found),
            (None, Unset::DefaultsTo(toml)) => key.kind.read(&Found { raw: Raw::parse(toml), origin: Origin::Default }),
            (None, Unset::Optional { .. } | Unset::Required { .. }) => return self.absent(key, key.name),
        };
        read.map(U::present).map_err(|wrong| self.wrong(key, wrong.fault, wrong.remedy))
    }

    /// A secret: the key's own text, or what the file holds that the key with `_file` after its name names.
    ///
    /// # Errors
    /// There is something wrong with it, which has been told.
    #[cfg_attr(not(test), expect(dead_code, reason = "the first key of this kind isn't there yet"))]
    pub(super) fn secret<U: Presence>(&mut self, key: &Key<Secret, U>) -> Result<U::Of<SecretText>, Told> {
        let file = format!("{}{FILE}", key.name);
        let read = match (self.found(key.name), self.found(&file)) {
            (None, None) => return self.absent(key, &file),
            (Some(_), Some(named)) => {
                let fault = format!("and {}.{file} ({}) are both set", self.name, named.origin);
                return Err(self.wrong(key, fault, "leave one of them out"));
            }
            (Some(Found { raw: Raw::Secret(secret), .. }), None) => {
                secret.check().map(|()| secret.clone()).map_err(|wrong| (key.name, wrong))
            }
            (Some(_), None) => Err((key.name, Wrong::new("isn't a text", "put it in quotation marks"))),
            (None, Some(named)) => File.read(named).and_then(|path| SecretText::read(&path)).map_err(|wrong| (file.as_str(), wrong)),
        };
        read.map(U::present).map_err(|(name, Wrong { fault, remedy })| self.tell(name, fault, remedy))
    }

    /// Tells what is wrong with a key that is set, or with its default, to be read after its value.
    pub(super) fn wrong(&mut self, key: &dyn Entry, fault: impl Into<String>, remedy: impl Into<String>) -> Told {
        self.tell(key.name(), fault.into(), remedy.into())
    }

    /// What there is without a key, or that it is missing; `written` is the key to write.
    fn absent<K, U: Presence, T>(&mut self, key: &Key<K, U>, written: &str) -> Result<U::Of<T>, Told> {
        U::absent().ok_or_else(|| {
            let section = &self.name;
            self.faults.tell(|| Fault {
                subject: format!("{section}.{}", key.name),
                origin: self.content.map_or(Origin::Default, |content| content.origin.clone()),
                fault: "is missing".into(),
                remedy: format!("write it under [{section}], such as {written} = {}", key.unset.describe().written()),
            })
        })
    }

    fn tell(&mut self, key: &str, fault: String, remedy: String) -> Told {
        let found = self.found(key);
        let value = found.map(|found| format!(" = {}", found.raw)).unwrap_or_default();
        let subject = format!("{}.{key}{value}", self.name);
        let origin = found.map_or(Origin::Default, |found| found.origin.clone());
        self.faults.tell(|| Fault { subject, origin, fault, remedy })
    }

    fn found(&self, key: &str) -> Option<&'a Found> {
        self.content.and_then(|content| content.found(key))
    }
}
