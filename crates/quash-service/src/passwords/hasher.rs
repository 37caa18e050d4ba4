//! The password hasher: Argon2id (RFC 9106) in reused memory for new hashes, and comparison with every known
//! format.

use quash_core::model::PasswordHash;

use super::arena::Arena;
use super::formats::{Argon2Cost, CostClass, Format, FormatFault};

/// A password hasher. A trait, so that a test can count calls: each attempt to sign in costs exactly one
/// [`verify`](Self::verify), and one [`hash`](Self::hash) more if it succeeds and the password is rehashed.
pub trait PasswordHasher: Send + Sync {
    /// Hashes a password.
    fn hash(&self, password: &str, salt: [u8; 16], arena: &mut Arena) -> PasswordHash;

    /// Returns whether the password matches the hash, which may have any known format. The comparison takes
    /// constant time.
    fn verify(&self, password: &str, hash: &PasswordHash, arena: &mut Arena) -> bool;

    /// Makes a hash that matches no password, and costs as much to compare with as any other of its class.
    fn decoy(&self, class: CostClass, salt: [u8; 16], output: [u8; 64]) -> PasswordHash;

    /// The class of the hashes that `hash` makes.
    fn current(&self) -> CostClass;

    /// Returns whether a hash has the format and costs that `hash` uses.
    fn is_current(&self, hash: &PasswordHash) -> bool;

    /// The cost class of a hash. `None` if the hash encodes an unusable password.
    ///
    /// # Errors
    /// The format is unknown, or the hash costs more than a limit in `caps.rs`.
    fn class_of(&self, hash: &PasswordHash) -> Result<Option<CostClass>, FormatFault>;
}

/// Argon2id, by default with 19 MiB, two passes and one lane.
pub struct Argon2Hasher {
    cost: Argon2Cost,
}

impl Argon2Hasher {
    /// Creates a hasher with this memory in KiB, number of passes and number of lanes.
    ///
    /// # Errors
    /// The hash would cost more than a limit in `caps.rs`.
    pub fn with(memory_kib: u32, passes: u32, lanes: u32) -> Result<Self, FormatFault> {
        Argon2Cost::ours(memory_kib, passes, lanes).map(|cost| Self { cost })
    }

    /// Creates a hasher with the parameters of the OWASP password storage sheet.
    pub fn new() -> Self {
        Self { cost: Argon2Cost::CURRENT }
    }
}

impl Default for Argon2Hasher {
    fn default() -> Self {
        Self::new()
    }
}

impl PasswordHasher for Argon2Hasher {
    fn hash(&self, password: &str, salt: [u8; 16], arena: &mut Arena) -> PasswordHash {
        // A password is far below Argon2's limits. If hashing fails nevertheless, the hash matches no
        // password.
        Format::make(self.cost, password, salt, arena).unwrap_or(Format::Unusable).encoded()
    }

    fn verify(&self, password: &str, hash: &PasswordHash, arena: &mut Arena) -> bool {
        Format::parse(hash).is_ok_and(|format| format.matches(password, arena))
    }

    fn decoy(&self, class: CostClass, salt: [u8; 16], output: [u8; 64]) -> PasswordHash {
        Format::decoy(class, salt, output).encoded()
    }

    fn current(&self) -> CostClass {
        self.cost.into()
    }

    fn is_current(&self, hash: &PasswordHash) -> bool {
        Format::parse(hash).is_ok_and(|format| format.is_made_with(self.cost))
    }

    fn class_of(&self, hash: &PasswordHash) -> Result<Option<CostClass>, FormatFault> {
        Format::parse(hash).map(|format| format.cost_class())
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
        for other in [
            "",
            "correct horse battery staple ",
            "Correct horse battery staple",
            "correct horse battery staple\0",
        ] {
            assert!(!hasher.verify(other, &hash, &mut arena), "{other:?}");
        }
        assert!(!hasher.verify("x", &PasswordHash::new("!".into()), &mut arena));
        assert!(!hasher.verify("x", &hasher.decoy(hasher.current(), [1; 16], [2; 64]), &mut arena));
    }

    #[test]
    fn chosen_parameters_make_other_hashes_outdated() {
        let (chosen, mut arena) = (Argon2Hasher::with(64, 3, 2).expect("within the caps"), Arena::default());
        let hash = chosen.hash("x", [1; 16], &mut arena);
        assert!(hash.as_str().starts_with("$argon2id$v=19$m=64,t=3,p=2$"), "{}", hash.as_str());
        assert!(chosen.verify("x", &hash, &mut arena) && chosen.is_current(&hash));
        assert!(Argon2Hasher::new().verify("x", &hash, &mut arena) && !Argon2Hasher::new().is_current(&hash));
        for (memory_kib, passes, lanes) in
            [(128 * 1024 + 1, 1, 1), (64, 65, 1), (1024, 1, 65), (64, 0, 1), (64, 1, 0), (15, 1, 2)]
        {
            assert!(Argon2Hasher::with(memory_kib, passes, lanes).is_err());
        }
    }

    #[test]
    fn only_hashes_with_current_parameters_are_current() {
        let (hasher, mut arena) = (Argon2Hasher::new(), Arena::default());
        let hash = hasher.hash("x", [1; 16], &mut arena);
        assert!(hasher.is_current(&hash));
        assert_eq!(hasher.class_of(&hash), Ok(Some(hasher.current())));
        let text = hash.as_str();
        for other in [
            format!("argon2{text}"),
            text.replace("m=19456", "m=19455"),
            text.replace("t=2", "t=3"),
            text.replace("v=19$", ""),
            text.replace("argon2id", "argon2i"),
            text[..text.len() - 22].to_owned(),
            "!".into(),
            String::new(),
        ] {
            assert!(!hasher.is_current(&PasswordHash::new(other.clone())), "{other}");
        }
    }
}
