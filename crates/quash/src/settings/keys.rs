//! `[keys]`: how old the keys become that quash makes.

use std::time::Duration;

use super::fault::Told;
use super::key::{DefaultsTo, Key};
use super::kind::Or;
use super::section::Section;
use super::span::{LONGEST, Span, Zero};
use super::table::{Naming, Table};

pub(super) const TABLE: Table = Table {
    name: "keys",
    doc: "how old the keys become that quash makes",
    naming: Naming::One,
    keys: &[&ROTATE_EVERY],
};

const ROTATE_EVERY: Key<Or<Span>> = Key {
    name: "rotate_every",
    // Less would be over before the next key was published.
    kind: Or("off", Span { least: Duration::from_secs(3600), most: LONGEST, zero: Zero::Refused }),
    unset: DefaultsTo("\"90d\""),
    doc: "How old a key that quash has made becomes before another one signs. The next one is published ten minutes before; the \
          old one goes on verifying until its last token has expired. A key that `tokens.signing_key` names never rotates by \
          itself.",
};

pub(super) fn read(mut section: Section<'_>) -> Result<Option<Duration>, Told> {
    section.read(&ROTATE_EVERY)
}
