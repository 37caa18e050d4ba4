//! `[claims]`: the effect of changing an account's custom claims.

use quash_core::model::ClaimsChange;

use crate::settings::engine::fault::Reported;
use crate::settings::engine::key::{DefaultsTo, Key};
use crate::settings::engine::kind::Words;
use crate::settings::engine::section::Section;
use crate::settings::engine::table::{Naming, Table};

pub(super) const TABLE: Table = Table {
    name: "claims",
    doc: "the effect of changing custom claims",
    naming: Naming::One,
    keys: &[&ON_CHANGE],
};

const ON_CHANGE: Key<Words<ClaimsChange>> = Key {
    name: "on_change",
    kind: Words(&[("renew", ClaimsChange::Renew), ("wait", ClaimsChange::Wait)]),
    unset: DefaultsTo("\"renew\""),
    doc: "`renew` ends the existing access tokens, and the client's next refresh returns new ones: a removed \
          role takes effect at once. With `wait`, existing tokens stay valid until they expire. Sessions \
          continue in both cases.",
};

pub(super) fn read(mut section: Section<'_>) -> Result<ClaimsChange, Reported> {
    section.read(&ON_CHANGE)
}
