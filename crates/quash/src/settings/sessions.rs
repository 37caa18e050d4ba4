//! `[sessions]`: how long sessions live and how many there may be.

use std::time::Duration;

use quash_core::model::SessionPolicy;

use super::fault::Told;
use super::key::{DefaultsTo, Key};
use super::kind::{Or, Whole};
use super::section::Section;
use super::span::{LONGEST, Span, Zero};
use super::table::{Naming, Table};

pub(super) const TABLE: Table = Table {
    name: "sessions",
    doc: "how long sessions live and how many there may be",
    naming: Naming::One,
    keys: &[&ABSOLUTE_LIFETIME, &MAX_PER_ACCOUNT],
};

const ABSOLUTE_LIFETIME: Key<Or<Span>> = Key {
    name: "absolute_lifetime",
    kind: Or("none", Span { least: Duration::from_secs(1), most: LONGEST, zero: Zero::Refused }),
    unset: DefaultsTo("\"90d\""),
    doc: "The end of a session however often it is refreshed. Simple JWT has none: a stolen session then lives for ever.",
};
const MAX_PER_ACCOUNT: Key<Whole> = Key {
    name: "max_per_account",
    kind: Whole { least: 1, most: 1000 },
    unset: DefaultsTo("1000"),
    doc: "Live sessions of one account; one more ends the one idle longest. A bound, not a policy.",
};

pub(super) fn read(mut section: Section<'_>) -> Result<SessionPolicy, Told> {
    let (absolute_lifetime, max_per_account) =
        (section.read(&ABSOLUTE_LIFETIME), section.read(&MAX_PER_ACCOUNT));
    Ok(SessionPolicy { absolute_lifetime: absolute_lifetime?, max_per_account: max_per_account? })
}
