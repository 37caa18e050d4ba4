//! The form of a key's values, for display: in `quash config`, the schema and the documents.

use std::fmt;

use super::span::Span;

pub(crate) trait Describe {
    fn shape(&self) -> Shape;
}

/// The form of a key's values.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Shape {
    Span(Span),
    Text,
    List,
    /// A table of texts under these names.
    Pairs(&'static [&'static str]),
    Switch,
    Whole {
        least: u32,
        most: u32,
    },
    /// One of these words.
    Words(Vec<&'static str>),
    /// An IP address and a port, or `unix:` and an absolute path.
    Address,
    /// The path of a file.
    File,
    Secret,
    /// A public key, in PEM or as a JWK.
    Public,
    /// `accept`, `reject`, or `until` a date.
    Acceptance,
    /// A word, or what another shape allows.
    Or(&'static str, Box<Shape>),
}

impl fmt::Display for Shape {
    /// Describes the shape as the documents do.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Span(span) => write!(f, "{span}"),
            Self::Text => f.write_str("text"),
            Self::List => f.write_str("list"),
            Self::Pairs(_) => f.write_str("table of texts"),
            Self::Switch => f.write_str("switch"),
            Self::Whole { least, most } => write!(f, "whole number, {least} to {most}"),
            Self::Words(words) => f.write_str(&either(words)),
            Self::Address => f.write_str("IP address and port, or unix:/path"),
            Self::File => f.write_str("path of a file"),
            Self::Secret => f.write_str("secret text"),
            Self::Public => f.write_str("PEM or JWK"),
            Self::Acceptance => f.write_str("\"reject\", \"accept\" or \"until <date>\""),
            Self::Or(word, other) => write!(f, "{other}, or \"{word}\""),
        }
    }
}

impl Shape {
    /// Returns whether a file may hold the value instead.
    pub(crate) fn may_be_in_a_file(&self) -> bool {
        matches!(self, Self::Secret | Self::Public)
    }
}

/// Joins words to a list such as `"a", "b" or "c"`.
pub(crate) fn either(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
    match &quoted[..] {
        [all @ .., last] if !all.is_empty() => format!("{} or {last}", all.join(", ")),
        all => all.join(", "),
    }
}
