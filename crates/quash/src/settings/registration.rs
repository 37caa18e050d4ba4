//! `[registration]`: whether anybody may register.

use quash_server::Registration;

use super::fault::Told;
use super::key::{DefaultsTo, Key};
use super::kind::Switch;
use super::section::Section;
use super::table::{Naming, Table};

pub(super) const TABLE: Table = Table { name: "registration", doc: "whether anybody may register", naming: Naming::One, keys: &[&ENABLED] };

const ENABLED: Key<Switch> = Key {
    name: "enabled",
    kind: Switch,
    unset: DefaultsTo("false"),
    doc: "Opens `POST /v1/registration`: anybody with an address may have an account. Its address must be confirmed with a mail \
          before it signs in.",
};

pub(super) fn read(mut section: Section<'_>) -> Result<Registration, Told> {
    Ok(if section.read(&ENABLED)? { Registration::Open } else { Registration::Closed })
}
