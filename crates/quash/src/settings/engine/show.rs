//! Prints the settings in force as TOML or JSON, with their origins. Secrets are hidden.

use serde_json::{Map, Value, json};

use super::fault::Origin;
use super::key::{Description, Unset};
use super::secret::HIDDEN;
use super::shape::Shape;
use super::table::{Naming, Table};
use super::value::{Raw, SetValue, Values};
use crate::output::{clean, is_control};
use crate::settings::Loaded;
use crate::settings::sections::SECTIONS;

/// The visibility of origins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Origins {
    Shown,
    Hidden,
}

/// A section with its keys, their values and origins. An unset value is `null`.
struct Shown {
    table: &'static str,
    name: Option<String>,
    keys: Vec<(String, Value, Origin)>,
}

impl Loaded {
    /// Formats the settings as a settings file.
    pub(crate) fn to_toml(&self, origins: Origins) -> String {
        to_toml(SECTIONS, &self.values, origins)
    }

    /// Returns a hash over the settings that nodes are expected to have in common: no secrets, no paths of
    /// files, and neither addresses nor the log.
    pub(crate) fn digest(&self) -> String {
        let mut lines = String::new();
        for Shown { table, name, keys } in all(SECTIONS, &self.values) {
            for (key, value, _) in keys.iter().filter(|(key, ..)| !is_of_one_node(table, key)) {
                let name = name.as_deref().unwrap_or_default();
                lines.push_str(&format!("{table} {name} {key} {value}\n"));
            }
        }
        let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, lines.as_bytes());
        quash_core::hex::encode(&hash.as_ref()[..DIGEST_BYTES])
    }

    /// Returns the settings by section and key.
    pub(crate) fn to_json(&self) -> Value {
        to_json(SECTIONS, &self.values)
    }
}

/// The length of a hash over the settings: enough to tell the settings of some nodes apart.
const DIGEST_BYTES: usize = 6;

/// Returns whether nodes may have different values of a setting for good.
fn is_of_one_node(section: &str, key: &str) -> bool {
    const OF_THE_MACHINE: [&str; 7] = [
        "listen",
        "tls_cert",
        "tls_key",
        "memory_mib",
        "trusted_proxies",
        "behind_proxy",
        "forwarding_header",
    ];
    ["storage", "log"].contains(&section)
        || (section == "http" && OF_THE_MACHINE.contains(&key))
        || key.ends_with("_file")
}

fn all(tables: &[Table], values: &Values) -> Vec<Shown> {
    let mut all = Vec::new();
    for table in tables {
        let names: Vec<Option<String>> = match table.naming {
            Naming::One => vec![None],
            Naming::Named => values.names(table).map(|name| Some(name.to_owned())).collect(),
        };
        for name in names {
            let section =
                name.as_ref().map_or_else(|| table.name.to_owned(), |name| format!("{}.{name}", table.name));
            let content = values.section(&section);
            let shown = |key: Description| {
                let (value, origin) =
                    value_and_origin(&key, content.and_then(|content| content.found(&key.name)));
                (key.name, value, origin)
            };
            all.push(Shown { table: table.name, name, keys: table.keys().into_iter().map(shown).collect() });
        }
    }
    all
}

/// Returns the value of a key, and its origin.
fn value_and_origin(key: &Description, found: Option<&SetValue>) -> (Value, Origin) {
    match (found, key.unset) {
        (Some(found), _) => {
            let path = found
                .raw
                .text()
                .filter(|_| key.shape == Shape::File)
                .map(|text| found.path(text).display().to_string());
            (path.map_or_else(|| value(&key.shape, &found.raw), Value::from), found.origin.clone())
        }
        (None, Unset::DefaultsTo(toml)) => (value(&key.shape, &Raw::parse(toml)), Origin::Default),
        (None, Unset::Optional { .. } | Unset::Required { .. }) => (Value::Null, Origin::Default),
    }
}

/// Converts a value to the form of the settings file, whatever its origin.
pub(crate) fn value(shape: &Shape, raw: &Raw) -> Value {
    match (shape, raw) {
        (Shape::Secret, _) | (_, Raw::Secret(_)) => HIDDEN.into(),
        (Shape::Switch, Raw::Plain(text)) => (text == "true").into(),
        (Shape::Whole { .. }, Raw::Plain(text)) => text.parse::<u32>().map_or(Value::Null, Value::from),
        (Shape::Pairs(_), Raw::Plain(text)) => text
            .split(',')
            .filter_map(|pair| pair.split_once('='))
            .map(|(name, text)| (name.to_owned(), Value::from(text)))
            .collect(),
        (Shape::List, Raw::Plain(text)) => text.split(',').collect(),
        (Shape::List, Raw::Text(text)) => json!([text]),
        (_, Raw::Plain(text) | Raw::Text(text)) => text.as_str().into(),
        (_, Raw::Bool(switch)) => (*switch).into(),
        (_, Raw::Whole(number)) => (*number).into(),
        (_, Raw::List(texts)) => texts.iter().map(String::as_str).collect(),
        (_, Raw::Pairs(pairs)) => {
            pairs.iter().map(|(name, text)| (name.clone(), Value::from(text.as_str()))).collect()
        }
        (_, Raw::Other(_)) => Value::Null,
    }
}

pub(crate) fn to_json(tables: &[Table], values: &Values) -> Value {
    let mut sections = Map::new();
    for Shown { table, name, keys } in all(tables, values) {
        let keys: Map<String, Value> = keys
            .into_iter()
            .map(|(key, value, origin)| (key, json!({ "value": value, "origin": words(&origin) })))
            .collect();
        match name {
            None => sections.insert(table.to_owned(), keys.into()),
            Some(name) => sections
                .entry(table)
                .or_insert_with(|| json!({}))
                .as_object_mut()
                .and_then(|names| names.insert(name, keys.into())),
        };
    }
    sections.into()
}

pub(crate) fn to_toml(tables: &[Table], values: &Values, origins: Origins) -> String {
    let mut sections = Vec::new();
    for Shown { table, name, keys } in all(tables, values) {
        let name = name.as_ref().map(|name| format!(".{name}")).unwrap_or_default();
        let mut lines = vec![format!("[{table}{name}]")];
        for (key, value, origin) in keys {
            lines.push(match (&value, origins) {
                (Value::Null, _) => format!("# {key} is not set"),
                (value, Origins::Hidden) => format!("{key} = {}", toml_of(value)),
                (value, Origins::Shown) => {
                    format!("{key} = {}  # {}", toml_of(value), clean(&words(&origin)))
                }
            });
        }
        sections.push(lines.join("\n"));
    }
    sections.join("\n\n")
}

fn words(origin: &Origin) -> String {
    match origin {
        Origin::File { .. } => format!("file {origin}"),
        Origin::Environment(_) | Origin::Flag(_) | Origin::Default => origin.to_string(),
    }
}

fn toml_of(value: &Value) -> String {
    match value {
        Value::String(text) => basic_string(text),
        Value::Array(members) => format!("[{}]", members.iter().map(toml_of).collect::<Vec<_>>().join(", ")),
        Value::Object(members) => {
            let members: Vec<String> =
                members.iter().map(|(name, value)| format!("{name} = {}", toml_of(value))).collect();
            format!("{{ {} }}", members.join(", "))
        }
        other => other.to_string(),
    }
}

/// Formats a TOML string on one line, with control characters escaped.
fn basic_string(text: &str) -> String {
    let mut written = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => written.extend(['\\', c]),
            '\n' => written.push_str("\\n"),
            '\t' => written.push_str("\\t"),
            c if is_control(c) => written.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => written.push(c),
        }
    }
    written.push('"');
    written
}
