//! Argon2id (RFC 9106), in memory that is used again.

use argon2::password_hash::phc::{Output, ParamsString, PasswordHash as Phc, Salt};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use quash_core::model::PasswordHash;

/// What hashes passwords. A trait, so that a test can count: each attempt to sign in costs exactly one call.
pub trait PasswordHasher: Send + Sync {
    /// The hash of a password.
    fn hash(&self, password: &str, salt: [u8; 16], arena: &mut Arena) -> PasswordHash;

    /// Whether the password is the one of the hash. The comparison takes constant time.
    fn verify(&self, password: &str, hash: &PasswordHash, arena: &mut Arena) -> bool;

    /// A hash of no password, which costs as much to compare with as any other.
    fn decoy(&self, salt: [u8; 16], output: [u8; 32]) -> PasswordHash;
}

/// The memory of one hash at a time. A fresh one costs a quarter of the hash.
#[derive(Default)]
pub struct Arena(Vec<Block>);

/// Argon2id with 19 MiB, two passes and one lane.
pub struct Argon2Hasher {
    params: Params,
}

impl Arena {
    fn blocks(&mut self, params: &Params) -> &mut [Block] {
        let count = params.block_count();
        if self.0.len() < count {
            self.0.resize(count, Block::new());
        }
        &mut self.0[..count]
    }
}

impl Argon2Hasher {
    /// With the parameters of the OWASP password storage sheet.
    pub fn new() -> Self {
        Self { params: Params::DEFAULT }
    }

    fn phc(&self, salt: &[u8], output: &[u8]) -> Option<PasswordHash> {
        let phc = Phc {
            algorithm: Algorithm::Argon2id.ident(),
            version: Some(Version::V0x13.into()),
            params: ParamsString::try_from(&self.params).ok()?,
            salt: Some(Salt::new(salt).ok()?),
            hash: Some(Output::new(output).ok()?),
        };
        Some(PasswordHash::new(phc.to_string()))
    }
}

impl Default for Argon2Hasher {
    fn default() -> Self {
        Self::new()
    }
}

impl PasswordHasher for Argon2Hasher {
    fn hash(&self, password: &str, salt: [u8; 16], arena: &mut Arena) -> PasswordHash {
        let mut output = [0; 32];
        let made = Argon2::new(Algorithm::Argon2id, Version::V0x13, self.params.clone()).hash_password_into_with_memory(
            password.as_bytes(),
            &salt,
            &mut output,
            arena.blocks(&self.params),
        );
        // A password is far below Argon2's limits; should it fail all the same, the hash is one that nothing matches.
        made.ok().and_then(|()| self.phc(&salt, &output)).unwrap_or_else(|| PasswordHash::new("!".into()))
    }

    fn verify(&self, password: &str, hash: &PasswordHash, arena: &mut Arena) -> bool {
        let Ok(phc) = Phc::new(hash.as_str()) else { return false };
        let (Ok(params), Some(salt), Some(expected)) = (Params::try_from(&phc), phc.salt, phc.hash) else { return false };
        let mut output = vec![0; expected.len()];
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params.clone())
            .hash_password_into_with_memory(password.as_bytes(), &salt, &mut output, arena.blocks(&params))
            .is_ok_and(|()| aws_lc_rs::constant_time::verify_slices_are_equal(&output, expected.as_bytes()).is_ok())
    }

    fn decoy(&self, salt: [u8; 16], output: [u8; 32]) -> PasswordHash {
        self.phc(&salt, &output).unwrap_or_else(|| PasswordHash::new("!".into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_matches_its_hash_and_no_other() {
        let (hasher, mut arena) = (Argon2Hasher::new(), Arena::default());
        let hash = hasher.hash("correct horse battery staple", [1; 16], &mut arena);
        assert!(hash.as_str().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", hash.as_str());
        assert!(hasher.verify("correct horse battery staple", &hash, &mut arena));
        for other in ["", "correct horse battery staple ", "Correct horse battery staple", "correct horse battery staple\0"] {
            assert!(!hasher.verify(other, &hash, &mut arena), "{other:?}");
        }
        assert!(!hasher.verify("x", &PasswordHash::new("!".into()), &mut arena));
        assert!(!hasher.verify("x", &hasher.decoy([1; 16], [2; 32]), &mut arena));
    }
}
