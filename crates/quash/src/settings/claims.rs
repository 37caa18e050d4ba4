//! `[claims]`: what happens when an account's custom claims change.

use quash_core::model::ClaimsChange;

use super::fault::Told;
use super::key::{DefaultsTo, Key};
use super::kind::Words;
use super::section::Section;
use super::table::{Naming, Table};

pub(super) const TABLE: Table = Table {
    name: "claims",
    doc: "what happens when custom claims change",
    naming: Naming::One,
    keys: &[&ON_CHANGE],
};

const ON_CHANGE: Key<Words<ClaimsChange>> = Key {
    name: "on_change",
    kind: Words(&[("renew", ClaimsChange::Renew), ("wait", ClaimsChange::Wait)]),
    unset: DefaultsTo("\"renew\""),
    doc: "`renew` ends the access tokens from before, and the client's next refresh brings new ones: a role that is taken away is gone \
          at once. With `wait` they hold until they expire. Sessions go on in any case.",
};

pub(super) fn read(mut section: Section<'_>) -> Result<ClaimsChange, Told> {
    section.read(&ON_CHANGE)
}
