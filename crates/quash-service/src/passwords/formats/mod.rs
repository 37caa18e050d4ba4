//! Formats of password hashes: our own, and those that Django writes. What is of none of them matches nothing.
//!
//! Hashes are imported, so nothing in them is believed. A text of another spelling than its format writes is a fault
//! (Django compares texts, and would never find it equal), and so is one that would cost more than an attempt to sign
//! in may. How Django writes each is said in the format's own file.

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

/// A stored hash, read.
pub(super) enum Format {
    Argon2(Argon2Hash),
    Bcrypt(BcryptHash),
    Pbkdf2(Pbkdf2Hash),
    Scrypt(ScryptHash),
    /// No password is usable: Django writes `!` and something random.
    Unusable,
}

impl Format {
    /// Reads a hash.
    ///
    /// # Errors
    /// It is of no known format, or asks for too much.
    pub(super) fn parse(hash: &PasswordHash) -> Result<Self, FormatFault> {
        let text = hash.as_str();
        if text.len() > HASH_BYTES {
            return Err(FormatFault::TooLong);
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

    /// The hash of a password, as new ones are made.
    pub(super) fn make(cost: Argon2Cost, password: &str, salt: [u8; 16], arena: &mut Arena) -> Option<Self> {
        Argon2Hash::make(cost, password, salt, arena).map(Self::Argon2)
    }

    /// A hash of no password that costs as much to compare with as any other of its class.
    pub(super) fn decoy(class: CostClass, salt: [u8; 16], output: [u8; 64]) -> Self {
        match class.cost() {
            Cost::Argon2(cost) => Self::Argon2(Argon2Hash::decoy(cost, salt, output)),
            Cost::Bcrypt(cost) => Self::Bcrypt(BcryptHash::decoy(cost, salt, output)),
            Cost::Pbkdf2(cost) => Self::Pbkdf2(Pbkdf2Hash::decoy(cost, salt, output)),
            Cost::Scrypt(cost) => Self::Scrypt(ScryptHash::decoy(cost, salt, output)),
        }
    }

    /// What comparing with it costs; `None` where no password is usable.
    pub(super) fn cost_class(&self) -> Option<CostClass> {
        Some(match self {
            Self::Argon2(hash) => Cost::Argon2(hash.cost()).into(),
            Self::Bcrypt(hash) => Cost::Bcrypt(hash.cost()).into(),
            Self::Pbkdf2(hash) => Cost::Pbkdf2(hash.cost()).into(),
            Self::Scrypt(hash) => Cost::Scrypt(hash.cost()).into(),
            Self::Unusable => return None,
        })
    }

    /// Whether it is what is made of a password today.
    pub(super) fn is_made_with(&self, cost: Argon2Cost) -> bool {
        matches!(self, Self::Argon2(hash) if hash.is_made_with(cost))
    }

    /// Whether a password is the one that was hashed. Outputs are compared in constant time.
    pub(super) fn matches(&self, password: &str, arena: &mut Arena) -> bool {
        match self {
            Self::Argon2(hash) => hash.matches(password, arena),
            Self::Bcrypt(hash) => hash.matches(password),
            Self::Pbkdf2(hash) => hash.matches(password),
            Self::Scrypt(hash) => hash.matches(password),
            Self::Unusable => false,
        }
    }

    /// The hash as text; reading that gives the same hash.
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
