//! `[rotation]`: what happens to a refresh token that comes twice.

use std::time::Duration;

use super::fault::Told;
use super::key::{DefaultsTo, Key};
use super::section::Section;
use super::span::{Span, Zero};
use super::table::{Naming, Table};

pub(super) const TABLE: Table = Table {
    name: "rotation",
    doc: "what happens to a refresh token that comes twice",
    naming: Naming::One,
    keys: &[&GRACE],
};

const GRACE: Key<Span> = Key {
    name: "grace",
    // Longer would give whoever stole a token time to use it.
    kind: Span { least: Duration::from_millis(1), most: Duration::from_secs(300), zero: Zero::Allowed },
    unset: DefaultsTo("\"30s\""),
    doc: "How long after a rotation its parent still gets the same successor. Long enough for a lost answer and a second tab. \
          `\"0s\"`: never; of parallel refreshes one wins, and the others end the session.",
};

pub(super) fn read(mut section: Section<'_>) -> Result<Duration, Told> {
    section.read(&GRACE)
}
