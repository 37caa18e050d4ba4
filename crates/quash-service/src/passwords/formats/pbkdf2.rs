//! PBKDF2 (RFC 8018 5.2), Django's default: `pbkdf2_sha256$<iterations>$<salt>$<output>`, and the same with
//! `pbkdf2_sha1`. The salt is the text itself, the output is padded Base64.
//!
//! HMAC pads a short key with zeros and hashes a long one. Therefore a password and the same password
//! followed by a NUL match each other's hashes, in Django as here.

use std::fmt;
use std::num::NonZeroU32;

use aws_lc_rs::pbkdf2::{self, PBKDF2_HMAC_SHA1, PBKDF2_HMAC_SHA256};
use base64::Engine;

use super::caps::PBKDF2_ITERATIONS;
use super::fault::{Cap, FormatFault, FormatName};
use super::text;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Digest {
    Sha1,
    Sha256,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(in crate::passwords) struct Pbkdf2Cost {
    digest: Digest,
    iterations: NonZeroU32,
}

pub(in crate::passwords) struct Pbkdf2Hash {
    cost: Pbkdf2Cost,
    salt: String,
    output: Vec<u8>,
}

impl Digest {
    const fn name(self) -> FormatName {
        match self {
            Self::Sha1 => FormatName::Pbkdf2Sha1,
            Self::Sha256 => FormatName::Pbkdf2Sha256,
        }
    }

    const fn algorithm(self) -> pbkdf2::Algorithm {
        match self {
            Self::Sha1 => PBKDF2_HMAC_SHA1,
            Self::Sha256 => PBKDF2_HMAC_SHA256,
        }
    }

    const fn output_bytes(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
        }
    }
}

impl Pbkdf2Cost {
    /// Parses the cost after the format's name in a class.
    pub(super) fn parse(digest: Digest, iterations: &str) -> Result<Self, FormatFault> {
        let iterations = text::number(iterations)
            .and_then(NonZeroU32::new)
            .ok_or(FormatFault::Malformed(digest.name()))?;
        if iterations.get() > PBKDF2_ITERATIONS {
            return Err(FormatFault::TooCostly(Cap::Pbkdf2Iterations));
        }
        Ok(Self { digest, iterations })
    }
}

impl Pbkdf2Hash {
    /// Parses the hash after the format's name.
    pub(super) fn parse(digest: Digest, rest: &str) -> Result<Self, FormatFault> {
        let malformed = FormatFault::Malformed(digest.name());
        let [iterations, salt, output] = text::parts(rest).ok_or(malformed)?;
        let cost = Pbkdf2Cost::parse(digest, iterations)?;
        let output = text::PADDED.decode(output).map_err(|_| malformed)?;
        if salt.is_empty() || output.len() != digest.output_bytes() {
            return Err(malformed);
        }
        Ok(Self { cost, salt: salt.to_owned(), output })
    }

    pub(super) fn decoy(cost: Pbkdf2Cost, salt: [u8; 16], output: [u8; 64]) -> Self {
        Self { cost, salt: text::salt_of(salt), output: output[..cost.digest.output_bytes()].to_vec() }
    }

    pub(super) fn cost(&self) -> Pbkdf2Cost {
        self.cost
    }

    pub(super) fn matches(&self, password: &str) -> bool {
        let Pbkdf2Cost { digest, iterations } = self.cost;
        pbkdf2::verify(
            digest.algorithm(),
            iterations,
            self.salt.as_bytes(),
            password.as_bytes(),
            &self.output,
        )
        .is_ok()
    }
}

impl fmt::Display for Pbkdf2Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}${}", self.digest.name(), self.iterations)
    }
}

impl fmt::Display for Pbkdf2Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}${}${}", self.cost, self.salt, text::PADDED.encode(&self.output))
    }
}
