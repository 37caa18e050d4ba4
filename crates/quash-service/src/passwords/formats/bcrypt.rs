//! bcrypt in Django's encoding: the format's name, a dollar sign, and bcrypt's own 60 characters
//! (`$2b$<cost>$<salt><output>`; `2a` and `2y` mean the same today).
//!
//! bcrypt reads at most 72 bytes of a password, cyclically and with a NUL in between. Therefore a `bcrypt$…`
//! hash matches every password that begins with the same 72 bytes, and a password of NULs only equals an
//! empty one. Django behaves the same with bcrypt 4 for Python; with bcrypt 5 it fails for a password of 73
//! bytes, and with bcrypt 3 for a NUL. `bcrypt_sha256$…` has neither flaw, because bcrypt gets the
//! hexadecimal SHA-256 of the password.

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use bcrypt::BASE_64;
use zeroize::Zeroizing;

use super::caps::BCRYPT_COST;
use super::fault::{Cap, FormatFault, FormatName};
use super::text::{self, same};

/// bcrypt's lowest cost.
const MIN_COST: u8 = 4;
/// The number of bytes that bcrypt reads, including the final NUL.
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

/// bcrypt's input for a password.
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
    /// Parses the cost after the format's name in a class.
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
    /// Parses the hash after the format's name.
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
        // Always two digits.
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
