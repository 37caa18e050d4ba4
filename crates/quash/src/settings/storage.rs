//! `[storage]`: where quash keeps what it must not forget.

use super::fault::Fault;
use super::value::Section;

/// The keys of the section.
pub(super) const KEYS: &[&str] = &["engine"];

/// Where quash keeps what it must not forget.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Engine {
    /// In a file of the data directory.
    Sqlite,
    /// In the process; nothing outlives it.
    Memory,
}

pub(super) fn read(section: Section<'_>) -> Result<Engine, Fault> {
    Ok(section.one_of("engine", &[("sqlite", Engine::Sqlite), ("memory", Engine::Memory)])?.unwrap_or(Engine::Sqlite))
}
