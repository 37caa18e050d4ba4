//! A settings file to start with: every key with its documentation, and its default commented out.

use super::key::{Description, Unset};
use super::table::{Naming, Table};
use crate::settings::sections::SECTIONS;

/// The keys that a draft contains.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Extent {
    /// Every key.
    Whole,
    /// The keys that a first deployment decides on.
    Minimal,
}

/// The keys that a first deployment decides on: its identity, and its addresses.
pub(crate) const MINIMAL: [(&str, &str); 7] = [
    ("tokens", "issuer"),
    ("http", "listen"),
    ("http", "tls_cert"),
    ("http", "tls_key"),
    ("http", "behind_proxy"),
    ("http", "trusted_proxies"),
    ("http", "public_url"),
];

const WHOLE_HEAD: &str = "\
# Settings of quash. A `#` without a blank comments out a key with its default or, if it has none, an
# example: remove the `#` to set it. `quash config check` reports faults, and `quash config show
# --origin` shows the settings in force.";
pub(crate) const MINIMAL_HEAD: &str = "\
# The settings that a first deployment of quash decides on: remove the `#` before a key to set it.
# `quash config init` shows all keys, `quash config check` reports faults, and `quash config show
# --origin` shows the settings in force.";
const EDITOR: &str = "\
#
# Editors complete and check this file after `quash config schema > quash.schema.json` in the same
# directory, with this as the first line:
# #:schema ./quash.schema.json";

/// The width of comment lines, in characters.
const WIDTH: usize = 100;

/// Returns a settings file in which every key is commented out.
pub(crate) fn draft(extent: Extent) -> String {
    let head = match extent {
        Extent::Whole => WHOLE_HEAD,
        Extent::Minimal => MINIMAL_HEAD,
    };
    let is_in = |table: &Table, key: &Description| {
        extent == Extent::Whole || MINIMAL.contains(&(table.name, key.name.as_str()))
    };
    format!("{head}\n{EDITOR}\n{}", sections(SECTIONS, is_in))
}

pub(crate) fn sections(tables: &[Table], is_in: impl Fn(&Table, &Description) -> bool) -> String {
    let mut text = String::new();
    for table in tables {
        let keys = table.keys().into_iter().filter(|key| is_in(table, key));
        let keys: Vec<String> = keys.map(|key| commented(&key)).collect();
        if !keys.is_empty() {
            let head = match table.naming {
                Naming::One => format!("[{}]", table.name),
                Naming::Named => format!("#[{}.name]", table.name),
            };
            text.push_str(&format!("\n{head} # {}\n{}", table.doc, keys.join("")));
        }
    }
    text.trim_end().to_owned()
}

fn commented(key: &Description) -> String {
    if key.shape.may_be_in_a_file() {
        let where_to = format!("{}: {}; preferably in a file of its own", key.name, key.shape);
        return format!("\n{}\n{}\n", wrapped(&key.doc), wrapped(&where_to));
    }
    let without = match key.unset {
        Unset::DefaultsTo(_) => "",
        Unset::Optional { .. } => "; none by default",
        Unset::Required { .. } => "; must be set",
    };
    let shape = wrapped(&format!("{}{without}", key.shape));
    format!("\n{}\n{shape}\n#{} = {}\n", wrapped(&key.doc), key.name, key.unset.written())
}

/// Wraps a text into comment lines. Markdown links lose their targets, which are relative to the documents.
fn wrapped(text: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    for word in without_links(text).split(' ') {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= WIDTH => {
                line.extend([" ", word])
            }
            _ => lines.push(format!("# {word}")),
        }
    }
    lines.join("\n")
}

fn without_links(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("](") {
        let (head, words) = before.rsplit_once('[').unwrap_or((before, ""));
        plain.extend([head, words]);
        rest = after.split_once(')').map_or("", |(_, rest)| rest);
    }
    plain + rest
}
