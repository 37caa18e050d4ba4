//! Every algorithm in both directions: PyJWT verifies what quash signs, and quash verifies what PyJWT signs.

use serde_json::{Value, json};

use crate::python::{KeyPair, PyJwt, python};
use crate::quash_dir::{PASSWORD, QuashDir, SECRET, add_account};
use crate::support::{Answer, Server, claims};

/// Algorithms, each with its kind of keys in `pyjwt.py`.
const ASYMMETRIC: [(&str, &str); 9] = [
    ("EdDSA", "ed25519"),
    ("ES256", "p256"),
    ("ES384", "p384"),
    ("RS256", "rsa"),
    ("RS384", "rsa"),
    ("RS512", "rsa"),
    ("PS256", "rsa"),
    ("PS384", "rsa"),
    ("PS512", "rsa"),
];
const WITH_SECRETS: [&str; 3] = ["HS256", "HS384", "HS512"];

#[test]
fn pyjwt_verifies_every_algorithm_that_quash_signs() {
    let Some(python) = python() else { return };
    let (dir, mut pyjwt) = (QuashDir::new(), PyJwt::start(&python));
    let mut signed: Vec<(&str, String)> = Vec::new();
    for algorithm in ASYMMETRIC.map(|(algorithm, _)| algorithm) {
        let quash = dir.quash(&format!("[tokens]\nalgorithm = \"{algorithm}\"\n"));
        signed.extend(sign_in(&quash).map(|token| (algorithm, token)));
    }
    for algorithm in WITH_SECRETS {
        let quash = dir
            .quash(&format!("[tokens]\nalgorithm = \"{algorithm}\"\nsigning_key_file = \"django.secret\"\n"));
        for token in sign_in(&quash) {
            assert_eq!(pyjwt.verify(&token, algorithm, SECRET), Ok(claims(&token)), "{algorithm}");
            assert_eq!(
                pyjwt.verify(&token, algorithm, &SECRET.replace('u', "v")),
                Err("InvalidSignatureError".into()),
                "{algorithm}"
            );
            signed.push((algorithm, token));
        }
    }
    // The last one publishes the keys of all previous ones, and no secret.
    let quash = dir.quash("");
    let jwks_url = format!("{}/.well-known/jwks.json", quash.url);
    let published = quash.get("/.well-known/jwks.json", None);
    assert_eq!(published.body["keys"].as_array().map(Vec::len), Some(ASYMMETRIC.len()), "{}", published.text);
    for (algorithm, token) in &signed {
        assert_eq!(verify(&quash, token).status, 200, "{algorithm}: quash itself");
        // With a key pair, refresh tokens have a key of their own.
        if WITH_SECRETS.contains(algorithm) || claims(token)["token_type"] == "refresh" {
            assert_eq!(
                pyjwt.verify_by(&jwks_url, token, algorithm),
                Err("PyJWKClientError".into()),
                "{algorithm}"
            );
        } else {
            assert_eq!(pyjwt.verify_by(&jwks_url, token, algorithm), Ok(claims(token)), "{algorithm}");
            assert_eq!(
                pyjwt.verify_by(&jwks_url, &altered(token), algorithm),
                Err("InvalidSignatureError".into()),
                "{algorithm}"
            );
        }
    }
}

#[test]
fn pyjwt_refuses_refresh_tokens() {
    let Some(python) = python() else { return };
    let (dir, mut pyjwt) = (QuashDir::new(), PyJwt::start(&python));
    let quash = dir.quash("");
    let jwks_url = format!("{}/.well-known/jwks.json", quash.url);
    let [access, refresh] = sign_in(&quash);
    assert_eq!(pyjwt.verify_by(&jwks_url, &access, "EdDSA"), Ok(claims(&access)));
    for algorithm in ["EdDSA", "HS256"] {
        assert_eq!(
            pyjwt.verify_by(&jwks_url, &refresh, algorithm),
            Err("PyJWKClientError".into()),
            "{algorithm}"
        );
    }
}

#[test]
fn quash_verifies_every_supported_algorithm_of_pyjwt() {
    let Some(python) = python() else { return };
    let (dir, mut pyjwt) = (QuashDir::new(), PyJwt::start(&python));
    let mut settings = "[tokens]\nforeign_tokens = \"accept\"\n".to_owned();
    let mut add = |name: &str, keys: &str| {
        settings.push_str(&format!("[foreign.{name}]\nmax_lifetime = \"1h\"\n{keys}\n"))
    };
    // Each algorithm, with its key and the headers of its tokens.
    let mut signers: Vec<(&str, String, Value)> = Vec::new();
    let pairs: Vec<(&str, KeyPair)> =
        ["rsa", "p256", "p384", "ed25519"].map(|kind| (kind, pyjwt.make(kind))).into();
    for (kind, pair) in &pairs {
        dir.write(&format!("{kind}.pub"), &pair.public);
        for (algorithm, _) in ASYMMETRIC.into_iter().filter(|(_, of)| of == kind) {
            add(
                &algorithm.to_lowercase(),
                &format!("algorithm = \"{algorithm}\"\npublic_key_file = \"{kind}.pub\""),
            );
            signers.push((algorithm, pair.pkcs8.clone(), json!({})));
        }
    }
    for algorithm in WITH_SECRETS {
        add(
            &algorithm.to_lowercase(),
            &format!("algorithm = \"{algorithm}\"\nshared_secret_file = \"django.secret\""),
        );
        signers.push((algorithm, SECRET.to_owned(), json!({})));
    }
    for (algorithm, kind) in [("EdDSA", "ed25519"), ("ES256", "p256"), ("ES384", "p384"), ("PS512", "rsa")] {
        let pair = pyjwt.make(kind);
        let name = format!("jwk-{kind}");
        add(&name, &format!("algorithm = \"{algorithm}\"\npublic_key = '{}'\nkid = \"{name}\"", pair.jwk));
        signers.push((algorithm, pair.pkcs8, json!({ "kid": name })));
    }
    let quash = dir.quash(&settings);
    let now = now(&quash);
    let access = access(now);
    for (algorithm, key, headers) in &signers {
        let token = pyjwt.sign(&access, key, algorithm, headers);
        let verified = verify(&quash, &token);
        assert_eq!((verified.status, verified.text.as_str()), (200, "{}"), "{algorithm} {headers}");
        assert_eq!(quash.get("/v1/me", Some(&token)).body["username"], "dana", "{algorithm} {headers}");
        assert_eq!(
            verify(&quash, &altered(&token)).body["detail"],
            "Token is invalid",
            "{algorithm} {headers}"
        );
        let unknown = pyjwt.sign(&access, key, algorithm, &json!({ "kid": "another" }));
        assert_eq!(verify(&quash, &unknown).body["detail"], "Token is invalid", "{algorithm} {headers}");
    }
    // An algorithm that quash doesn't support, as the guide says.
    let key = pyjwt.make("p521").pkcs8;
    let token = pyjwt.sign(&access, &key, "ES512", &json!({}));
    assert_eq!(verify(&quash, &token).body["detail"], "Token is invalid");
}

/// Signs in as `dana`, who is added the first time.
fn sign_in(quash: &Server) -> [String; 2] {
    if quash.run(&["account", "show", "dana"], "").code() != 0 {
        add_account(quash, "dana", "1");
    }
    let pair = quash.sign_in("dana", PASSWORD);
    [pair.access, pair.refresh]
}

/// Returns the time by quash's own clock, in seconds.
pub(crate) fn now(quash: &Server) -> i64 {
    claims(&sign_in(quash)[0])["iat"].as_i64().expect("a second")
}

/// Returns the claims of an access token in Simple JWT's form.
pub(crate) fn access(now: i64) -> Value {
    json!({ "token_type": "access", "exp": now + 300, "iat": now, "jti": "6ac2d198c36044d4a46abd8bf82c3024", "user_id": "1" })
}

pub(crate) fn verify(quash: &Server, token: &str) -> Answer {
    quash.post_json("/api/token/verify/", &json!({ "token": token }), None)
}

/// Changes a character in the middle of a token's signature.
fn altered(token: &str) -> String {
    let (signed, signature) = token.rsplit_once('.').expect("a signature");
    let at = signature.len() / 2;
    let other = if signature[at..].starts_with('A') { "B" } else { "A" };
    format!("{signed}.{}{other}{}", &signature[..at], &signature[at + 1..])
}
