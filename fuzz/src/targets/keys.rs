//! JWK sets, JWKs and PEM, public and private. The first byte chooses the algorithm for single keys.

use quash_core::model::Kid;
use quash_core::token::{Algorithm, KeyRing, KeySet, SigningKey, VerifyingKey, read_secret};

const ALGORITHMS: [&str; 12] = [
    "EdDSA", "ES256", "ES384", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "HS256", "HS384",
    "HS512",
];

pub(super) fn run(data: &[u8]) {
    let Some((choice, text)) = data.split_first() else { return };
    if let Ok(set) = KeySet::parse(text) {
        let mut keys: Vec<VerifyingKey> = set.keys.iter().map(|found| found.key.clone()).collect();
        // A set may hold one key under two names or for two algorithms; the store never does.
        keys.sort_by(|one, other| one.kid().as_str().cmp(other.kid().as_str()));
        keys.dedup_by(|one, other| one.kid() == other.kid());
        let published = KeyRing::new(1, keys.clone()).jwks();
        let json = serde_json::to_string(&published).expect("JSON");
        assert!(!json.contains("\"k\":") && !json.contains("\"d\":"), "a secret is published: {json}");
        let again = KeySet::parse(json.as_bytes()).expect("what is published can be read");
        assert!(
            again.skipped.is_empty()
                && again.keys.iter().all(|found| keys.iter().any(|key| key.is_same_key(&found.key)))
        );
    }
    let algorithm =
        Algorithm::parse(ALGORITHMS[usize::from(*choice) % ALGORITHMS.len()]).expect("it is known");
    let Ok(text) = str::from_utf8(text) else { return };
    let _ = VerifyingKey::read(algorithm, text);
    let Ok(secret) = read_secret(algorithm, text) else { return };
    let Ok(key) = SigningKey::insecure_new(algorithm, &secret, Kid::parse("fuzz").ok()) else { return };
    let token = key.sign(b"{}").expect("a key that was read signs");
    let (signed, signature) = token.rsplit_once('.').expect("three parts");
    assert!(!signed.is_empty() && !signature.is_empty());
    assert!(key.verifying().is_same_key(key.verifying()));
}
