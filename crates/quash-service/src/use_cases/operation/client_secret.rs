//! The secrets of clients: a prefix that names the kind, 256 random bits, and a checksum, so that a secret that was
//! mistyped or cut off is refused without a read of the store.

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use quash_core::model::{Client, ClientName, Entropy, SecretDigest, draw};
use zeroize::Zeroizing;

/// The prefix of a client's secret, so that a leaked one is recognized.
const CLIENT: &str = "qc_";
/// The prefix of a verifier's secret.
const VERIFIER: &str = "qv_";
/// The prefix of the secret of a client that is limited to a namespace.
const NAMESPACED: &str = "qn_";
/// The prefix of a public client's name, which is digested in place of a secret.
const PUBLIC: &str = "public client ";
/// The length of the random part: 32 bytes in base64url.
const RANDOM_CHARS: usize = 43;
/// The length of the checksum: 4 bytes in base64url. Secrets of older versions have none.
const CHECKSUM_CHARS: usize = 6;

/// A client's secret. It is shown once and not stored.
pub struct ClientSecret(Zeroizing<String>);

impl ClientSecret {
    pub(super) fn new(client: &Client, entropy: &dyn Entropy) -> Self {
        let random = Zeroizing::new(draw::<32>(entropy));
        let mut text = Zeroizing::new(String::with_capacity(CLIENT.len() + RANDOM_CHARS + CHECKSUM_CHARS));
        text.push_str(match &client.namespace {
            Some(_) => NAMESPACED,
            None if client.is_only_verifier() => VERIFIER,
            None => CLIENT,
        });
        URL_SAFE_NO_PAD.encode_string(random.as_slice(), &mut text);
        let sum = checksum(&text);
        text.push_str(&sum);
        Self(text)
    }

    /// The text of the secret, to be shown once.
    pub fn into_text(self) -> Zeroizing<String> {
        self.0
    }

    pub(super) fn digest(&self) -> SecretDigest {
        sha256(&self.0)
    }

    /// The digest of a text that looks like a secret; no other text is looked up.
    pub(super) fn digest_of(text: &str) -> Option<SecretDigest> {
        let encoded = [CLIENT, VERIFIER, NAMESPACED].iter().find_map(|prefix| text.strip_prefix(prefix))?;
        let is_encoded = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_');
        if !encoded.bytes().all(is_encoded) {
            return None;
        }
        let is_whole = match encoded.len().checked_sub(RANDOM_CHARS)? {
            0 => true,
            CHECKSUM_CHARS => text.ends_with(&checksum(&text[..text.len() - CHECKSUM_CHARS])),
            _ => false,
        };
        is_whole.then(|| sha256(text))
    }
}

impl fmt::Debug for ClientSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientSecret(..)")
    }
}

/// Returns the digest that a public client has in place of a secret's. No secret has it.
pub(super) fn digest_of_public(name: &ClientName) -> SecretDigest {
    sha256(&format!("{PUBLIC}{name}"))
}

/// Returns the characters that end a secret which begins with this text.
fn checksum(text: &str) -> String {
    let SecretDigest(bytes) = sha256(&format!("checksum {text}"));
    URL_SAFE_NO_PAD.encode(&bytes[..4])
}

fn sha256(text: &str) -> SecretDigest {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest(&SHA256, text.as_bytes()).as_ref());
    SecretDigest(bytes)
}

#[cfg(test)]
mod tests {
    use quash_core::model::{Right, Rights, Seeded, Timestamp};

    use super::*;

    fn secret(rights: Rights) -> Zeroizing<String> {
        let client = Client {
            name: ClientName::parse("chat").expect("a name"),
            rights,
            created_at: Timestamp::default(),
            namespace: None,
            expires_at: None,
            version: 0,
        };
        ClientSecret::new(&client, &Seeded::new(1)).into_text()
    }

    #[test]
    fn secrets_have_a_kind_prefix_256_bits_and_a_checksum() {
        for (rights, prefix) in
            [(Rights::VERIFIER, VERIFIER), ([Right::Introspect].into_iter().collect(), CLIENT)]
        {
            let text = secret(rights);
            let encoded = text.strip_prefix(prefix).expect("a prefix");
            assert_eq!(URL_SAFE_NO_PAD.decode(&encoded[..RANDOM_CHARS]).map(|bytes| bytes.len()), Ok(32));
            assert_eq!(encoded.len(), RANDOM_CHARS + CHECKSUM_CHARS);
            assert_eq!(ClientSecret::digest_of(&text), Some(sha256(&text)));
        }
    }

    #[test]
    fn secrets_of_older_versions_need_no_checksum() {
        let text = secret(Rights::VERIFIER);
        let old = &text[..VERIFIER.len() + RANDOM_CHARS];
        assert_eq!(ClientSecret::digest_of(old), Some(sha256(old)));
    }

    #[test]
    fn malformed_client_secrets_are_not_looked_up() {
        let good = secret(Rights::VERIFIER);
        let others = [
            "",
            "qv_",
            &good[1..],
            &good[..good.len() - 1],
            &format!("{}x", *good),
            &good.replace("qv_", "qx_"),
            &format!(" {}", *good),
        ];
        for text in others {
            assert_eq!(ClientSecret::digest_of(text), None, "{text:?}");
        }
        assert_eq!(ClientSecret::digest_of(&format!("qv_{}", "é".repeat(RANDOM_CHARS))), None);
        // The text digested for a public client can't be sent as a secret, whatever the client's name.
        assert!([CLIENT, VERIFIER, NAMESPACED].iter().all(|prefix| !PUBLIC.starts_with(prefix)));
    }

    #[test]
    fn mistyped_secrets_are_not_looked_up() {
        let good = secret(Rights::VERIFIER);
        for place in VERIFIER.len()..good.len() {
            let mut mistyped = good.as_bytes().to_vec();
            mistyped[place] = if mistyped[place] == b'A' { b'B' } else { b'A' };
            let mistyped = String::from_utf8(mistyped).expect("ASCII");
            assert_eq!(ClientSecret::digest_of(&mistyped), None, "{place}");
        }
    }
}
