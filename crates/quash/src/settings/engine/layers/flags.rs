//! The flag `--set section.key=value`. It takes no secrets, because other users can see command lines.

use super::unknown::{did_you_mean, sections, unknown};
use super::{Layers, Origin, Reported, SettingError, cut, is_name};
use crate::settings::engine::key::{Description, FILE};
use crate::settings::engine::nearest::nearest;
use crate::settings::engine::shape::Shape;
use crate::settings::engine::table::{Naming, Table};
use crate::settings::engine::value::{Raw, SetValue};

impl Layers {
    /// Adds the values of the flags, replacing those of earlier layers.
    pub(in crate::settings) fn add_flags(&mut self, flags: &[String]) {
        for flag in flags {
            // The fault was reported; the remaining flags are still checked.
            let _told = self.add_flag(flag);
        }
    }

    /// Adds the named sections of valid flags before variables are read, whose names can be ambiguous. Faults
    /// of flags are reported later.
    pub(in crate::settings) fn open_sections_of(&mut self, flags: &[String]) {
        for flag in flags {
            let name = flag.split_once('=').map_or("", |(name, _)| name);
            match self.setting(name) {
                Some((table, Some(section), _)) if is_name(section) && self.has_room(table, section) => {
                    self.values.open(&table.written(Some(section)), &origin());
                }
                _ => {}
            }
        }
    }

    fn add_flag(&mut self, flag: &str) -> Result<(), Reported> {
        let Some((name, value)) = flag.split_once('=') else {
            // The flag may contain a secret, so the message only repeats what can be a name.
            let shown: String =
                flag.chars().take_while(|c| c.is_ascii_alphanumeric() || "._-".contains(*c)).collect();
            return Err(self.faults.report(|| SettingError {
                subject: format!("--set {}", cut(&shown)).trim_end().to_owned(),
                origin: origin(),
                fault: "has no value".into(),
                remedy: "write --set section.key=value".into(),
            }));
        };
        let Some((table, section, key)) = self.setting(name) else {
            let remedy = self.meant(name);
            return Err(self.faults.report(|| unknown(cut(name), origin(), remedy)));
        };
        if key.shape == Shape::Secret {
            let variable = table.variable(
                &section.map_or_else(|| key.name.clone(), |section| format!("{section}_{}", key.name)),
            );
            return Err(self.faults.report(|| SettingError {
                subject: name.to_owned(),
                origin: origin(),
                fault: "is a secret, and other users can see command lines".into(),
                remedy: format!(
                    "name a file with --set {name}{FILE}=FILE, or set {}",
                    variable.replace('-', "_")
                ),
            }));
        }
        let section = match section {
            None => table.name.to_owned(),
            Some(name) => self.open(table, name, &origin())?,
        };
        self.values.set(&section, &key, SetValue { raw: Raw::Plain(value.to_owned()), origin: origin() });
        Ok(())
    }

    /// Finds the key of a name such as `tokens.issuer` or `foreign.django.max_lifetime`, and the name of its
    /// section, if it has one. That name may be invalid.
    fn setting<'a>(&self, name: &'a str) -> Option<(&'static Table, Option<&'a str>, Description)> {
        let (first, rest) = name.split_once('.')?;
        let table = self.table(first)?;
        match table.naming {
            Naming::One => Some((table, None, table.key(rest)?)),
            Naming::Named => {
                let (section, key) = rest.rsplit_once('.')?;
                Some((table, Some(section), table.key(key)?))
            }
        }
    }

    /// Returns a hint for an unknown name: a similar name, or all sections.
    fn meant(&self, name: &str) -> String {
        let parts: Vec<&str> = name.split('.').collect();
        let section = match parts[..] {
            [_, section, _] if is_name(section) => Some(section),
            _ => None,
        };
        let of = |table: &Table| {
            let section = table.written(section);
            table.keys().into_iter().map(move |key| format!("{section}.{}", key.name))
        };
        let names: Vec<String> = self.tables.iter().flat_map(of).collect();
        did_you_mean(nearest(name, names.iter().map(String::as_str))).unwrap_or_else(|| sections(self.tables))
    }
}

fn origin() -> Origin {
    Origin::Flag("--set".into())
}
