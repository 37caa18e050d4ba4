//! The layers: the settings file, over it the environment, over that the flags. Each later one wins. A key that
//! nobody knows stops the start, in whichever layer it stands.

use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::SECTIONS;
use super::fault::{Fault, Origin};
use super::nearest::nearest;
use super::value::{Found, Raw, Values};

/// A settings file longer than this is something else.
const FILE_BYTES: u64 = 1024 * 1024;

/// Lays the file's values into `values`.
pub(super) fn add_file(values: &mut Values, path: &Path) -> Result<(), Fault> {
    let origin = |line| Origin::File { path: path.to_owned(), line };
    let unreadable = |detail: String| Fault {
        subject: "the settings file".into(),
        origin: origin(1),
        fault: format!("can't be read: {detail}"),
        remedy: "name another file with --config, or make this one readable".into(),
    };
    let bytes = read_bounded(path).map_err(|error| unreadable(error.to_string()))?;
    let text = String::from_utf8(bytes).map_err(|_| unreadable("it isn't UTF-8".into()))?;
    let line_of = |offset: usize| text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1;
    let table = DeTable::parse(&text).map_err(|error| Fault {
        subject: "the settings file".into(),
        origin: origin(line_of(error.span().map_or(0, |span| span.start))),
        fault: format!("isn't TOML: {}", error.message().trim().replace('\n', ", ")),
        remedy: "correct the line; https://toml.io shows the form".into(),
    })?;
    for (section, content) in table.get_ref() {
        let here = origin(line_of(section.span().start));
        let name = section.get_ref().as_ref();
        let DeValue::Table(keys) = content.get_ref() else {
            return Err(unknown_top(name, here));
        };
        let Some((section, known)) = SECTIONS.iter().find(|(known, _)| *known == name) else {
            return Err(unknown_section(name, here));
        };
        for (key, value) in keys {
            let here = origin(line_of(key.span().start));
            let name = key.get_ref().as_ref();
            let Some(key) = known.iter().find(|known| **known == name) else {
                return Err(unknown_key(section, name, here));
            };
            values.insert((section, key), Found { raw: raw(value), origin: here });
        }
    }
    Ok(())
}

/// Lays the environment's values into `values`. Only variables that begin with `QUASH_` are given to it.
pub(super) fn add_environment(values: &mut Values, variables: &[(String, String)]) -> Result<(), Fault> {
    let known: Vec<(String, &'static str, &'static str)> =
        keys().map(|(section, key)| (format!("QUASH_{}_{}", section.to_uppercase(), key.to_uppercase()), section, key)).collect();
    for (name, value) in variables {
        let origin = Origin::Environment(name.clone());
        let Some((_, section, key)) = known.iter().find(|(variable, _, _)| variable == name) else {
            // What all have in common says nothing about how near two of them are.
            let bare = |variable: &'_ str| variable.trim_start_matches("QUASH_").to_owned();
            let names: Vec<String> = known.iter().map(|(variable, _, _)| bare(variable)).chain(super::OWN_VARIABLES.map(bare)).collect();
            let meant = nearest(&bare(name), names.iter().map(String::as_str)).map(|meant| format!("QUASH_{meant}"));
            let remedy = did_you_mean(meant.as_deref());
            return Err(unknown(name.clone(), origin, remedy.unwrap_or_else(|| "unset it".into())));
        };
        values.insert((section, key), Found { raw: Raw::Plain(value.clone()), origin });
    }
    Ok(())
}

/// Lays the values of `--set section.key=value` into `values`.
pub(super) fn add_flags(values: &mut Values, flags: &[String]) -> Result<(), Fault> {
    for flag in flags {
        let origin = Origin::Flag("--set".into());
        let Some((name, value)) = flag.split_once('=') else {
            return Err(Fault {
                subject: format!("--set {flag}"),
                origin,
                fault: "has no value".into(),
                remedy: "write --set section.key=value".into(),
            });
        };
        let Some((section, key)) = keys().find(|(section, key)| name.split_once('.') == Some((section, key))) else {
            let names: Vec<String> = keys().map(|(section, key)| format!("{section}.{key}")).collect();
            let remedy = did_you_mean(nearest(name, names.iter().map(String::as_str)));
            return Err(unknown(name.to_owned(), origin, remedy.unwrap_or_else(|| format!("the sections are {}", sections()))));
        };
        values.insert((section, key), Found { raw: Raw::Plain(value.to_owned()), origin });
    }
    Ok(())
}

fn keys() -> impl Iterator<Item = (&'static str, &'static str)> {
    SECTIONS.iter().flat_map(|(section, keys)| keys.iter().map(move |key| (*section, *key)))
}

fn read_bounded(path: &Path) -> std::io::Result<Vec<u8>> {
    use std::io::Read;
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(FILE_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_BYTES {
        return Err(std::io::Error::other("it is longer than 1 MiB"));
    }
    Ok(bytes)
}

fn raw(value: &Spanned<DeValue<'_>>) -> Raw {
    match value.get_ref() {
        DeValue::String(text) => Raw::Text(text.to_string()),
        DeValue::Boolean(value) => Raw::Bool(*value),
        DeValue::Integer(number) => {
            i64::from_str_radix(number.as_str(), number.radix()).map_or(Raw::Other("a number out of range"), Raw::Whole)
        }
        DeValue::Array(members) => {
            let texts = members.iter().map(|member| match member.get_ref() {
                DeValue::String(text) => Some(text.to_string()),
                _ => None,
            });
            texts.collect::<Option<Vec<String>>>().map_or(Raw::Other("a list of other things than texts"), Raw::List)
        }
        DeValue::Float(_) => Raw::Other("a fraction"),
        DeValue::Datetime(_) => Raw::Other("a date"),
        DeValue::Table(_) => Raw::Other("a table"),
    }
}

fn unknown_top(name: &str, origin: Origin) -> Fault {
    let meant = keys().find(|(_, key)| *key == name).map(|(section, _)| section);
    match meant {
        Some(section) => Fault {
            subject: name.to_owned(),
            origin,
            fault: "stands outside of any section".into(),
            remedy: format!("put it under [{section}]"),
        },
        None => unknown_section(name, origin),
    }
}

fn unknown_section(name: &str, origin: Origin) -> Fault {
    let remedy = did_you_mean(nearest(name, SECTIONS.iter().map(|(section, _)| *section)));
    unknown(format!("section [{name}]"), origin, remedy.unwrap_or_else(|| format!("the sections are {}", sections())))
}

fn unknown_key(section: &'static str, name: &str, origin: Origin) -> Fault {
    let here = || SECTIONS.iter().filter(|(known, _)| *known == section).flat_map(|(_, keys)| keys.iter().copied());
    let elsewhere = || keys().find(|(_, key)| *key == name).map(|(section, key)| format!("did you mean {key} under [{section}]?"));
    let remedy = did_you_mean(nearest(name, here())).or_else(elsewhere);
    let list = || format!("the keys of [{section}] are {}", here().collect::<Vec<_>>().join(", "));
    unknown(format!("{section}.{name}"), origin, remedy.unwrap_or_else(list))
}

fn unknown(subject: String, origin: Origin, remedy: String) -> Fault {
    Fault { subject, origin, fault: "isn't a setting that quash knows".into(), remedy }
}

fn did_you_mean(meant: Option<&str>) -> Option<String> {
    meant.map(|meant| format!("did you mean {meant}?"))
}

fn sections() -> String {
    SECTIONS.iter().map(|(section, _)| *section).collect::<Vec<_>>().join(", ")
}
