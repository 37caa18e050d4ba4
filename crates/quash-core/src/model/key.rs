//! Keys as the store keeps them: public halves in clear, secrets sealed under the master key.

use std::fmt;

use super::{Kid, Timestamp};
use crate::token::Algorithm;

/// A signing key as the store keeps it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeyRecord {
    /// Its id.
    pub kid: Kid,
    /// What it signs with; one key, one algorithm.
    pub algorithm: Algorithm,
    /// Where it stands in its life.
    pub state: KeyState,
    /// Its secret; of a pair that was struck, the public half alone.
    pub secret: Sealed,
    /// When it was made.
    pub created_at: Timestamp,
    /// Where it comes from.
    pub source: KeySource,
}

/// Where a key comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KeySource {
    /// quash has made it.
    Made,
    /// The settings name it.
    Settings,
}

/// Where a key stands in its life.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KeyState {
    /// Published, so that verifiers know it before it signs. It has signed nothing.
    Next {
        /// Since when.
        since: Timestamp,
    },
    /// Signs new tokens.
    Current,
    /// Verifies until the last token that it signed has expired.
    Retiring {
        /// When that is.
        until: Timestamp,
    },
    /// Removed in an emergency: what it has signed is revoked, but for refresh tokens with the right id. It is never taken
    /// back, and its row stays, so that it is known again wherever it turns up.
    Struck {
        /// When.
        at: Timestamp,
    },
}

impl KeyState {
    /// Whether the key was removed in an emergency.
    pub const fn is_struck(self) -> bool {
        matches!(self, Self::Struck { .. })
    }
}

impl KeySource {
    /// Its name, in the store and in tables.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Made => "made",
            Self::Settings => "settings",
        }
    }

    /// The source of a name.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Made, Self::Settings].into_iter().find(|source| source.as_str() == text)
    }
}

/// A secret, encrypted. What seals and opens it is in the service.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed(pub Vec<u8>);

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealed(..)")
    }
}
