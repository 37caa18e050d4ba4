//! `[keys]`: the rotation of signing keys.

use std::time::Duration;

use crate::settings::engine::fault::Reported;
use crate::settings::engine::key::{DefaultsTo, Key};
use crate::settings::engine::kind::Or;
use crate::settings::engine::section::Section;
use crate::settings::engine::span::{LONGEST, Span, Zero};
use crate::settings::engine::table::{Naming, Table};

pub(super) const TABLE: Table =
    Table { name: "keys", doc: "rotation of signing keys", naming: Naming::One, keys: &[&ROTATE_EVERY] };

const ROTATE_EVERY: Key<Or<Span>> = Key {
    name: "rotate_every",
    // A shorter interval would end before the next key is published.
    kind: Or("off", Span { least: Duration::from_secs(3600), most: LONGEST, zero: Zero::Refused }),
    unset: DefaultsTo("\"90d\""),
    doc: "The age at which another key takes over from a key that quash created. The next key is published \
          ten minutes before; the old one keeps verifying until its last token has expired. A key from \
          `tokens.signing_key` is never rotated automatically.",
};

pub(super) fn read(mut section: Section<'_>) -> Result<Option<Duration>, Reported> {
    section.read(&ROTATE_EVERY)
}
