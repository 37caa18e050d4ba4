//! Kinds of keys: their valid values, and how they are read. Spans are in `span.rs`; secrets and public keys
//! are read in `section.rs`, since they may be in a file.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use quash_core::model::{ForeignTokens, Timestamp};

use super::fault::ValueFault;
use super::shape::{Describe, Shape, either};
use super::span::{self, Span};
use super::value::{Raw, SetValue};

/// A kind of key that is read from one value.
pub(crate) trait Kind: Describe {
    type Value;
    /// Converts the found text to a value.
    ///
    /// # Errors
    /// It has another type, or is out of bounds.
    fn read(&self, found: &SetValue) -> Result<Self::Value, ValueFault>;
}

/// A text that isn't empty.
#[derive(Clone, Copy)]
pub(crate) struct Text;

/// A text or a list of texts, without empty ones and duplicates; separated by commas in variables and flags.
#[derive(Clone, Copy)]
pub(crate) struct List;

/// A table of texts under given names, none of them empty; `name=text`, separated by commas, in variables and
/// flags.
#[derive(Clone, Copy)]
pub(crate) struct Pairs(pub(crate) &'static [&'static str]);

/// `true` or `false`.
#[derive(Clone, Copy)]
pub(crate) struct Switch;

/// A whole number between bounds, both included.
#[derive(Clone, Copy)]
pub(crate) struct Whole {
    pub(crate) least: u32,
    pub(crate) most: u32,
}

/// One of several words, each with its meaning.
#[derive(Clone, Copy)]
pub(crate) struct Words<T: 'static>(pub(crate) &'static [(&'static str, T)]);

/// An IP address and a port, or `unix:` and an absolute path.
#[derive(Clone, Copy)]
pub(crate) struct Address;

/// The address to listen on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Listen {
    Tcp(SocketAddr),
    /// The path of a unix socket.
    Unix(PathBuf),
}

/// The path of a file: relative to the settings file if it is set there, otherwise to the working directory.
#[derive(Clone, Copy)]
pub(crate) struct File;

/// A secret text. It can't be given with a flag, is never shown, and may be in a file: the key with `_file`
/// after its name.
#[derive(Clone, Copy)]
pub(crate) struct Secret;

/// A public key, in PEM or as a JWK. It may be in a file: the key with `_file` after its name.
#[derive(Clone, Copy)]
pub(crate) struct Public;

/// `accept`, `reject`, or `until` a date, which is the first day (in UTC) of rejection.
#[derive(Clone, Copy)]
pub(crate) struct Acceptance;

/// A word for "no value", or a value of another kind.
#[derive(Clone, Copy)]
pub(crate) struct Or<K>(pub(crate) &'static str, pub(crate) K);

impl Describe for Text {
    fn shape(&self) -> Shape {
        Shape::Text
    }
}

impl Kind for Text {
    type Value = String;

    fn read(&self, found: &SetValue) -> Result<String, ValueFault> {
        match found.raw.text() {
            Some("") => Err(ValueFault::new("is empty", "write a text, or leave the key out")),
            Some(text) => Ok(text.to_owned()),
            None => Err(no_text()),
        }
    }
}

impl Describe for List {
    fn shape(&self) -> Shape {
        Shape::List
    }
}

impl Kind for List {
    type Value = Vec<String>;

    fn read(&self, found: &SetValue) -> Result<Vec<String>, ValueFault> {
        let texts = match &found.raw {
            Raw::Plain(text) => text.split(',').map(str::to_owned).collect(),
            Raw::Text(text) => vec![text.clone()],
            Raw::List(texts) => texts.clone(),
            _ => {
                return Err(ValueFault::new(
                    "is neither a text nor a list of texts",
                    "write it like [\"one\", \"two\"]",
                ));
            }
        };
        if texts.is_empty() || texts.iter().any(String::is_empty) {
            return Err(ValueFault::new(
                "is empty or has an empty member",
                "write a text in each place, or leave the key out",
            ));
        }
        let mut sorted: Vec<&String> = texts.iter().collect();
        sorted.sort();
        match sorted.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(twice) => {
                Err(ValueFault::new(format!("has \"{}\" twice", twice[0]), "write each text once"))
            }
            None => Ok(texts),
        }
    }
}

impl Describe for Pairs {
    fn shape(&self) -> Shape {
        Shape::Pairs(self.0)
    }
}

impl Kind for Pairs {
    type Value = Vec<(String, String)>;

    fn read(&self, found: &SetValue) -> Result<Self::Value, ValueFault> {
        let remedy = || format!("write it like {{ {} = \"…\" }}", self.0.first().unwrap_or(&"name"));
        let pair = |text: &str| text.split_once('=').map(|(name, text)| (name.to_owned(), text.to_owned()));
        let pairs = match &found.raw {
            Raw::Plain(text) => text.split(',').map(pair).collect(),
            Raw::Pairs(pairs) => Some(pairs.clone()),
            _ => None,
        };
        let pairs: Vec<(String, String)> =
            pairs.ok_or_else(|| ValueFault::new("isn't a table of texts", remedy()))?;
        if pairs.is_empty() || pairs.iter().any(|(name, text)| name.is_empty() || text.is_empty()) {
            return Err(ValueFault::new("is empty or has an empty member", remedy()));
        }
        match pairs
            .iter()
            .enumerate()
            .find(|(at, (name, _))| pairs[..*at].iter().any(|(before, _)| before == name))
        {
            Some((_, (name, _))) => {
                Err(ValueFault::new(format!("has \"{name}\" twice"), "write each name once"))
            }
            None => Ok(pairs),
        }
    }
}

impl Describe for Switch {
    fn shape(&self) -> Shape {
        Shape::Switch
    }
}

impl Kind for Switch {
    type Value = bool;

    fn read(&self, found: &SetValue) -> Result<bool, ValueFault> {
        match &found.raw {
            Raw::Bool(value) => Ok(*value),
            Raw::Plain(text) if text == "true" || text == "false" => Ok(text == "true"),
            _ => Err(ValueFault::new(
                "is neither true nor false",
                "write true or false, in lower case and without quotation marks",
            )),
        }
    }
}

impl Describe for Whole {
    fn shape(&self) -> Shape {
        Shape::Whole { least: self.least, most: self.most }
    }
}

impl Kind for Whole {
    type Value = u32;

    fn read(&self, found: &SetValue) -> Result<u32, ValueFault> {
        let number = match &found.raw {
            Raw::Whole(number) => Some(*number),
            Raw::Plain(text) if text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse().ok(),
            _ => None,
        };
        let fitting = number
            .and_then(|number| u32::try_from(number).ok())
            .filter(|number| (self.least..=self.most).contains(number));
        let remedy = || format!("write a whole number from {} to {}", self.least, self.most);
        fitting.ok_or_else(|| ValueFault::new("isn't a whole number within the bounds", remedy()))
    }
}

impl Describe for Span {
    fn shape(&self) -> Shape {
        Shape::Span(*self)
    }
}

impl Kind for Span {
    type Value = Duration;

    fn read(&self, found: &SetValue) -> Result<Duration, ValueFault> {
        match (&found.raw, found.raw.text()) {
            (_, Some(text)) => span::parse(text, *self).map_err(|fault| ValueFault::new(fault, span::REMEDY)),
            (Raw::Whole(_), None) => Err(ValueFault::new("has no unit", span::REMEDY)),
            (_, None) => Err(ValueFault::new("isn't a span of time", span::REMEDY)),
        }
    }
}

impl<T: Copy> Describe for Words<T> {
    fn shape(&self) -> Shape {
        Shape::Words(self.0.iter().map(|(word, _)| *word).collect())
    }
}

impl<T: Copy> Kind for Words<T> {
    type Value = T;

    fn read(&self, found: &SetValue) -> Result<T, ValueFault> {
        let text = found.raw.text().ok_or_else(no_text)?;
        let meant = self.0.iter().find(|(word, _)| *word == text).map(|(_, meaning)| *meaning);
        let words = || self.0.iter().map(|(word, _)| *word).collect::<Vec<_>>();
        meant.ok_or_else(|| ValueFault::new("isn't a known word", format!("write {}", either(&words()))))
    }
}

impl Describe for Address {
    fn shape(&self) -> Shape {
        Shape::Address
    }
}

impl Kind for Address {
    type Value = Listen;

    fn read(&self, found: &SetValue) -> Result<Listen, ValueFault> {
        let remedy = "write it like \"127.0.0.1:7827\", \"[::1]:8000\" or \"unix:/run/quash.sock\"";
        let text = Text.read(found)?;
        match text.strip_prefix("unix:") {
            Some(path) if path.starts_with('/') => Ok(Listen::Unix(PathBuf::from(path))),
            Some(_) => Err(ValueFault::new("isn't an absolute path", remedy)),
            None => text
                .parse()
                .map(Listen::Tcp)
                .map_err(|_| ValueFault::new("isn't an IP address and a port", remedy)),
        }
    }
}

impl Describe for File {
    fn shape(&self) -> Shape {
        Shape::File
    }
}

impl Kind for File {
    type Value = PathBuf;

    fn read(&self, found: &SetValue) -> Result<PathBuf, ValueFault> {
        Text.read(found).map(|text| found.path(&text))
    }
}

impl Describe for Secret {
    fn shape(&self) -> Shape {
        Shape::Secret
    }
}

impl Describe for Public {
    fn shape(&self) -> Shape {
        Shape::Public
    }
}

impl Describe for Acceptance {
    fn shape(&self) -> Shape {
        Shape::Acceptance
    }
}

impl Kind for Acceptance {
    type Value = ForeignTokens;

    fn read(&self, found: &SetValue) -> Result<ForeignTokens, ValueFault> {
        let date = |text: &str| {
            let date: jiff::civil::Date = text.strip_prefix("until ")?.parse().ok()?;
            let midnight =
                jiff::tz::TimeZone::UTC.to_timestamp(date.to_datetime(jiff::civil::Time::midnight())).ok()?;
            (date.to_string() == text["until ".len()..]).then(|| Timestamp::from_secs(midnight.as_second()))
        };
        match Text.read(found)?.as_str() {
            "accept" => Ok(ForeignTokens::Accept),
            "reject" => Ok(ForeignTokens::Reject),
            text => date(text).map(ForeignTokens::Until).ok_or_else(|| {
                ValueFault::new(
                    "isn't a known word",
                    "write \"reject\", \"accept\", or \"until 2027-01-31\" with a date",
                )
            }),
        }
    }
}

impl<K: Describe> Describe for Or<K> {
    fn shape(&self) -> Shape {
        Shape::Or(self.0, Box::new(self.1.shape()))
    }
}

impl<K: Kind> Kind for Or<K> {
    type Value = Option<K::Value>;

    fn read(&self, found: &SetValue) -> Result<Self::Value, ValueFault> {
        if found.raw.text() == Some(self.0) {
            return Ok(None);
        }
        let remedy = |remedy: String| format!("{remedy}, or \"{}\"", self.0);
        self.1.read(found).map(Some).map_err(|wrong| ValueFault { remedy: remedy(wrong.remedy), ..wrong })
    }
}

fn no_text() -> ValueFault {
    ValueFault::new("isn't a text", "put it in quotation marks")
}
