//! Wycheproof: JWS, JWK, and the signatures below them. The verdict of a strict verifier on each JWS and JWK
//! is in an overlay next to the vectors.

use std::collections::BTreeMap;

use quash_core::model::Kid;
use quash_core::token::{Algorithm, VerifyingKey};
use serde_json::Value;

use super::{folder, hex, is_signed, list, read, text, verifies};

/// Valid signatures of keys that are refused when they are read: an RSA exponent of 3 (RFC 8017 allows it,
/// but many forgeries depend on it).
const EXPONENT: [(&str, u64); 2] =
    [("rsa_signature_2048_sha256_test.json", 258), ("rsa_signature_2048_sha256_test.json", 259)];

#[test]
fn every_jws_and_jwk_gets_its_strict_verdict() {
    let Some(folder) = folder("wycheproof") else { return };
    let overlay = read(&folder.join("strict_overlay.json"));
    let mut wrong = Vec::new();
    for (file, count) in [("json_web_signature_test.json", 356), ("json_web_key_test.json", 12)] {
        let strict: BTreeMap<u64, bool> = list(&overlay["files"], file)
            .iter()
            .map(|case| (id(case), text(case, "strict") == "accept"))
            .collect();
        let mut seen = 0;
        for group in list(&read(&folder.join(file)), "testGroups") {
            let keys = group.get("public").unwrap_or(&group["private"]);
            for case in list(group, "tests") {
                seen += 1;
                let wanted = strict[&id(case)];
                if is_signed(text(case, "jws"), keys) != wanted {
                    wrong.push(format!("{file} {}: {} should be {wanted}", id(case), text(case, "comment")));
                }
            }
        }
        assert_eq!(seen, count, "{file}");
    }
    assert!(wrong.is_empty(), "{} are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn every_signature_gets_its_verdict() {
    let Some(folder) = folder("wycheproof") else { return };
    let mut wrong = Vec::new();
    let files: [(&str, Algorithm, usize); 8] = [
        ("ed25519_test.json", Algorithm::EdDsa, 151),
        ("ecdsa_secp256r1_sha256_p1363_test.json", Algorithm::Es256, 262),
        ("ecdsa_secp384r1_sha384_p1363_test.json", Algorithm::Es384, 280),
        ("rsa_signature_2048_sha256_test.json", Algorithm::Rs256, 259),
        ("rsa_pss_2048_sha256_mgf1_32_test.json", Algorithm::Ps256, 108),
        ("hmac_sha256_test.json", Algorithm::Hs256, 174),
        ("hmac_sha384_test.json", Algorithm::Hs384, 174),
        ("hmac_sha512_test.json", Algorithm::Hs512, 174),
    ];
    for (file, algorithm, count) in files {
        let mut seen = 0;
        for group in list(&read(&folder.join(file)), "testGroups") {
            for case in list(group, "tests") {
                seen += 1;
                let key = key(algorithm, group, case);
                let signature = case.get("sig").unwrap_or(&case["tag"]).as_str().expect("a signature");
                let valid = key.is_some_and(|key| verifies(&key, text(case, "msg"), signature));
                // RFC 7518 3.2: an HMAC isn't truncated.
                let whole = group
                    .get("tagSize")
                    .is_none_or(|bits| bits.as_u64() == Some(8 * signature_bytes(algorithm)));
                if EXPONENT.contains(&(file, id(case))) {
                    assert!(!valid, "{file} {}", id(case));
                    continue;
                }
                if valid != (whole && text(case, "result") == "valid") {
                    wrong.push(format!(
                        "{file} {} {} {}",
                        id(case),
                        text(case, "result"),
                        text(case, "comment")
                    ));
                }
            }
        }
        if seen != count {
            wrong.push(format!("{file}: {seen}"));
        }
    }
    assert!(wrong.is_empty(), "{} are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

/// The key of a group or, for HMAC, of the case.
fn key(algorithm: Algorithm, group: &Value, case: &Value) -> Option<VerifyingKey> {
    match case.get("key").and_then(Value::as_str) {
        Some(secret) => VerifyingKey::insecure_hmac(algorithm, &hex(secret), Kid::parse("k").ok()?).ok(),
        None => VerifyingKey::read(algorithm, text(group, "publicKeyPem")).ok(),
    }
}

fn signature_bytes(algorithm: Algorithm) -> u64 {
    match algorithm {
        Algorithm::Hs256 => 32,
        Algorithm::Hs384 => 48,
        _ => 64,
    }
}

fn id(case: &Value) -> u64 {
    case["tcId"].as_u64().expect("a number")
}
