//! The keys of this store and of other issuers, as an operator sees them. They hold no secret.

use quash_core::model::{KeySource, KeyState, Kid, Timestamp};
use quash_core::token::Algorithm;

/// The keys that tokens are signed and verified with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeysSeen {
    /// Those of this store, oldest first.
    pub own: Vec<KeySeen>,
    /// Other issuers, in the order of their names.
    pub issuers: Vec<IssuerSeen>,
}

/// A key of this store.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeySeen {
    /// Its id.
    pub kid: Kid,
    /// What it signs with.
    pub algorithm: Algorithm,
    /// Where it stands in its life.
    pub state: KeyState,
    /// Where it comes from.
    pub source: KeySource,
    /// Since when the store has it.
    pub created_at: Timestamp,
}

/// Another issuer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct IssuerSeen {
    /// What the settings call it.
    pub name: String,
    /// Where its keys come from.
    pub origin: KeysFrom,
    /// Those that are known.
    pub keys: Vec<IssuerKeySeen>,
}

/// A key of another issuer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct IssuerKeySeen {
    /// What tokens call it; `None`: it is for tokens that name no key.
    pub kid: Option<Kid>,
    /// What it signs with.
    pub algorithm: Algorithm,
}

/// Where the keys of an issuer come from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum KeysFrom {
    /// From the settings.
    Settings,
    /// From an address.
    Address {
        /// The address.
        address: String,
        /// When it was last asked.
        asked_at: Option<Timestamp>,
        /// When it last answered with a set of keys. What it said then holds.
        answered_at: Option<Timestamp>,
    },
}
