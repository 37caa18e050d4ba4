//! A settings file to begin with: every key with its documentation, and its default commented out.

use super::SECTIONS;
use super::key::{Description, Unset};
use super::table::{Naming, Table};

/// How much of the settings a draft holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Extent {
    /// Every key.
    Whole,
    /// What a first deployment decides on.
    Minimal,
}

/// What a first deployment decides on: who it is, and how it is reached.
pub(super) const MINIMAL: [(&str, &str); 7] = [
    ("tokens", "issuer"),
    ("http", "listen"),
    ("http", "tls_cert"),
    ("http", "tls_key"),
    ("http", "behind_proxy"),
    ("http", "trusted_proxies"),
    ("http", "public_url"),
];

const WHOLE_HEAD: &str = "\
# Settings of quash. What stands behind a `#` without a blank is a key with its default, or with an
# example where it has none: remove the `#` to set it. `quash config check` says what is wrong, and
# `quash config show --origin` what holds.";
pub(super) const MINIMAL_HEAD: &str = "\
# What a first deployment of quash decides on: remove the `#` before a key to set it. `quash config init`
# shows all keys, `quash config check` says what is wrong, and `quash config show --origin` what holds.";
const EDITOR: &str = "\
#
# An editor completes and checks this file after `quash config schema > quash.schema.json` beside it,
# with this as the first line:
# #:schema ./quash.schema.json";

/// Comments are broken before this many characters.
const WIDTH: usize = 100;

/// A settings file that sets nothing.
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

pub(super) fn sections(tables: &[Table], is_in: impl Fn(&Table, &Description) -> bool) -> String {
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
        let where_to = format!("{}: {}; a file of its own is a better place for it", key.name, key.shape);
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

/// A text in lines of comment. Of a Markdown link only its words are left: its target leads nowhere from here.
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
