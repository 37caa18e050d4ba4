//! `[log]`: what quash tells about its work, on stderr.

use tracing::level_filters::LevelFilter;

use super::fault::Told;
use super::key::{DefaultsTo, Key};
use super::kind::Words;
use super::section::Section;
use super::table::{Naming, Table};

pub(super) const TABLE: Table =
    Table { name: "log", doc: "what is told on stderr", naming: Naming::One, keys: &[&LEVEL, &FORMAT] };

const LEVEL: Key<Words<LevelFilter>> = Key {
    name: "level",
    kind: Words(&[
        ("error", LevelFilter::ERROR),
        ("warn", LevelFilter::WARN),
        ("info", LevelFilter::INFO),
        ("debug", LevelFilter::DEBUG),
        ("trace", LevelFilter::TRACE),
    ]),
    unset: DefaultsTo("\"info\""),
    doc: "The least important lines that are written. Commands other than `serve` write warnings at most.",
};
const FORMAT: Key<Words<LogFormat>> = Key {
    name: "format",
    kind: Words(&[("text", LogFormat::Text), ("json", LogFormat::Json)]),
    unset: DefaultsTo("\"text\""),
    doc: "For people, or one JSON object a line.",
};

/// What quash tells about its work.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct LogSettings {
    /// The least important lines that are written.
    pub(crate) level: LevelFilter,
    /// How they look.
    pub(crate) format: LogFormat,
}

/// How lines of the log look.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

pub(super) fn read(mut section: Section<'_>) -> Result<LogSettings, Told> {
    let (level, format) = (section.read(&LEVEL), section.read(&FORMAT));
    Ok(LogSettings { level: level?, format: format? })
}
