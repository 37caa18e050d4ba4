//! Private keys made by cryptography, in each of its formats: quash signs with them, and PyJWT verifies with
//! their public halves.

use serde_json::json;

use crate::python::{PyJwt, python};
use crate::quash_dir::{PASSWORD, QuashDir, add_account};
use crate::support::claims;

#[test]
fn quash_signs_with_keys_made_by_cryptography() {
    let Some(python) = python() else { return };
    let (dir, mut pyjwt) = (QuashDir::new(), PyJwt::start(&python));
    for (kind, algorithm, label) in [
        ("ed25519", "EdDSA", None),
        ("p256", "ES256", Some("EC")),
        ("p384", "ES384", Some("EC")),
        ("rsa", "RS256", Some("RSA")),
    ] {
        let pair = pyjwt.make(kind);
        assert!(pair.pkcs8.starts_with("-----BEGIN PRIVATE KEY-----"), "{kind}");
        let label = label.map(|label| format!("-----BEGIN {label} PRIVATE KEY-----"));
        assert_eq!(
            pair.traditional.as_ref().and_then(|text| text.lines().next()),
            label.as_deref(),
            "{kind}"
        );
        let forms = [Some(pair.pkcs8), pair.traditional, Some(pair.private_jwk.to_string())];
        let mut kids = Vec::new();
        for form in forms.into_iter().flatten() {
            dir.write("signing.key", &form);
            dir.write("signing.pub", &pair.public);
            let keys = "signing_key_file = \"signing.key\"\nverifying_key_file = \"signing.pub\"\n";
            let quash = dir.quash(&format!("[tokens]\nalgorithm = \"{algorithm}\"\n{keys}"));
            if quash.run(&["account", "show", "dana"], "").code() != 0 {
                add_account(&quash, "dana", "1");
            }
            let token = quash.sign_in("dana", PASSWORD).access;
            assert_eq!(
                pyjwt.verify(&token, algorithm, &pair.public),
                Ok(claims(&token)),
                "{algorithm}: {kind}"
            );
            let jwks_url = format!("{}/.well-known/jwks.json", quash.url);
            assert_eq!(
                pyjwt.verify_by(&jwks_url, &token, algorithm),
                Ok(claims(&token)),
                "{algorithm}: {kind}"
            );
            let published = quash.get("/.well-known/jwks.json", None);
            let keys = published.body["keys"].as_array().expect("keys");
            // In every format, it is published as cryptography would publish it.
            let same = keys
                .iter()
                .find(|key| ["x", "y", "n", "e"].iter().all(|member| key[*member] == pair.jwk[*member]));
            kids.push(same.unwrap_or_else(|| panic!("{kind} isn't in {}", published.text))["kid"].clone());
        }
        assert_eq!(
            kids.iter().filter(|kid| **kid == kids[0]).count(),
            kids.len(),
            "one key, one kid: {kids:?}"
        );
    }
    let other = pyjwt.make("rsa");
    let quash = dir.quash("[tokens]\nalgorithm = \"RS256\"\n");
    let token = quash.sign_in("dana", PASSWORD).access;
    assert_eq!(pyjwt.verify(&token, "RS256", &other.public), Err("InvalidSignatureError".into()));
    assert_eq!(quash.post_json("/api/token/verify/", &json!({ "token": token }), None).status, 200);
}
