//! Environment variables: `QUASH_<SECTION>_<KEY>` and `QUASH_<SECTION>_<NAME>_<KEY>`, in capitals and with
//! `-` as `_`. A variable's name can therefore be ambiguous; an ambiguous name is refused.

use super::unknown::{did_you_mean, unknown};
use super::{Layers, NAME_BYTES, Origin, SettingError, cut, is_name};
use crate::settings::engine::environment::{Environment, OWN_VARIABLES, Variable};
use crate::settings::engine::key::Description;
use crate::settings::engine::nearest::nearest;
use crate::settings::engine::table::{Naming, Table};
use crate::settings::engine::value::{Raw, SetValue};

/// The setting that a variable's name stands for.
struct Meaning {
    table: &'static Table,
    /// The name of the section, if it has one.
    name: Option<String>,
    key: Description,
}

impl Layers {
    /// Adds the values of the variables, replacing those of earlier layers.
    pub(in crate::settings) fn add_environment(&mut self, environment: &Environment) {
        for fault in &environment.faults {
            self.faults.report(|| fault.clone());
        }
        // Unambiguous variables first: the sections that they add may resolve the others. So the order of the
        // variables doesn't matter.
        let read: Vec<(&Variable, Vec<Meaning>)> =
            environment.variables.iter().map(|variable| (variable, self.meanings(&variable.name))).collect();
        let (clear, unclear): (Vec<_>, Vec<_>) =
            read.into_iter().partition(|(_, meanings)| meanings.len() == 1);
        for (variable, meanings) in clear {
            self.add_variable(variable, &meanings);
        }
        for (variable, _) in unclear {
            self.add_variable(variable, &self.meanings(&variable.name));
        }
    }

    fn add_variable(&mut self, Variable { name, value }: &Variable, meanings: &[Meaning]) {
        let origin = Origin::Environment(cut(name));
        match meanings {
            [Meaning { table, name, key }] => {
                let section = match name {
                    None => Ok(table.name.to_owned()),
                    Some(name) => self.open(table, name, &origin),
                };
                // A fault of its section was reported.
                if let Ok(section) = section {
                    self.values.set(
                        &section,
                        key,
                        SetValue { raw: Raw::Plain(value.expose().to_owned()), origin },
                    );
                }
            }
            [] => {
                let remedy = self.meant_variable(name);
                self.faults.report(|| unknown(cut(name), origin, remedy));
            }
            [..] => {
                let keys: Vec<String> = meanings.iter().map(Meaning::written).collect();
                self.faults.report(|| SettingError {
                    subject: cut(name),
                    origin,
                    fault: format!("is ambiguous: it may mean {}", keys.join(" or ")),
                    remedy: "unset it, and put the setting into the settings file".into(),
                });
            }
        }
    }

    /// Returns all settings that a variable's name can stand for. Existing sections take precedence over new
    /// ones.
    fn meanings(&self, variable: &str) -> Vec<Meaning> {
        let (mut there, mut new) = (Vec::new(), Vec::new());
        for table in self.tables {
            for key in table.keys() {
                match table.naming {
                    Naming::One if table.variable(&key.name) == variable => {
                        there.push(Meaning { table, name: None, key })
                    }
                    Naming::One => {}
                    Naming::Named => {
                        let Some(spelt) = name_in(variable, table, &key) else { continue };
                        let names = self.values.names(table).filter(|name| name.replace('-', "_") == spelt);
                        let known: Vec<_> = names
                            .map(|name| Meaning { table, name: Some(name.to_owned()), key: key.clone() })
                            .collect();
                        if known.is_empty() {
                            new.push(Meaning { table, name: Some(spelt), key });
                        }
                        there.extend(known);
                    }
                }
            }
        }
        if there.is_empty() { new } else { there }
    }

    /// Returns a hint for an unknown variable.
    fn meant_variable(&self, variable: &str) -> String {
        // The common prefix would make all names look similar.
        let bare = |variable: &str| variable.trim_start_matches("QUASH_").to_owned();
        let typed = bare(&variable.to_uppercase());
        let names: Vec<String> =
            self.tables.iter().flat_map(|table| known_variables(table, &typed)).collect();
        let names: Vec<String> = names.iter().map(String::as_str).chain(OWN_VARIABLES).map(bare).collect();
        let meant = nearest(&typed, names.iter().map(String::as_str)).map(|meant| format!("QUASH_{meant}"));
        did_you_mean(meant.as_deref()).unwrap_or_else(|| "unset it".into())
    }
}

impl Meaning {
    fn written(&self) -> String {
        format!("{}.{}", self.table.written(self.name.as_deref()), self.key.name)
    }
}

/// Returns the section's name in a variable's name, between those of the table and the key, in lower case.
fn name_in(variable: &str, table: &Table, key: &Description) -> Option<String> {
    let name =
        variable.strip_prefix(&table.variable(""))?.strip_suffix(&format!("_{}", key.name.to_uppercase()))?;
    let is_capital = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
    Some(name.to_lowercase()).filter(|small| name.bytes().all(is_capital) && is_name(small))
}

/// Returns the variables of a table; for named sections, with each part of `typed` that can be a name.
fn known_variables(table: &Table, typed: &str) -> Vec<String> {
    let of = |name: &str| {
        table.keys().into_iter().map(|key| table.variable(&format!("{name}{}", key.name))).collect::<Vec<_>>()
    };
    match table.naming {
        Naming::One => of(""),
        Naming::Named => {
            let rest = typed.split_once('_').map_or("", |(_, rest)| rest);
            let ends = rest.match_indices('_').map(|(at, _)| at).filter(|at| *at <= NAME_BYTES);
            ends.flat_map(|end| of(&rest[..=end])).collect()
        }
    }
}
