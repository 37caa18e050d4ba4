//! `[log]`: the log on stderr.

use tracing::level_filters::LevelFilter;

use crate::settings::engine::fault::Reported;
use crate::settings::engine::key::{DefaultsTo, Key};
use crate::settings::engine::kind::Words;
use crate::settings::engine::section::Section;
use crate::settings::engine::table::{Naming, Table};

pub(super) const TABLE: Table =
    Table { name: "log", doc: "the log on stderr", naming: Naming::One, keys: &[&LEVEL, &FORMAT] };

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
    doc: "The lowest level that is logged. Commands other than `serve` log at most warnings.",
};
const FORMAT: Key<Words<LogFormat>> = Key {
    name: "format",
    kind: Words(&[("text", LogFormat::Text), ("json", LogFormat::Json)]),
    unset: DefaultsTo("\"text\""),
    doc: "The format: for people, or one JSON object a line.",
};

/// The settings of the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct LogSettings {
    /// The lowest level that is logged.
    pub(crate) level: LevelFilter,
    pub(crate) format: LogFormat,
}

/// The format of the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

pub(super) fn read(mut section: Section<'_>) -> Result<LogSettings, Reported> {
    let (level, format) = (section.read(&LEVEL), section.read(&FORMAT));
    Ok(LogSettings { level: level?, format: format? })
}
