//! Faults in the text of a hash. None of them quotes the hash.

use std::fmt;

use super::caps::{
    ARGON2_LANES, ARGON2_MEMORY_KIB, ARGON2_PASSES, ARGON2_WORK_KIB, BCRYPT_COST, HASH_BYTES,
    PBKDF2_ITERATIONS, SCRYPT_BLOCK, SCRYPT_LANES, SCRYPT_MEMORY_KIB, SCRYPT_WORK,
};

/// A reason why a text isn't a supported password hash.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FormatFault {
    #[error("is longer than {HASH_BYTES} bytes")]
    TooLong,
    #[error("is of no known format")]
    Unknown,
    #[error("begins with `!mark$`, after which an MD5 in 32 hexadecimal digits is required")]
    BrokenMark,
    /// The text begins like a known format, but has errors.
    #[error("is not a valid {0} hash")]
    Malformed(FormatName),
    /// Comparing with the hash would cost more than a sign-in may.
    #[error("costs too much to compare: it requires {0}")]
    TooCostly(Cap),
}

/// A known format, by Django's name for it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FormatName {
    Argon2,
    Bcrypt,
    BcryptSha256,
    Pbkdf2Sha1,
    Pbkdf2Sha256,
    Scrypt,
}

/// A limit on the cost of comparing with a hash. Each is a constant in `caps.rs`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Cap {
    #[error("more than {} KiB of memory", ARGON2_MEMORY_KIB)]
    Argon2Memory,
    #[error("more than {} passes", ARGON2_PASSES)]
    Argon2Passes,
    #[error("more than {} lanes", ARGON2_LANES)]
    Argon2Lanes,
    /// Argon2's memory times its passes.
    #[error("memory times passes of more than {} KiB", ARGON2_WORK_KIB)]
    Argon2Work,
    /// The binary logarithm of bcrypt's rounds.
    #[error("a cost of more than {}", BCRYPT_COST)]
    BcryptCost,
    #[error("more than {} iterations", PBKDF2_ITERATIONS)]
    Pbkdf2Iterations,
    #[error("more than {} KiB of memory", SCRYPT_MEMORY_KIB)]
    ScryptMemory,
    #[error("N * r * p of more than {}", SCRYPT_WORK)]
    ScryptWork,
    #[error("r of more than {}", SCRYPT_BLOCK)]
    ScryptBlock,
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
