//! `[rotation]`: what happens to a refresh token that comes twice.

use std::time::Duration;

use quash_core::model::RotationPolicy;

use super::fault::Fault;
use super::span::{Bounds, Zero};
use super::value::Section;

/// The keys of the section.
pub(super) const KEYS: &[&str] = &["grace"];

/// Long enough for a lost answer or a second tab; longer would give whoever stole a token time to use it.
const GRACE: Bounds = Bounds { least: Duration::from_millis(1), most: Duration::from_secs(300), zero: Zero::Allowed };

pub(super) fn read(section: Section<'_>) -> Result<Duration, Fault> {
    Ok(section.span("grace", GRACE)?.unwrap_or(RotationPolicy::default().grace))
}
