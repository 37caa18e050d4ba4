//! The master key, and the secrets that it protects: stored secrets are sealed with AES-256-GCM, other keys
//! are derived with HKDF. The master key itself is never in the store.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hkdf;
use quash_core::hex;
use quash_core::model::{Entropy, Sealed, draw};
use zeroize::Zeroizing;

/// 32 random bytes, from which all other secrets are derived or with which they are sealed.
pub struct MasterKey(Zeroizing<[u8; 32]>);

/// A reason why a text isn't a master key.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum MasterKeyFault {
    /// Not 64 hex characters.
    #[error("is not 64 hex characters")]
    Malformed,
}

/// A sealed secret that can't be opened: another master key sealed it, or it was changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a secret in the store was sealed with another master key")]
pub(crate) struct WrongMasterKey;

impl MasterKey {
    /// Draws a new key.
    pub fn new(entropy: &dyn Entropy) -> Self {
        Self(Zeroizing::new(draw(entropy)))
    }

    /// Parses a key: 64 hex characters, with optional white space around them.
    ///
    /// # Errors
    /// The text isn't of this form.
    pub fn parse(text: &str) -> Result<Self, MasterKeyFault> {
        let text = Zeroizing::new(text.trim().to_ascii_lowercase());
        let mut key = Zeroizing::new([0; 32]);
        hex::decode_to(&text, &mut *key).ok_or(MasterKeyFault::Malformed)?;
        Ok(Self(key))
    }

    /// The key as text, for its file only.
    pub fn to_text(&self) -> Zeroizing<String> {
        Zeroizing::new(hex::encode(&*self.0))
    }

    /// Derives a key for one purpose (RFC 5869).
    pub(crate) fn derive<const N: usize>(&self, purpose: &str) -> [u8; N] {
        let mut derived = [0; N];
        let info = [purpose.as_bytes()];
        let made = hkdf::Salt::new(hkdf::HKDF_SHA256, b"quash")
            .extract(&*self.0)
            .expand(&info, Length(N))
            .and_then(|key| key.fill(&mut derived));
        debug_assert!(made.is_ok(), "HKDF gives up to 8,160 bytes");
        derived
    }

    /// Seals a secret under a name. It can't be opened under another name.
    pub(crate) fn seal(&self, name: &str, secret: &[u8], entropy: &dyn Entropy) -> Sealed {
        let nonce: [u8; NONCE_LEN] = draw(entropy);
        let mut sealed = nonce.to_vec();
        let mut text = secret.to_vec();
        if let Some(key) = self.sealing_key()
            && key
                .seal_in_place_append_tag(
                    Nonce::assume_unique_for_key(nonce),
                    Aad::from(name.as_bytes()),
                    &mut text,
                )
                .is_ok()
        {
            sealed.append(&mut text);
        }
        Sealed(sealed)
    }

    /// Opens a sealed secret.
    pub(crate) fn open(&self, name: &str, sealed: &Sealed) -> Result<Zeroizing<Vec<u8>>, WrongMasterKey> {
        let (nonce, text) = sealed.0.split_at_checked(NONCE_LEN).ok_or(WrongMasterKey)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| WrongMasterKey)?;
        let mut text = Zeroizing::new(text.to_vec());
        let key = self.sealing_key().ok_or(WrongMasterKey)?;
        let length = key
            .open_in_place(nonce, Aad::from(name.as_bytes()), &mut text)
            .map_err(|_| WrongMasterKey)?
            .len();
        text.truncate(length);
        Ok(text)
    }

    fn sealing_key(&self) -> Option<LessSafeKey> {
        UnboundKey::new(&AES_256_GCM, &self.derive::<32>("seal")).ok().map(LessSafeKey::new)
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey(..)")
    }
}

struct Length(usize);

impl hkdf::KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use quash_core::model::Seeded;

    use super::*;

    #[test]
    fn sealed_secrets_open_only_with_name_and_key() {
        let entropy = Seeded::new(1);
        let key = MasterKey::new(&entropy);
        let sealed = key.seal("a", b"secret", &entropy);
        assert_eq!(key.open("a", &sealed).as_deref().map(Vec::as_slice), Ok(b"secret".as_slice()));
        assert!(key.open("b", &sealed).is_err());
        assert!(MasterKey::new(&entropy).open("a", &sealed).is_err());
        assert!(key.open("a", &Sealed(sealed.0[..5].to_vec())).is_err());
        assert!(!sealed.0.windows(6).any(|window| window == b"secret"));
    }

    #[test]
    fn master_keys_survive_encoding_and_parsing() {
        let key = MasterKey::new(&Seeded::new(2));
        let again = MasterKey::parse(&format!("{}\n", *key.to_text())).expect("its own text");
        assert_eq!(key.derive::<16>("x"), again.derive::<16>("x"));
        assert_ne!(key.derive::<16>("x"), key.derive::<16>("y"));
        assert!(MasterKey::parse("short").is_err());
        assert!(MasterKey::parse(&"zz".repeat(32)).is_err());
    }
}
