//! Faults for unknown names, with suggestions.

use super::{Origin, SettingError, cut};
use crate::settings::engine::nearest::nearest;
use crate::settings::engine::table::Table;
use crate::settings::sections;

/// The fault for an unknown name at the top of the file; `is_section`: it is written as a section.
pub(super) fn unknown_section(
    tables: &[Table],
    name: &str,
    is_section: bool,
    origin: Origin,
) -> SettingError {
    let owner = tables.iter().find(|table| !is_section && table.key(name).is_some());
    if let Some(table) = owner {
        return SettingError {
            subject: name.to_owned(),
            origin,
            fault: "is outside of any section".into(),
            remedy: format!("put it under [{}]", table.heading()),
        };
    }
    let remedy = did_you_mean(nearest(name, tables.iter().map(|table| table.name)));
    unknown(format!("section [{}]", cut(name)), origin, remedy.unwrap_or_else(|| sections(tables)))
}

/// The fault for an unknown key in the file; `section` is the section's name in the file.
pub(super) fn unknown_key(
    tables: &[Table],
    table: &Table,
    section: &str,
    name: &str,
    origin: Origin,
) -> SettingError {
    let here: Vec<String> = table.keys().into_iter().map(|key| key.name).collect();
    let instead = || {
        let known =
            sections::tokens::UNSUPPORTED.iter().filter(|_| table.name == sections::tokens::TABLE.name);
        known.into_iter().find(|(other, _)| *other == name).map(|(_, instead)| (*instead).to_owned())
    };
    let near = || did_you_mean(nearest(name, here.iter().map(String::as_str)));
    let elsewhere = || {
        let owner = tables.iter().find(|table| table.key(name).is_some());
        owner.map(|table| format!("did you mean {name} under [{}]?", table.heading()))
    };
    let list = || format!("the keys of [{section}] are {}", here.join(", "));
    unknown(
        format!("{section}.{}", cut(name)),
        origin,
        instead().or_else(near).or_else(elsewhere).unwrap_or_else(list),
    )
}

pub(super) fn unknown(subject: String, origin: Origin, remedy: String) -> SettingError {
    SettingError { subject, origin, fault: "isn't a setting that quash knows".into(), remedy }
}

pub(super) fn did_you_mean(meant: Option<&str>) -> Option<String> {
    meant.map(|meant| format!("did you mean {meant}?"))
}

pub(super) fn sections(tables: &[Table]) -> String {
    format!("the sections are {}", tables.iter().map(Table::heading).collect::<Vec<_>>().join(", "))
}
