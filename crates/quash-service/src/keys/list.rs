//! Looking at the keys: those of this store and those of other issuers. No secret is in what comes out.

use quash_core::model::{KeySource, KeyState, Kid, Timestamp};
use quash_core::token::Algorithm;

use crate::desk::Service;
use crate::failure::Failure;

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

impl Service {
    /// Looks at the keys. Addresses that were never asked are asked first, so that what a command sees doesn't hang on
    /// whether it was quicker than they.
    ///
    /// # Errors
    /// The store is away.
    pub async fn keys(&self) -> Result<KeysSeen, Failure> {
        let records = self.desk.store.keys().await?;
        let own = records.into_iter().map(|record| KeySeen {
            kid: record.kid,
            algorithm: record.algorithm,
            state: record.state,
            source: record.source,
            created_at: record.created_at,
        });
        Ok(KeysSeen { own: own.collect(), issuers: self.desk.issuers.seen().await })
    }
}
