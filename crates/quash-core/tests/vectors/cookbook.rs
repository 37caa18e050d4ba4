//! The examples of RFC 7520, RFC 7797 and RFC 8037, and a few of later drafts.

use quash_core::model::Kid;
use quash_core::token::{Algorithm, KeySet, SigningKey, VerifyingKey, read_secret};
use serde_json::Value;

use super::{base64url, folder, is_signed, read, text};

/// Private members of a JWK (RFC 7518 6.2.2, 6.3.2).
const PRIVATE: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "priv"];

/// Algorithms of the examples that quash doesn't support, and why.
const UNSUPPORTED: [(&str, &str); 4] = [
    ("ES512", "not in demand, and its curve is the slowest"),
    ("ML-DSA-44", "a draft"),
    ("ML-DSA-65", "a draft"),
    ("ML-DSA-87", "a draft"),
];

/// The public half of an example's key, for the example's algorithm.
fn public(key: &Value, algorithm: &str) -> Value {
    let mut members = key.as_object().expect("a key").clone();
    members.retain(|name, _| !PRIVATE.contains(&name.as_str()));
    members.insert("alg".into(), algorithm.into());
    Value::Object(members)
}

fn check(name: &str, example: &Value) {
    let (algorithm, output) = (text(&example["input"], "alg"), &example["output"]);
    let Some(compact) = output.get("compact").and_then(Value::as_str) else {
        assert!(output.get("json_flat").is_some(), "{name}: only the compact form is a token");
        return;
    };
    let key = &example["input"]["key"];
    let detached = compact.contains("..");
    let unencoded = compact.starts_with("eyJhbGciOiJIUzI1NiIsImI2NCI6ZmFsc2Us");
    let spoken = UNSUPPORTED.iter().all(|(unspoken, _)| *unspoken != algorithm);
    assert_eq!(is_signed(compact, &public(key, algorithm)), spoken && !detached && !unencoded, "{name}");
    if spoken {
        private_half(name, key, algorithm);
        let mut altered = compact.to_owned();
        let last = altered.pop().expect("a signature");
        altered.push(if last == 'A' { 'B' } else { 'A' });
        assert!(!is_signed(&altered, &public(key, algorithm)), "{name}");
    }
}

/// Checks that an example's private key is read, and that its public half is the example's.
fn private_half(name: &str, key: &Value, algorithm: &str) {
    let algorithm = Algorithm::parse(algorithm).expect("it is supported");
    let secret = read_secret(algorithm, &key.to_string()).unwrap_or_else(|fault| panic!("{name}: {fault}"));
    let signing = SigningKey::new(algorithm, &secret, Kid::parse("k").ok())
        .unwrap_or_else(|fault| panic!("{name}: {fault}"));
    let set = KeySet::parse(
        serde_json::json!({ "keys": [public(key, algorithm.as_str())] }).to_string().as_bytes(),
    );
    let set = set.unwrap_or_else(|fault| panic!("{name}: {fault}"));
    assert!(set.keys[0].key.is_same_key(signing.verifying()), "{name}");
}

#[test]
fn examples_of_the_standards_match() {
    let Some(folder) = folder("jose-cookbook") else { return };
    let files = [
        "jws/4_1.rsa_v15_signature.json",
        "jws/4_2.rsa-pss_signature.json",
        "jws/4_3.ecdsa_signature.json",
        "jws/4_4.hmac-sha2_integrity_protection.json",
        "jws/4_5.signature_with_detached_content.json",
        "jws/4_6.protecting_specific_header_fields.json",
        "jws/4_7.protecting_content_only.json",
        "curve25519/jws.json",
        "rfc7797/4.2.hmac-sha2_b64_false.json",
        "rfc7797/hmac-sha2_b64_false.json",
    ];
    for file in files {
        check(file, &read(&folder.join(file)));
    }
    let others = read(&folder.join("panva_cookbook_jws.json"));
    for example in others.as_array().expect("examples") {
        check(text(example, "title"), example);
    }
}

#[test]
fn encrypted_tokens_are_refused() {
    let Some(folder) = folder("jose-cookbook") else { return };
    let mut seen = 0;
    for entry in std::fs::read_dir(folder.join("jwe")).expect("a folder") {
        let example = read(&entry.expect("a file").path());
        let Some(compact) = example["output"].get("compact").and_then(Value::as_str) else { continue };
        seen += 1;
        assert!(!is_signed(compact, &example["input"]["key"]), "{}", text(&example, "title"));
    }
    assert!(seen >= 8, "{seen}");
}

#[test]
fn example_keys_of_the_standards_are_classified() {
    let Some(folder) = folder("jose-cookbook") else { return };
    let keys_of = |file: &str| {
        let set = serde_json::json!({ "keys": [read(&folder.join("jwk").join(file))] });
        KeySet::parse(set.to_string().as_bytes()).map(|set| set.keys.len())
    };
    assert_eq!(keys_of("3_3.rsa_public_key.json"), Ok(1));
    assert_eq!(keys_of("3_5.symmetric_key_mac_computation.json"), Ok(1));
    for file in [
        "3_1.ec_public_key.json",
        "3_2.ec_private_key.json",
        "3_4.rsa_private_key.json",
        "3_6.symmetric_key_encryption.json",
    ] {
        assert_eq!(keys_of(file), Ok(0), "{file}: P-521, private, or for encryption");
    }
    let public = read(&folder.join("jwk/3_3.rsa_public_key.json"));
    let key =
        VerifyingKey::rsa(Algorithm::Rs256, &base64url(text(&public, "n")), &base64url(text(&public, "e")))
            .expect("a key");
    let set = KeySet::parse(serde_json::json!({ "keys": [public] }).to_string().as_bytes()).expect("a set");
    assert!(set.keys[0].named && set.keys[0].key.is_same_key(&key), "without alg it is a key for RS256");
}
