//! `[sessions]`: how long sessions live and how many there may be.

use std::time::Duration;

use quash_core::model::SessionPolicy;

use super::fault::Fault;
use super::span::{Bounds, LONGEST, Zero};
use super::value::Section;

/// The keys of the section.
pub(super) const KEYS: &[&str] = &["absolute_lifetime", "max_per_account"];

const ABSOLUTE: Bounds = Bounds { least: Duration::from_secs(1), most: LONGEST, zero: Zero::Refused };

pub(super) fn read(section: Section<'_>) -> Result<SessionPolicy, Fault> {
    let default = SessionPolicy::default();
    let absolute_lifetime = match section.one_of("absolute_lifetime", &[("none", ())]) {
        Ok(Some(())) => None,
        Ok(None) => default.absolute_lifetime,
        Err(_) => section
            .span("absolute_lifetime", ABSOLUTE)
            .map_err(|fault| Fault { remedy: format!("{}, or \"none\"", fault.remedy), ..fault })?,
    };
    let most = default.max_per_account;
    Ok(SessionPolicy { absolute_lifetime, max_per_account: section.whole("max_per_account", 1, most)?.unwrap_or(most) })
}
