//! What can be wrong with the text of a hash. None of it quotes the hash.

use std::fmt;

use super::caps::{
    ARGON2_LANES, ARGON2_MEMORY_KIB, ARGON2_PASSES, ARGON2_WORK_KIB, BCRYPT_COST, HASH_BYTES,
    PBKDF2_ITERATIONS, SCRYPT_BLOCK, SCRYPT_LANES, SCRYPT_MEMORY_KIB, SCRYPT_WORK,
};

/// Why a text isn't a password hash that can be compared with.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FormatFault {
    /// Longer than the limit.
    #[error("is longer than {HASH_BYTES} bytes")]
    TooLong,
    /// Of no known format.
    #[error("is of no known format")]
    Unknown,
    /// It begins as one of a known format, and isn't.
    #[error("is not written as {0} hashes are")]
    Malformed(FormatName),
    /// Comparing with it would cost more than an attempt to sign in may.
    #[error("costs too much to compare with: it asks for {0}")]
    TooCostly(Cap),
}

/// A known format, by the name that Django gives it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FormatName {
    /// `argon2`.
    Argon2,
    /// `bcrypt`.
    Bcrypt,
    /// `bcrypt_sha256`.
    BcryptSha256,
    /// `pbkdf2_sha1`.
    Pbkdf2Sha1,
    /// `pbkdf2_sha256`.
    Pbkdf2Sha256,
    /// `scrypt`.
    Scrypt,
}

/// A bound on what comparing with a hash may cost. Each is a constant in `caps.rs`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Cap {
    /// Argon2's memory.
    #[error("more than {} KiB of memory", ARGON2_MEMORY_KIB)]
    Argon2Memory,
    /// Argon2's passes.
    #[error("more than {} passes", ARGON2_PASSES)]
    Argon2Passes,
    /// Argon2's lanes.
    #[error("more than {} lanes", ARGON2_LANES)]
    Argon2Lanes,
    /// Argon2's memory times its passes.
    #[error("memory times passes of more than {} KiB", ARGON2_WORK_KIB)]
    Argon2Work,
    /// The binary logarithm of bcrypt's rounds.
    #[error("a cost of more than {}", BCRYPT_COST)]
    BcryptCost,
    /// PBKDF2's iterations.
    #[error("more than {} iterations", PBKDF2_ITERATIONS)]
    Pbkdf2Iterations,
    /// scrypt's memory.
    #[error("more than {} KiB of memory", SCRYPT_MEMORY_KIB)]
    ScryptMemory,
    /// scrypt's work.
    #[error("N * r * p of more than {}", SCRYPT_WORK)]
    ScryptWork,
    /// scrypt's block.
    #[error("r of more than {}", SCRYPT_BLOCK)]
    ScryptBlock,
    /// scrypt's lanes.
    #[error("p of more than {}", SCRYPT_LANES)]
    ScryptLanes,
}

impl fmt::Display for FormatName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Argon2 => "argon2",
            Self::Bcrypt => "bcrypt",
            Self::BcryptSha256 => "bcrypt_sha256",
            Self::Pbkdf2Sha1 => "pbkdf2_sha1",
            Self::Pbkdf2Sha256 => "pbkdf2_sha256",
            Self::Scrypt => "scrypt",
        })
    }
}
