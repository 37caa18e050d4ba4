//! Ed25519 signatures on which verifiers disagree.

use quash_core::token::{KeyFault, VerifyingKey};

use super::{folder, hex, read, text, verifies};

/// Our verdict on each case, and the reason.
const VERDICTS: [(bool, &str); 12] = [
    (false, "a key of small order: anyone could have signed"),
    (false, "a key of small order"),
    (true, "R is of small order, but S and the key are sound: RFC 8032 5.1.7 holds without the cofactor"),
    (true, "the key has a part of small order, and the equation holds without the cofactor"),
    (false, "the equation holds only with the cofactor"),
    (false, "the equation holds only with the cofactor"),
    (false, "S isn't below the order"),
    (false, "S isn't below the order, by far"),
    (false, "R isn't canonical"),
    (false, "R isn't canonical"),
    (false, "the key isn't canonical, and of small order"),
    (false, "the key isn't canonical, and of small order"),
];

#[test]
fn every_ed25519_edge_case_has_one_verdict() {
    let Some(folder) = folder("ed25519") else { return };
    let cases = read(&folder.join("speccheck_cases.json"));
    let cases = cases.as_array().expect("cases");
    assert_eq!(cases.len(), VERDICTS.len());
    for (place, (case, (wanted, why))) in cases.iter().zip(VERDICTS).enumerate() {
        let key = VerifyingKey::ed25519(&hex(text(case, "pub_key")));
        assert_eq!(
            why.contains("of small order") && !wanted,
            matches!(key, Err(KeyFault::SmallOrder)),
            "{place}: {why}"
        );
        let accepted = key.is_ok_and(|key| verifies(&key, text(case, "message"), text(case, "signature")));
        assert_eq!(accepted, wanted, "{place}: {why}");
    }
}
