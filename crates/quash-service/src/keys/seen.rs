//! The keys of this store and of other issuers, as the use case `use_cases/keys/list.rs` returns them. No
//! secret is included.

use quash_core::model::{KeySource, KeyState, Kid, Timestamp};
use quash_core::token::Algorithm;

/// The keys that sign and verify tokens.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeyList {
    /// The keys of this store, oldest first.
    pub own: Vec<KeyInfo>,
    /// Other issuers, ordered by name.
    pub issuers: Vec<IssuerInfo>,
}

/// A key of this store.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeyInfo {
    pub kid: Kid,
    pub algorithm: Algorithm,
    pub state: KeyState,
    pub source: KeySource,
    /// The time at which the key was added to the store.
    pub created_at: Timestamp,
}

/// Another issuer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct IssuerInfo {
    /// The issuer's name in the settings.
    pub name: String,
    pub origin: IssuerKeySource,
    /// The known keys.
    pub keys: Vec<IssuerKeyInfo>,
}

/// A key of another issuer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct IssuerKeyInfo {
    /// The id that tokens name it by. `None` if it is for tokens without a kid.
    pub kid: Option<Kid>,
    pub algorithm: Algorithm,
}

/// The source of an issuer's keys.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum IssuerKeySource {
    Settings,
    Address {
        address: String,
        /// The time of the last fetch.
        asked_at: Option<Timestamp>,
        /// The time of the last fetch that returned a key set, which stays valid.
        answered_at: Option<Timestamp>,
    },
}
