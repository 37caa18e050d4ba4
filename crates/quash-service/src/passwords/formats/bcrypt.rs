//! bcrypt, as Django writes it: its name, a dollar sign, and the 60 characters that bcrypt itself writes
//! (`$2b$<cost>$<salt><output>`; `2a` and `2y` mean the same today).
//!
//! bcrypt reads 72 bytes of a password and no more, and reads it again and again with a NUL between. So
//! `bcrypt$…` hashes match every password that begins with the same 72 bytes, and one that is made of NULs alone is as
//! good as none. Django compares so with bcrypt 4 for Python; with 5 it fails at a password of 73 bytes, and with 3 at
//! a NUL. `bcrypt_sha256$…` has neither fault: there bcrypt is given the hexadecimal SHA-256 of the password.

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use bcrypt::BASE_64;
use zeroize::Zeroizing;

use super::caps::BCRYPT_COST;
use super::fault::{Cap, FormatFault, FormatName};
use super::text::{self, same};

/// The lowest that bcrypt knows.
const MIN_COST: u8 = 4;
/// So much of a password is read, the NUL at its end included.
const KEY_BYTES: usize = 72;
const SALT_CHARS: usize = 22;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Prepared {
    /// The password itself, cut where bcrypt stops reading.
    Cut,
    /// The hexadecimal SHA-256 of the password.
    Sha256,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Version {
    A,
    B,
    Y,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(in crate::passwords) struct BcryptCost {
    prepared: Prepared,
    cost: u8,
}

pub(in crate::passwords) struct BcryptHash {
    cost: BcryptCost,
    version: Version,
    salt: [u8; 16],
    output: [u8; 23],
}

/// What bcrypt is given of a password.
struct Key {
    bytes: Zeroizing<[u8; KEY_BYTES]>,
    length: usize,
}

impl Prepared {
    const fn name(self) -> FormatName {
        match self {
            Self::Cut => FormatName::Bcrypt,
            Self::Sha256 => FormatName::BcryptSha256,
        }
    }

    fn key(self, password: &str) -> Key {
        match self {
            Self::Cut => Key::new(password.as_bytes()),
            Self::Sha256 => {
                let digest = digest(&SHA256, password.as_bytes());
                let mut hexadecimal = Zeroizing::new([0; 64]);
                for (pair, byte) in hexadecimal.chunks_exact_mut(2).zip(digest.as_ref()) {
                    let digit = |nibble: u8| b"0123456789abcdef"[usize::from(nibble)];
                    pair.copy_from_slice(&[digit(byte >> 4), digit(byte & 15)]);
                }
                Key::new(&*hexadecimal)
            }
        }
    }
}

impl Key {
    fn new(password: &[u8]) -> Self {
        let mut bytes = Zeroizing::new([0; KEY_BYTES]);
        let read = password.len().min(KEY_BYTES);
        bytes[..read].copy_from_slice(&password[..read]);
        Self { bytes, length: (read + 1).min(KEY_BYTES) }
    }

    fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl BcryptCost {
    /// The cost that stands behind the format's name in a class.
    pub(super) fn parse(prepared: Prepared, cost: &str) -> Result<Self, FormatFault> {
        let cost =
            text::number(cost).and_then(|cost| u8::try_from(cost).ok()).filter(|cost| *cost >= MIN_COST);
        match cost {
            Some(cost) if cost <= BCRYPT_COST => Ok(Self { prepared, cost }),
            Some(_) => Err(FormatFault::TooCostly(Cap::BcryptCost)),
            None => Err(FormatFault::Malformed(prepared.name())),
        }
    }
}

impl BcryptHash {
    /// The hash that stands behind the format's name.
    pub(super) fn parse(prepared: Prepared, rest: &str) -> Result<Self, FormatFault> {
        let malformed = FormatFault::Malformed(prepared.name());
        let ["", version, cost, salt_and_output] = text::parts(rest).ok_or(malformed)? else {
            return Err(malformed);
        };
        let version = match version {
            "2a" => Version::A,
            "2b" => Version::B,
            "2y" => Version::Y,
            _ => return Err(malformed),
        };
        // Two digits, whatever the number.
        let cost = cost
            .strip_prefix('0')
            .filter(|digit| digit.len() == 1)
            .or(Some(cost).filter(|cost| cost.len() == 2));
        let cost = BcryptCost::parse(prepared, cost.ok_or(malformed)?)?;
        let (salt, output) = salt_and_output.split_at_checked(SALT_CHARS).ok_or(malformed)?;
        let salt = text::bytes(salt, &BASE_64).ok_or(malformed)?;
        let output = text::bytes(output, &BASE_64).ok_or(malformed)?;
        Ok(Self { cost, version, salt, output })
    }

    pub(super) fn decoy(cost: BcryptCost, salt: [u8; 16], random: [u8; 64]) -> Self {
        let mut output = [0; 23];
        output.copy_from_slice(&random[..23]);
        Self { cost, version: Version::B, salt, output }
    }

    pub(super) fn cost(&self) -> BcryptCost {
        self.cost
    }

    pub(super) fn matches(&self, password: &str) -> bool {
        let key = self.cost.prepared.key(password);
        let output = Zeroizing::new(bcrypt::bcrypt(u32::from(self.cost.cost), self.salt, key.as_bytes()));
        same(&output[..23], &self.output)
    }
}

impl fmt::Display for BcryptCost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}${}", self.prepared.name(), self.cost)
    }
}

impl fmt::Display for BcryptHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let version = match self.version {
            Version::A => "2a",
            Version::B => "2b",
            Version::Y => "2y",
        };
        let BcryptCost { prepared, cost } = self.cost;
        write!(
            f,
            "{}$${version}${cost:02}${}{}",
            prepared.name(),
            BASE_64.encode(self.salt),
            BASE_64.encode(self.output)
        )
    }
}
