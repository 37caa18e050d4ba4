//! Values from the settings file, the environment or the flags, before they are checked against their keys.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use toml::de::DeValue;

use super::fault::{Origin, cut};
use super::key::Description;
use super::secret::{HIDDEN, SecretText};
use super::shape::Shape;
use super::table::Table;

/// An unchecked value.
#[derive(Clone, Debug)]
pub(crate) enum Raw {
    /// A text from the environment or a flag, which may be of any type.
    Plain(String),
    Text(String),
    Bool(bool),
    Whole(i64),
    List(Vec<String>),
    /// A table of texts, in its original order.
    Pairs(Vec<(String, String)>),
    /// The text of a secret key, whatever its origin.
    Secret(SecretText),
    /// A value of a type that no setting has, in words.
    Other(&'static str),
}

/// A value and its origin.
#[derive(Clone, Debug)]
pub(crate) struct SetValue {
    pub(crate) raw: Raw,
    pub(crate) origin: Origin,
}

/// All values by section. It contains only known sections and keys.
#[derive(Default, Debug)]
pub(crate) struct Values {
    /// The keys are such as `tokens` or `foreign.django`.
    sections: BTreeMap<String, Content>,
}

/// The values of a section.
#[derive(Debug)]
pub(crate) struct Content {
    /// The first mention of the section.
    pub(crate) origin: Origin,
    keys: BTreeMap<String, SetValue>,
}

impl Raw {
    /// Converts a TOML value.
    pub(crate) fn of(value: &DeValue<'_>) -> Self {
        match value {
            DeValue::String(text) => Self::Text(text.to_string()),
            DeValue::Boolean(value) => Self::Bool(*value),
            DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
                .map_or(Self::Other("a number out of range"), Self::Whole),
            DeValue::Array(members) => {
                let texts = members.iter().map(|member| match member.get_ref() {
                    DeValue::String(text) => Some(text.to_string()),
                    _ => None,
                });
                texts
                    .collect::<Option<Vec<String>>>()
                    .map_or(Self::Other("a list of other things than texts"), Self::List)
            }
            DeValue::Float(_) => Self::Other("a fraction"),
            DeValue::Datetime(_) => Self::Other("a date"),
            DeValue::Table(members) => {
                let pairs = members.iter().map(|(name, value)| match value.get_ref() {
                    DeValue::String(text) => Some((name.get_ref().to_string(), text.to_string())),
                    _ => None,
                });
                pairs.collect::<Option<Vec<_>>>().map_or(Self::Other("a table"), Self::Pairs)
            }
        }
    }

    /// Parses a TOML value. Invalid TOML becomes [`Raw::Other`].
    pub(crate) fn parse(toml: &str) -> Self {
        DeValue::parse(toml).map_or(Self::Other("no TOML"), |value| Self::of(value.get_ref()))
    }

    /// Returns the text, if the value is a text and not secret.
    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Self::Plain(text) | Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Converts the value to a secret.
    fn hidden(self) -> Self {
        match self {
            Self::Plain(text) | Self::Text(text) => Self::Secret(SecretText::new(text)),
            Self::Secret(secret) => Self::Secret(secret),
            Self::Bool(_) | Self::Whole(_) | Self::List(_) | Self::Pairs(_) | Self::Other(_) => {
                Self::Other("something else than a text")
            }
        }
    }
}

impl SetValue {
    /// Resolves the path of a file: relative to the settings file if the value is from there, otherwise to
    /// the working directory.
    pub(crate) fn path(&self, text: &str) -> PathBuf {
        let path = match &self.origin {
            Origin::File { path, .. } => {
                path.parent().map_or_else(|| PathBuf::from(text), |folder| folder.join(text))
            }
            Origin::Environment(_) | Origin::Flag(_) | Origin::Default => PathBuf::from(text),
        };
        // An absolute path means the same file wherever it is used. Without a working directory, it stays as
        // it is.
        std::path::absolute(&path).unwrap_or(path)
    }
}

impl Values {
    /// Adds a section, which may stay empty.
    pub(crate) fn open(&mut self, section: &str, origin: &Origin) -> &mut Content {
        self.sections
            .entry(section.to_owned())
            .or_insert_with(|| Content { origin: origin.clone(), keys: BTreeMap::new() })
    }

    /// Sets a value, replacing that of an earlier layer. A secret is hidden from here on.
    pub(crate) fn set(&mut self, section: &str, key: &Description, found: SetValue) {
        let raw = match key.shape {
            Shape::Secret => found.raw.hidden(),
            _ => found.raw,
        };
        self.open(section, &found.origin)
            .keys
            .insert(key.name.clone(), SetValue { raw, origin: found.origin });
    }

    pub(crate) fn section(&self, section: &str) -> Option<&Content> {
        self.sections.get(section)
    }

    /// Returns the names of a table's named sections.
    pub(crate) fn names(&self, table: &Table) -> impl Iterator<Item = &str> {
        self.sections.keys().filter_map(|section| {
            section.split_once('.').filter(|(first, _)| *first == table.name).map(|(_, name)| name)
        })
    }
}

impl Content {
    pub(crate) fn found(&self, key: &str) -> Option<&SetValue> {
        self.keys.get(key)
    }
}

impl fmt::Display for Raw {
    /// Formats the value as in a settings file, truncated if it is long.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&cut(&match self {
            Self::Plain(text) | Self::Text(text) => format!("\"{text}\""),
            Self::Bool(value) => value.to_string(),
            Self::Whole(number) => number.to_string(),
            Self::List(texts) => format!("{texts:?}"),
            Self::Pairs(pairs) if pairs.is_empty() => "a table".to_owned(),
            Self::Pairs(pairs) => {
                let pairs: Vec<String> =
                    pairs.iter().map(|(name, text)| format!("{name} = {text:?}")).collect();
                format!("{{ {} }}", pairs.join(", "))
            }
            Self::Secret(_) => HIDDEN.to_owned(),
            Self::Other(words) => (*words).to_owned(),
        }))
    }
}
