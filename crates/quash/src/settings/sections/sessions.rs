//! `[sessions]`: the lifetime and number of sessions.

use std::time::Duration;

use quash_core::model::SessionPolicy;

use crate::settings::engine::fault::Reported;
use crate::settings::engine::key::{DefaultsTo, Key};
use crate::settings::engine::kind::{Or, Whole};
use crate::settings::engine::section::Section;
use crate::settings::engine::span::{LONGEST, Span, Zero};
use crate::settings::engine::table::{Naming, Table};

pub(super) const TABLE: Table = Table {
    name: "sessions",
    doc: "lifetime and number of sessions",
    naming: Naming::One,
    keys: &[&ABSOLUTE_LIFETIME, &MAX_PER_ACCOUNT],
};

const ABSOLUTE_LIFETIME: Key<Or<Span>> = Key {
    name: "absolute_lifetime",
    kind: Or("none", Span { least: Duration::from_secs(1), most: LONGEST, zero: Zero::Refused }),
    unset: DefaultsTo("\"90d\""),
    doc: "The longest lifetime of a session, however often it is refreshed. Simple JWT has no such limit: a \
          stolen session can live indefinitely.",
};
const MAX_PER_ACCOUNT: Key<Whole> = Key {
    name: "max_per_account",
    kind: Whole { least: 1, most: 1000 },
    unset: DefaultsTo("1000"),
    doc: "The most live sessions of one account; one more ends the session that has been idle longest. A \
          limit on resources, not a policy.",
};

pub(super) fn read(mut section: Section<'_>) -> Result<SessionPolicy, Reported> {
    let (absolute_lifetime, max_per_account) =
        (section.read(&ABSOLUTE_LIFETIME), section.read(&MAX_PER_ACCOUNT));
    Ok(SessionPolicy { absolute_lifetime: absolute_lifetime?, max_per_account: max_per_account? })
}
