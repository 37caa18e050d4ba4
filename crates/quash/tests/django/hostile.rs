//! Hostile tokens, signed by PyJWT or by hand: all are refused.

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::python::{KeyPair, PyJwt, python};
use crate::quash_dir::{PASSWORD, QuashDir, SECRET, add_account};
use crate::signing::{access, now, verify};
use crate::support::{Server, claims, header};

/// A quash that signs with one RSA key, and trusts a site's RSA key and a second site's secret.
struct Stage {
    quash: Server,
    ours: KeyPair,
    theirs: KeyPair,
    pyjwt: PyJwt,
    _dir: QuashDir,
}

#[test]
fn public_keys_as_secrets_and_none_are_refused() {
    let Some(mut stage) = Stage::set() else { return };
    let theirs = access(now(&stage.quash));
    let real = stage.quash.sign_in("dana", PASSWORD);
    let kid = header(&real.access)["kid"].clone();
    let with_the_secret = by_hand("HS256", &json!({ "typ": "JWT" }), &theirs, Some(SECRET.as_bytes()));
    assert_eq!(verify(&stage.quash, &with_the_secret).status, 200, "hand-made tokens are well-formed");
    let of_ours = json!({ "typ": "JWT", "kid": kid });
    for (said, public, headers) in [
        (theirs.clone(), &stage.theirs.public, json!({ "typ": "JWT" })),
        (as_refresh(&theirs), &stage.theirs.public, json!({ "typ": "JWT" })),
        (claims(&real.access), &stage.ours.public, of_ours.clone()),
        (claims(&real.refresh), &stage.ours.public, of_ours),
    ] {
        let pem = public.as_bytes();
        for secret in [pem, pem.trim_ascii_end(), &der(public), b""] {
            for algorithm in ["HS256", "RS256"] {
                assert_refused(&stage.quash, &by_hand(algorithm, &headers, &said, Some(secret)));
            }
        }
        for algorithm in ["none", "None", "NONE", "", "HS256", "RS256"] {
            assert_refused(&stage.quash, &by_hand(algorithm, &headers, &said, None));
        }
    }
    assert_refused(&stage.quash, &stage.pyjwt.sign(&theirs, "", "none", &json!({})));
    assert_eq!(
        stage.quash.get("/v1/me", Some(&real.access)).status,
        200,
        "and nothing of it has ended a session"
    );
    assert_eq!(verify(&stage.quash, &real.refresh).status, 200);
}

#[test]
fn valid_signatures_with_hostile_claims_are_refused() {
    let Some(mut stage) = Stage::set() else { return };
    let now = now(&stage.quash);
    let real = stage.quash.sign_in("dana", PASSWORD).access;
    for good in [access(now), as_refresh(&access(now))] {
        let control = stage.sign(&good, &json!({}));
        assert_eq!(verify(&stage.quash, &control).status, 200, "{good}");

        for headers in [
            json!({ "kid": "unknown" }),
            json!({ "kid": header(&real)["kid"] }),
            json!({ "kid": "" }),
            json!({ "crit": ["exp"] }),
        ] {
            let token = stage.sign(&good, &headers);
            assert_eq!(assert_refused(&stage.quash, &token), "Token is invalid", "{headers}");
        }
        for (changes, expected) in [
            (json!({ "exp": now }), "Token is expired"),
            (json!({ "exp": now - 1, "iat": now - 300 }), "Token is expired"),
            (json!({ "nbf": now + 3600 }), "Token is invalid"),
            (json!({ "iat": now + 3600, "exp": now + 3900 }), "Token is invalid"),
            (json!({ "exp": now + 86_401 }), "Token is invalid"),
            (json!({ "exp": null }), "Token is invalid"),
            (json!({ "user_id": ["1"] }), "Token is invalid"),
            (json!({ "sub": 1 }), "Token is invalid"),
        ] {
            let token = stage.sign(&with(&good, &changes), &json!({}));
            assert_eq!(assert_refused(&stage.quash, &token), expected, "{changes}");
        }
        // Claims with the names of quash's own are custom claims of another issuer, and don't make its token
        // one of quash's.
        for changes in
            [json!({ "sid": claims(&real)["sid"], "rsq": claims(&real)["rsq"] }), json!({ "gen": 0 })]
        {
            let token = stage.sign(&with(&good, &changes), &json!({}));
            assert_eq!(verify(&stage.quash, &token).status, 200, "{changes}");
        }
        let mut without = good.clone();
        without.as_object_mut().expect("an object").remove("exp");
        let token = stage.sign(&without, &json!({}));
        assert_eq!(assert_refused(&stage.quash, &token), "Token has no 'exp' claim");
    }
}

impl Stage {
    fn set() -> Option<Self> {
        let (dir, mut pyjwt) = (QuashDir::new(), PyJwt::start(&python()?));
        let (ours, theirs) = (pyjwt.make("rsa"), pyjwt.make("rsa"));
        dir.write("ours.key", &ours.pkcs8);
        dir.write("theirs.pub", &theirs.public);
        let quash = dir.quash(
            "[tokens]\nalgorithm = \"RS256\"\nsigning_key_file = \"ours.key\"\nforeign_tokens = \"accept\"\n\
             [foreign.django]\nalgorithm = \"RS256\"\npublic_key_file = \"theirs.pub\"\nmax_lifetime = \"1d\"\n\
             [foreign.other]\nalgorithm = \"HS256\"\nshared_secret_file = \"django.secret\"\nmax_lifetime = \"1d\"\n",
        );
        add_account(&quash, "dana", "1");
        Some(Self { quash, ours, theirs, pyjwt, _dir: dir })
    }

    /// Signs a token with the site's key.
    fn sign(&mut self, said: &Value, headers: &Value) -> String {
        self.pyjwt.sign(said, &self.theirs.pkcs8, "RS256", headers)
    }
}

/// Asserts that every endpoint for the token's type refuses it, and returns the answer of `verify`.
fn assert_refused(quash: &Server, token: &str) -> String {
    let asked = verify(quash, token);
    assert_eq!(
        (asked.status, asked.body["code"].as_str()),
        (401, Some("token_not_valid")),
        "{}: {token}",
        asked.text
    );
    let answers = if claims(token)["token_type"] == "refresh" {
        ["/api/token/refresh/", "/api/token/blacklist/"]
            .map(|path| quash.post_json(path, &json!({ "refresh": token }), None))
    } else {
        [
            quash.get("/v1/me", Some(token)),
            quash.post_json("/api/logout/", &json!({ "refresh": "a.b.c" }), Some(token)),
        ]
    };
    for answer in answers {
        assert_eq!(
            (answer.status, answer.body["code"].as_str()),
            (401, Some("token_not_valid")),
            "{}: {token}",
            answer.text
        );
    }
    asked.body["detail"].as_str().expect("a text").to_owned()
}

/// Builds a token that no library would sign: with an HMAC, or without a signature.
fn by_hand(algorithm: &str, headers: &Value, said: &Value, secret: Option<&[u8]>) -> String {
    let header = with(headers, &json!({ "alg": algorithm }));
    let signed =
        format!("{}.{}", base64url(header.to_string().as_bytes()), base64url(said.to_string().as_bytes()));
    let tag = secret.map(|secret| hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), signed.as_bytes()));
    format!("{signed}.{}", tag.map(|tag| base64url(tag.as_ref())).unwrap_or_default())
}

fn as_refresh(said: &Value) -> Value {
    with(said, &json!({ "token_type": "refresh" }))
}

/// Returns an object with the members of another added.
pub(crate) fn with(object: &Value, more: &Value) -> Value {
    let mut object = object.clone();
    for (name, value) in more.as_object().expect("an object") {
        object[name] = value.clone();
    }
    object
}

/// Returns the content of a PEM text.
fn der(pem: &str) -> Vec<u8> {
    let lines: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    STANDARD.decode(lines).expect("base64")
}

pub(crate) fn base64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
