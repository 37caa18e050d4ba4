//! `[log]`: what quash tells about its work, on stderr.

use tracing::level_filters::LevelFilter;

use super::fault::Fault;
use super::value::Section;

/// The keys of the section.
pub(super) const KEYS: &[&str] = &["level", "format"];

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

pub(super) fn read(section: Section<'_>) -> Result<LogSettings, Fault> {
    let levels = [
        ("error", LevelFilter::ERROR),
        ("warn", LevelFilter::WARN),
        ("info", LevelFilter::INFO),
        ("debug", LevelFilter::DEBUG),
        ("trace", LevelFilter::TRACE),
    ];
    Ok(LogSettings {
        level: section.one_of("level", &levels)?.unwrap_or(LevelFilter::INFO),
        format: section.one_of("format", &[("text", LogFormat::Text), ("json", LogFormat::Json)])?.unwrap_or(LogFormat::Text),
    })
}
