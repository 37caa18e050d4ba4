//! Values as they stand in the settings file, the environment or the flags, and how each section reads its own.

use std::collections::BTreeMap;
use std::time::Duration;

use super::fault::{Fault, Origin};
use super::span::{self, Bounds};

/// A value before anybody knows what it should be.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Raw {
    /// From the environment or a flag: text that may stand for anything.
    Plain(String),
    Text(String),
    Bool(bool),
    Whole(i64),
    List(Vec<String>),
    /// Something that no setting is, in words.
    Other(&'static str),
}

/// A value and where it stands.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Found {
    pub(super) raw: Raw,
    pub(super) origin: Origin,
}

/// What was found, by section and key. Only known ones are in it.
pub(super) type Values = BTreeMap<(&'static str, &'static str), Found>;

/// One section, being read.
#[derive(Clone, Copy)]
pub(super) struct Section<'a> {
    pub(super) name: &'static str,
    pub(super) values: &'a Values,
}

impl Section<'_> {
    /// A text; never empty.
    pub(super) fn text(&self, key: &'static str) -> Result<Option<String>, Fault> {
        let Some(found) = self.found(key) else { return Ok(None) };
        match &found.raw {
            Raw::Plain(text) | Raw::Text(text) if text.is_empty() => Err(self.fault(key, "is empty", "write a text, or leave the key out")),
            Raw::Plain(text) | Raw::Text(text) => Ok(Some(text.clone())),
            _ => Err(self.fault(key, "isn't a text", "put it in quotation marks")),
        }
    }

    /// A text or a list of texts, none of them empty; separated by commas where it is plain.
    pub(super) fn texts(&self, key: &'static str) -> Result<Option<Vec<String>>, Fault> {
        let Some(found) = self.found(key) else { return Ok(None) };
        let texts = match &found.raw {
            Raw::Plain(text) => text.split(',').map(str::to_owned).collect(),
            Raw::Text(text) => vec![text.clone()],
            Raw::List(texts) => texts.clone(),
            _ => return Err(self.fault(key, "is neither a text nor a list of texts", "write it like [\"one\", \"two\"]")),
        };
        if texts.is_empty() || texts.iter().any(String::is_empty) {
            return Err(self.fault(key, "is empty or has an empty member", "write a text in each place, or leave the key out"));
        }
        if let Some(twice) = texts.iter().enumerate().find(|(index, text)| texts[..*index].contains(text)).map(|(_, text)| text) {
            return Err(self.fault(key, format!("has \"{twice}\" twice"), "write each text once"));
        }
        Ok(Some(texts))
    }

    /// `true` or `false`.
    pub(super) fn switch(&self, key: &'static str) -> Result<Option<bool>, Fault> {
        match self.found(key).map(|found| &found.raw) {
            None => Ok(None),
            Some(Raw::Bool(value)) => Ok(Some(*value)),
            Some(Raw::Plain(text)) if text == "true" || text == "false" => Ok(Some(text == "true")),
            Some(_) => Err(self.fault(key, "is neither true nor false", "write true or false, in lower case and without quotation marks")),
        }
    }

    /// A whole number between bounds.
    pub(super) fn whole(&self, key: &'static str, least: u32, most: u32) -> Result<Option<u32>, Fault> {
        let Some(found) = self.found(key) else { return Ok(None) };
        let number = match &found.raw {
            Raw::Whole(number) => Some(*number),
            Raw::Plain(text) if text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse().ok(),
            _ => None,
        };
        let fitting = number.and_then(|number| u32::try_from(number).ok()).filter(|number| (least..=most).contains(number));
        let remedy = format!("write a whole number from {least} to {most}");
        fitting.map(Some).ok_or_else(|| self.fault(key, "isn't a whole number in its bounds", remedy))
    }

    /// A span of time between bounds.
    pub(super) fn span(&self, key: &'static str, bounds: Bounds) -> Result<Option<Duration>, Fault> {
        let Some(found) = self.found(key) else { return Ok(None) };
        let fault = match &found.raw {
            Raw::Plain(text) | Raw::Text(text) => match span::parse(text, bounds) {
                Ok(span) => return Ok(Some(span)),
                Err(fault) => fault,
            },
            Raw::Whole(_) => "has no unit".into(),
            _ => "isn't a span of time".into(),
        };
        Err(self.fault(key, fault, span::REMEDY))
    }

    /// One of a few words.
    pub(super) fn one_of<T: Copy>(&self, key: &'static str, choices: &[(&str, T)]) -> Result<Option<T>, Fault> {
        let Some(found) = self.found(key) else { return Ok(None) };
        let (Raw::Plain(text) | Raw::Text(text)) = &found.raw else {
            return Err(self.fault(key, "isn't a text", "put it in quotation marks"));
        };
        if let Some((_, choice)) = choices.iter().find(|(word, _)| word == text) {
            return Ok(Some(*choice));
        }
        let words: Vec<String> = choices.iter().map(|(word, _)| format!("\"{word}\"")).collect();
        Err(self.fault(key, "isn't one that is known", format!("write {}", words.join(" or "))))
    }

    /// What is wrong with a key that is set, or with its default.
    pub(super) fn fault(&self, key: &'static str, fault: impl Into<String>, remedy: impl Into<String>) -> Fault {
        let found = self.found(key);
        let value = found.map(|found| format!(" = {}", found.raw)).unwrap_or_default();
        Fault {
            subject: format!("{}.{key}{value}", self.name),
            origin: found.map_or(Origin::Default, |found| found.origin.clone()),
            fault: fault.into(),
            remedy: remedy.into(),
        }
    }

    fn found(&self, key: &'static str) -> Option<&Found> {
        self.values.get(&(self.name, key))
    }
}

impl std::fmt::Display for Raw {
    /// As a settings file would write it; cut where it is long.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        const SHOWN: usize = 80;
        let text = match self {
            Self::Plain(text) | Self::Text(text) => format!("\"{text}\""),
            Self::Bool(value) => value.to_string(),
            Self::Whole(number) => number.to_string(),
            Self::List(texts) => format!("{texts:?}"),
            Self::Other(words) => (*words).to_owned(),
        };
        if text.chars().count() <= SHOWN {
            return f.write_str(&text);
        }
        write!(f, "{}…", text.chars().take(SHOWN).collect::<String>())
    }
}
