//! `[lockout]`: limits on guessing passwords.

use std::time::Duration;

use quash_core::model::{LockEnds, LockoutPolicy};

use crate::settings::engine::fault::Reported;
use crate::settings::engine::key::{DefaultsTo, Key};
use crate::settings::engine::kind::{Whole, Words};
use crate::settings::engine::section::Section;
use crate::settings::engine::span::{Span, Zero};
use crate::settings::engine::table::{Naming, Table};

pub(super) const TABLE: Table = Table {
    name: "lockout",
    doc: "limits on guessing passwords",
    naming: Naming::One,
    keys: &[&FAILURES, &FIRST_LOCK, &LONGEST_LOCK, &END_SESSIONS, &NETWORK_FAILURES, &NETWORK_WINDOW],
};

/// The longest lock that can be set: a lock also keeps the account's owner out.
const MOST: Duration = Duration::from_secs(24 * 3600);

const FAILURES: Key<Whole> = Key {
    name: "failures",
    kind: Whole { least: 3, most: 100 },
    unset: DefaultsTo("5"),
    doc: "Failed attempts after which an account is locked. A low number locks out users who mistype; NIST \
          SP 800-63B allows 100 at most.",
};
const FIRST_LOCK: Key<Span> = Key {
    name: "first_lock",
    kind: Span { least: Duration::from_secs(1), most: MOST, zero: Zero::Refused },
    unset: DefaultsTo("\"1m\""),
    doc: "The duration of the first lock. Each further lock is twice as long, until a successful sign-in.",
};
const LONGEST_LOCK: Key<Span> = Key {
    name: "longest_lock",
    kind: Span { least: Duration::from_secs(1), most: MOST, zero: Zero::Refused },
    unset: DefaultsTo("\"1h\""),
    doc: "The longest duration of a lock, and the time for which failures below the limit are counted. At \
          least `first_lock`.",
};
const END_SESSIONS: Key<Words<LockEnds>> = Key {
    name: "end_sessions",
    kind: Words(&[("all", LockEnds::All), ("unbound", LockEnds::Unbound), ("none", LockEnds::None)]),
    unset: DefaultsTo("\"unbound\""),
    doc: "The sessions of an account that end when it is locked: all; those whose client has presented no \
          device token, neither at the sign-in nor at a refresh; or none.",
};

const NETWORK_FAILURES: Key<Whole> = Key {
    name: "network_failures",
    kind: Whole { least: 5, most: 1000 },
    unset: DefaultsTo("50"),
    doc: "Failed attempts of one network, on any accounts, after which it gets 429 for a while: an IPv4 \
          address, or the /64 of an IPv6 address. A /56 may fail twice as often, a /48 four times.",
};
const NETWORK_WINDOW: Key<Span> = Key {
    name: "network_window",
    kind: Span { least: Duration::from_secs(1), most: MOST, zero: Zero::Refused },
    unset: DefaultsTo("\"10m\""),
    doc: "The time for which each of these failures counts.",
};

/// The section's values.
pub(super) struct Lockout {
    pub(super) policy: LockoutPolicy,
    pub(super) ends: LockEnds,
}

pub(super) fn read(mut section: Section<'_>) -> Result<Lockout, Reported> {
    let (failures, ends) = (section.read(&FAILURES), section.read(&END_SESSIONS));
    let (network_failures, network_window) = (section.read(&NETWORK_FAILURES), section.read(&NETWORK_WINDOW));
    let (first_lock, longest_lock) = (section.read(&FIRST_LOCK), section.read(&LONGEST_LOCK));
    let (first_lock, longest_lock) = (first_lock?, longest_lock?);
    if longest_lock < first_lock {
        return Err(section.fault(
            &LONGEST_LOCK,
            "is shorter than lockout.first_lock",
            "make it at least as long",
        ));
    }
    let (failures, network_failures, network_window) = (failures?, network_failures?, network_window?);
    Ok(Lockout {
        policy: LockoutPolicy { failures, first_lock, longest_lock, network_failures, network_window },
        ends: ends?,
    })
}
