//! `[registration]`: registration by users, and the time to confirm an address.

use std::time::Duration;

use quash_core::model::{RegistrationPolicy, limits};
use quash_server::Registration;

use crate::settings::engine::fault::Reported;
use crate::settings::engine::key::{DefaultsTo, Key};
use crate::settings::engine::kind::Switch;
use crate::settings::engine::section::Section;
use crate::settings::engine::span::{Span, Zero};
use crate::settings::engine::table::{Naming, Table};

pub(super) const TABLE: Table = Table {
    name: "registration",
    doc: "registration by users",
    naming: Naming::One,
    keys: &[&ENABLED, &LINK_LIFETIME],
};

const ENABLED: Key<Switch> = Key {
    name: "enabled",
    kind: Switch,
    unset: DefaultsTo("false"),
    doc: "Enables `POST /v1/registration`: everyone with an e-mail address can get an account. The account \
          is added once its address is confirmed by mail.",
};
const LINK_LIFETIME: Key<Span> = Key {
    name: "link_lifetime",
    kind: Span {
        least: limits::CODE_LIFETIME,
        most: Duration::from_secs(7 * 24 * 3600),
        zero: Zero::Refused,
    },
    unset: DefaultsTo("\"1h\""),
    doc: "The lifetime of the link in that mail. A registration that isn't confirmed by then is discarded.",
};

/// The section's values.
pub(super) struct Read {
    pub(super) registration: Registration,
    pub(super) policy: RegistrationPolicy,
}

pub(super) fn read(mut section: Section<'_>) -> Result<Read, Reported> {
    let (enabled, link_lifetime) = (section.read(&ENABLED), section.read(&LINK_LIFETIME));
    let registration = if enabled? { Registration::Open } else { Registration::Closed };
    Ok(Read { registration, policy: RegistrationPolicy { link_lifetime: link_lifetime? } })
}
