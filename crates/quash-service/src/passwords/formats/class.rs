//! Cost classes: the cost of comparing a password with a hash, without the hash itself.

use std::fmt;
use std::str::FromStr;

use super::argon2::Argon2Cost;
use super::bcrypt::{BcryptCost, Prepared};
use super::fault::FormatFault;
use super::pbkdf2::{Digest, Pbkdf2Cost};
use super::scrypt::ScryptCost;

/// The cost of comparing a password with a hash: a format and its parameters, within the limits of `caps.rs`.
///
/// ```
/// use quash_service::{CostClass, FormatFault};
/// let class: CostClass = "pbkdf2_sha256$600000".parse()?;
/// assert_eq!(class.to_string(), "pbkdf2_sha256$600000");
/// assert!("pbkdf2_sha256$4000000000".parse::<CostClass>().is_err());
/// # Ok::<_, FormatFault>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct CostClass(Cost);

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(in crate::passwords) enum Cost {
    Argon2(Argon2Cost),
    Bcrypt(BcryptCost),
    Pbkdf2(Pbkdf2Cost),
    Scrypt(ScryptCost),
}

impl CostClass {
    pub(super) fn cost(self) -> Cost {
        self.0
    }
}

impl From<Cost> for CostClass {
    fn from(cost: Cost) -> Self {
        Self(cost)
    }
}

impl From<Argon2Cost> for CostClass {
    fn from(cost: Argon2Cost) -> Self {
        Self(Cost::Argon2(cost))
    }
}

impl FromStr for CostClass {
    type Err = FormatFault;

    fn from_str(text: &str) -> Result<Self, FormatFault> {
        let (name, rest) = text.split_once('$').ok_or(FormatFault::Unknown)?;
        Ok(Self(match name {
            "argon2d" | "argon2i" | "argon2id" => Cost::Argon2(Argon2Cost::parse(name, rest)?),
            "bcrypt" => Cost::Bcrypt(BcryptCost::parse(Prepared::Cut, rest)?),
            "bcrypt_sha256" => Cost::Bcrypt(BcryptCost::parse(Prepared::Sha256, rest)?),
            "pbkdf2_sha1" => Cost::Pbkdf2(Pbkdf2Cost::parse(Digest::Sha1, rest)?),
            "pbkdf2_sha256" => Cost::Pbkdf2(Pbkdf2Cost::parse(Digest::Sha256, rest)?),
            "scrypt" => Cost::Scrypt(ScryptCost::parse(rest)?),
            _ => return Err(FormatFault::Unknown),
        }))
    }
}

impl fmt::Display for CostClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Cost::Argon2(cost) => cost.fmt(f),
            Cost::Bcrypt(cost) => cost.fmt(f),
            Cost::Pbkdf2(cost) => cost.fmt(f),
            Cost::Scrypt(cost) => cost.fmt(f),
        }
    }
}
