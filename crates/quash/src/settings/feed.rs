//! `[feed]`: how verifiers elsewhere follow what has ended.

use std::time::Duration;

use quash_core::model::FollowPolicy;

use super::fault::Told;
use super::key::{DefaultsTo, Key};
use super::section::Section;
use super::span::{Span, Zero};
use super::table::{Naming, Table};

pub(super) const TABLE: Table = Table {
    name: "feed",
    doc: "how verifiers elsewhere follow what has ended",
    naming: Naming::One,
    keys: &[&TERM],
};

/// A request that waits for all verifiers must be answered before it is given up.
const MOST: Duration = Duration::from_secs(20);

const TERM: Key<Span> = Key {
    name: "term",
    kind: Span { least: Duration::from_secs(1), most: MOST, zero: Zero::Refused },
    unset: DefaultsTo("\"10s\""),
    doc: "How long a verifier's lease holds. What has ended is refused everywhere within milliseconds; after this, also by a verifier \
          that hears nothing of it. A shorter one costs each verifier more requests, and is missed by one that is cut off for a moment.",
};

pub(super) fn read(mut section: Section<'_>) -> Result<FollowPolicy, Told> {
    section.read(&TERM).map(|term| FollowPolicy { term })
}
