//! `[rotation]`: the reuse of refresh tokens.

use std::time::Duration;

use crate::settings::engine::fault::Reported;
use crate::settings::engine::key::{DefaultsTo, Key};
use crate::settings::engine::section::Section;
use crate::settings::engine::span::{Span, Zero};
use crate::settings::engine::table::{Naming, Table};

pub(super) const TABLE: Table =
    Table { name: "rotation", doc: "reuse of refresh tokens", naming: Naming::One, keys: &[&GRACE] };

const GRACE: Key<Span> = Key {
    name: "grace",
    // A longer grace would give a thief time to use a stolen token.
    kind: Span { least: Duration::from_millis(1), most: Duration::from_secs(300), zero: Zero::Allowed },
    unset: DefaultsTo("\"30s\""),
    doc: "The time after a rotation in which the spent refresh token still returns the same successor: long \
          enough for a lost response and a second tab. With `\"0s\"`, one of several parallel refreshes \
          succeeds, and the others end the session.",
};

pub(super) fn read(mut section: Section<'_>) -> Result<Duration, Reported> {
    section.read(&GRACE)
}
