//! Values as they stand in the settings file, the environment or the flags, before anybody knows what they should be.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use toml::de::DeValue;

use super::fault::{Origin, cut};
use super::key::Description;
use super::secret::{HIDDEN, SecretText};
use super::shape::Shape;
use super::table::Table;

/// A value before anybody knows what it should be.
#[derive(Clone, Debug)]
pub(super) enum Raw {
    /// From the environment or a flag: text that may stand for anything.
    Plain(String),
    Text(String),
    Bool(bool),
    Whole(i64),
    List(Vec<String>),
    /// A table of texts, in its order.
    Pairs(Vec<(String, String)>),
    /// The text of a key that holds a secret, wherever it stands.
    Secret(SecretText),
    /// Something that no setting is, in words.
    Other(&'static str),
}

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) raw: Raw,
    pub(super) origin: Origin,
}

/// What was found, by section. Only known sections and keys are in it.
#[derive(Default, Debug)]
pub(super) struct Values {
    /// By `tokens` or `foreign.django`.
    sections: BTreeMap<String, Content>,
}

/// What was found in a section.
#[derive(Debug)]
pub(super) struct Content {
    /// Where the section is first named.
    pub(super) origin: Origin,
    keys: BTreeMap<String, Found>,
}

impl Raw {
    /// A value of TOML.
    pub(super) fn of(value: &DeValue<'_>) -> Self {
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

    /// A value as TOML writes it. What isn't TOML is something that no setting is.
    pub(super) fn parse(toml: &str) -> Self {
        DeValue::parse(toml).map_or(Self::Other("no TOML"), |value| Self::of(value.get_ref()))
    }

    /// The text, where it is one and no secret.
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Plain(text) | Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The same, with nothing of it shown.
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

impl Found {
    /// The file that a text names: relative to the settings file where it stands in that, else to the working directory.
    pub(super) fn path(&self, text: &str) -> PathBuf {
        let path = match &self.origin {
            Origin::File { path, .. } => {
                path.parent().map_or_else(|| PathBuf::from(text), |folder| folder.join(text))
            }
            Origin::Environment(_) | Origin::Flag(_) | Origin::Default => PathBuf::from(text),
        };
        // Absolute, so that it names the same file wherever it is shown or used; without a working directory as it is.
        std::path::absolute(&path).unwrap_or(path)
    }
}

impl Values {
    /// Names a section, which may stay empty.
    pub(super) fn open(&mut self, section: &str, origin: &Origin) -> &mut Content {
        self.sections
            .entry(section.to_owned())
            .or_insert_with(|| Content { origin: origin.clone(), keys: BTreeMap::new() })
    }

    /// Lays a value over what was there. That of a secret is hidden from here on.
    pub(super) fn lay(&mut self, section: &str, key: &Description, found: Found) {
        let raw = match key.shape {
            Shape::Secret => found.raw.hidden(),
            _ => found.raw,
        };
        self.open(section, &found.origin).keys.insert(key.name.clone(), Found { raw, origin: found.origin });
    }

    /// What was found in a section.
    pub(super) fn section(&self, section: &str) -> Option<&Content> {
        self.sections.get(section)
    }

    /// The names of a table's named sections.
    pub(super) fn names(&self, table: &Table) -> impl Iterator<Item = &str> {
        self.sections.keys().filter_map(|section| {
            section.split_once('.').filter(|(first, _)| *first == table.name).map(|(_, name)| name)
        })
    }
}

impl Content {
    /// What was found for a key.
    pub(super) fn found(&self, key: &str) -> Option<&Found> {
        self.keys.get(key)
    }
}

impl fmt::Display for Raw {
    /// As a settings file would write it; cut where it is long.
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
