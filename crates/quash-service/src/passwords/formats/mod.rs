//! The formats of password hashes: our own, and Django's. A hash of any other format matches no password.
//!
//! Hashes are imported, so they aren't trusted. A text that deviates from the spelling of its format is
//! refused (Django compares texts, and would never find it equal), and so is a hash that costs more than a
//! sign-in may. Each format's file describes its encoding.

mod argon2;
mod bcrypt;
mod caps;
mod class;
mod fault;
mod pbkdf2;
mod scrypt;
mod text;

use quash_core::model::PasswordHash;

use self::argon2::{Argon2Hash, Written};
use self::bcrypt::{BcryptHash, Prepared};
use self::caps::HASH_BYTES;
use self::class::Cost;
use self::pbkdf2::{Digest, Pbkdf2Hash};
use self::scrypt::ScryptHash;
use super::arena::Arena;

pub(super) use self::argon2::Argon2Cost;
pub use self::class::CostClass;
pub use self::fault::{Cap, FormatFault, FormatName};

/// A parsed hash.
pub(super) enum Format {
    Argon2(Argon2Hash),
    Bcrypt(BcryptHash),
    Pbkdf2(Pbkdf2Hash),
    Scrypt(ScryptHash),
    /// No password is usable: Django writes `!` and random characters.
    Unusable,
}

impl Format {
    /// Parses a hash.
    ///
    /// # Errors
    /// The format is unknown, or the hash costs more than a limit in `caps.rs`.
    pub(super) fn parse(hash: &PasswordHash) -> Result<Self, FormatFault> {
        let text = hash.as_str();
        if text.len() > HASH_BYTES {
            return Err(FormatFault::TooLong);
        }
        if hash.is_broken_mark() {
            return Err(FormatFault::BrokenMark);
        }
        if text.starts_with('!') {
            return Ok(Self::Unusable);
        }
        let (name, rest) = text.split_once('$').ok_or(FormatFault::Unknown)?;
        match name {
            "" if rest.starts_with("argon2id$") => Argon2Hash::parse(Written::Phc, rest).map(Self::Argon2),
            "argon2" => Argon2Hash::parse(Written::Django, rest).map(Self::Argon2),
            "bcrypt" => BcryptHash::parse(Prepared::Cut, rest).map(Self::Bcrypt),
            "bcrypt_sha256" => BcryptHash::parse(Prepared::Sha256, rest).map(Self::Bcrypt),
            "pbkdf2_sha1" => Pbkdf2Hash::parse(Digest::Sha1, rest).map(Self::Pbkdf2),
            "pbkdf2_sha256" => Pbkdf2Hash::parse(Digest::Sha256, rest).map(Self::Pbkdf2),
            "scrypt" => ScryptHash::parse(rest).map(Self::Scrypt),
            _ => Err(FormatFault::Unknown),
        }
    }

    /// Hashes a password in the format of new hashes.
    pub(super) fn make(cost: Argon2Cost, password: &str, salt: [u8; 16], arena: &mut Arena) -> Option<Self> {
        Argon2Hash::make(cost, password, salt, arena).map(Self::Argon2)
    }

    /// Makes a hash that matches no password, and costs as much to compare with as any other of its class.
    pub(super) fn decoy(class: CostClass, salt: [u8; 16], output: [u8; 64]) -> Self {
        match class.cost() {
            Cost::Argon2(cost) => Self::Argon2(Argon2Hash::decoy(cost, salt, output)),
            Cost::Bcrypt(cost) => Self::Bcrypt(BcryptHash::decoy(cost, salt, output)),
            Cost::Pbkdf2(cost) => Self::Pbkdf2(Pbkdf2Hash::decoy(cost, salt, output)),
            Cost::Scrypt(cost) => Self::Scrypt(ScryptHash::decoy(cost, salt, output)),
        }
    }

    /// The cost class. `None` if no password is usable.
    pub(super) fn cost_class(&self) -> Option<CostClass> {
        Some(match self {
            Self::Argon2(hash) => Cost::Argon2(hash.cost()).into(),
            Self::Bcrypt(hash) => Cost::Bcrypt(hash.cost()).into(),
            Self::Pbkdf2(hash) => Cost::Pbkdf2(hash.cost()).into(),
            Self::Scrypt(hash) => Cost::Scrypt(hash.cost()).into(),
            Self::Unusable => return None,
        })
    }

    /// Returns whether the hash has the format of new hashes, and this cost.
    pub(super) fn is_made_with(&self, cost: Argon2Cost) -> bool {
        matches!(self, Self::Argon2(hash) if hash.is_made_with(cost))
    }

    /// Returns whether a password matches. Outputs are compared in constant time.
    pub(super) fn matches(&self, password: &str, arena: &mut Arena) -> bool {
        match self {
            Self::Argon2(hash) => hash.matches(password, arena),
            Self::Bcrypt(hash) => hash.matches(password),
            Self::Pbkdf2(hash) => hash.matches(password),
            Self::Scrypt(hash) => hash.matches(password),
            Self::Unusable => false,
        }
    }

    /// Encodes the hash. Parsing the result gives the same hash.
    pub(super) fn encoded(&self) -> PasswordHash {
        PasswordHash::new(match self {
            Self::Argon2(hash) => hash.to_string(),
            Self::Bcrypt(hash) => hash.to_string(),
            Self::Pbkdf2(hash) => hash.to_string(),
            Self::Scrypt(hash) => hash.to_string(),
            Self::Unusable => "!".into(),
        })
    }
}

#[cfg(test)]
mod tests;
