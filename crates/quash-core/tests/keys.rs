//! Keys: the accepted forms and the published ones. The private keys come from the crypto library itself.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::encoding::{
    AsBigEndian, AsDer, EcPrivateKeyBin, EcPublicKeyUncompressedBin, Pkcs8V1Der, PublicKeyX509Der,
};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{EcdsaKeyPair, KeyPair, RsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use quash_core::model::{Kid, ScopeHasher};
use quash_core::token::{
    Algorithm, Expected, Family, ForeignKey, Issuer, KeyFault, KeyRing, KeySet, KeySetFault, RefreshKey,
    SigningKey, Unverified, VerifyingKey, read_secret,
};
use serde_json::{Value, json};

fn kid(text: &str) -> Kid {
    Kid::parse(text).expect("a kid")
}

fn ec_pair() -> EcdsaKeyPair {
    EcdsaKeyPair::generate(&aws_lc_rs::signature::ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key")
}

fn ec() -> Vec<u8> {
    ec_pair().to_pkcs8v1().expect("PKCS #8").as_ref().to_vec()
}

fn rsa() -> Vec<u8> {
    let pair = RsaKeyPair::generate(KeySize::Rsa2048).expect("a key");
    let der: Pkcs8V1Der<'_> = pair.as_der().expect("PKCS #8");
    der.as_ref().to_vec()
}

fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<&str> =
        text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).expect("base64")).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

/// One key for each algorithm; the RSA algorithms share one.
fn all() -> Vec<SigningKey> {
    let rsa = rsa();
    let p384 = EcdsaKeyPair::generate(&aws_lc_rs::signature::ECDSA_P384_SHA384_FIXED_SIGNING).expect("a key");
    let p384 = p384.to_pkcs8v1().expect("PKCS #8").as_ref().to_vec();
    let of = |algorithm: Algorithm| {
        let secret = match algorithm.family() {
            Family::Ed25519 => vec![7; 32],
            Family::Ec if algorithm == Algorithm::Es384 => p384.clone(),
            Family::Ec => ec(),
            Family::Rsa => rsa.clone(),
            Family::Hmac => vec![7; 64],
        };
        SigningKey::new(algorithm, &secret, Some(kid("secret"))).expect("a key")
    };
    Algorithm::ALL.map(of).into_iter().collect()
}

#[test]
fn every_algorithm_verifies_only_its_own_signatures() {
    for key in all() {
        let token = key.sign(b"{}").expect("a signature");
        let unverified = Unverified::parse(&token).expect("a JWS");
        let algorithm = key.verifying().algorithm();
        let ring = KeyRing::new(1, vec![key.verifying().clone()]);
        assert_eq!(unverified.verify(&ring).map(|(payload, _)| payload), Ok(b"{}".to_vec()), "{algorithm:?}");
        assert_eq!(unverified.header().expect("a header").algorithm, algorithm.as_str());
        for other in all().iter().filter(|other| other.verifying().algorithm() != algorithm) {
            let other = other.verifying().clone().renamed(Some(key.verifying().kid().clone()));
            assert!(unverified.verify(&KeyRing::new(1, vec![other])).is_err());
        }
    }
}

#[test]
fn published_keys_verify_their_private_keys_signatures() {
    for key in all() {
        let published =
            serde_json::to_value(KeyRing::new(1, vec![key.verifying().clone()]).jwks()).expect("JSON");
        let set = KeySet::parse(published.to_string().as_bytes()).expect("a set");
        if key.verifying().algorithm().family() == Family::Hmac {
            assert!(set.keys.is_empty(), "a secret is never published");
            continue;
        }
        let [read] = <[_; 1]>::try_from(set.keys).expect("one key");
        assert!(read.named && read.key.is_same_key(key.verifying()));
        assert_eq!(
            (read.key.kid(), read.key.algorithm()),
            (key.verifying().kid(), key.verifying().algorithm())
        );
        let token = key.sign(b"{}").expect("a signature");
        assert!(Unverified::parse(&token).expect("a JWS").verify(&KeyRing::new(1, vec![read.key])).is_ok());
        let members = published["keys"][0].as_object().expect("a key");
        for private in ["d", "p", "q", "dp", "dq", "qi", "k"] {
            assert!(!members.contains_key(private), "{private}");
        }
    }
    let ed25519 = KeyRing::new(1, vec![all()[0].verifying().clone()]).jwks();
    let ed25519 = serde_json::to_value(ed25519).expect("JSON");
    assert_eq!(
        ed25519["keys"][0].as_object().expect("a key").keys().collect::<Vec<_>>(),
        ["kty", "use", "alg", "kid", "crv", "x"]
    );
}

#[test]
fn debug_output_hides_secrets() {
    let [first, .., last] = &all()[..] else { panic!("keys") };
    assert!(format!("{first:?}").starts_with("SigningKey { kid:"), "{first:?}");
    assert_eq!(format!("{last:?}"), r#"SigningKey { kid: Kid("secret"), .. }"#);
    assert_eq!(
        format!("{:?}", last.verifying()),
        r#"VerifyingKey { kid: Kid("secret"), algorithm: Hs512, .. }"#
    );
    assert_eq!(format!("{:?}", RefreshKey::new(&[9; 32])), "RefreshKey(..)");
}

/// RFC 8037 A.1 to A.3 and RFC 7638 3.1: thumbprints.
#[test]
fn rfc_thumbprint_examples_match() {
    let seed = URL_SAFE_NO_PAD.decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A").expect("a seed");
    let key = SigningKey::new(Algorithm::EdDsa, &seed, None).expect("a key");
    assert_eq!(key.verifying().kid().as_str(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    let modulus = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W\
                   -5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNL\
                   yrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";
    let modulus = URL_SAFE_NO_PAD.decode(modulus).expect("a modulus");
    let key = VerifyingKey::rsa(Algorithm::Rs256, &modulus, &[1, 0, 1]).expect("a key");
    assert_eq!(key.kid().as_str(), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
}

/// K1 to K4: secrets that must be refused.
#[test]
fn weak_secrets_are_refused() {
    for (algorithm, least) in [(Algorithm::Hs256, 32), (Algorithm::Hs384, 48), (Algorithm::Hs512, 64)] {
        let of = |length: usize| VerifyingKey::hmac(algorithm, &vec![7; length], kid("k")).map(|_| ());
        assert_eq!(of(least), Ok(()));
        assert_eq!(of(least - 1), Err(KeyFault::TooShort(algorithm)));
        assert_eq!(of(0), Err(KeyFault::Empty));
        assert_eq!(
            SigningKey::new(algorithm, &vec![7; least - 1], Some(kid("k"))).map(|_| ()),
            Err(KeyFault::TooShort(algorithm))
        );
        assert!(SigningKey::insecure_new(algorithm, &[7], Some(kid("k"))).is_ok(), "if the operator insists");
        assert_eq!(
            SigningKey::insecure_new(algorithm, &[], Some(kid("k"))).map(|_| ()),
            Err(KeyFault::Empty)
        );
    }
    let published = b"09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7";
    assert_eq!(
        VerifyingKey::hmac(Algorithm::Hs256, published, kid("k")).map(|_| ()),
        Err(KeyFault::PubliclyKnown)
    );
    assert_eq!(
        SigningKey::new(Algorithm::Hs256, &[7; 32], None).map(|_| ()),
        Err(KeyFault::Unusable(Algorithm::Hs256)),
        "no kid"
    );
    assert_eq!(VerifyingKey::ed25519(&[0; 31]).map(|_| ()), Err(KeyFault::Unusable(Algorithm::EdDsa)));
    assert_eq!(VerifyingKey::ed25519(&[0; 32]).map(|_| ()), Err(KeyFault::SmallOrder));
    assert_eq!(
        SigningKey::new(Algorithm::EdDsa, &[0; 31], None).map(|_| ()),
        Err(KeyFault::Unusable(Algorithm::EdDsa))
    );
}

#[test]
fn private_keys_are_read_from_pem_and_jwk() {
    let (ec, rsa) = (ec(), rsa());
    let pair = ec_pair();
    let point = pair.public_key().as_ref().to_vec();
    let (x, y) = (URL_SAFE_NO_PAD.encode(&point[1..33]), URL_SAFE_NO_PAD.encode(&point[33..]));
    let scalar = {
        let der: EcPrivateKeyBin<'_> = pair.private_key().as_be_bytes().expect("a scalar");
        URL_SAFE_NO_PAD.encode(der.as_ref())
    };
    let jwk = json!({ "kty": "EC", "crv": "P-256", "x": x, "y": y, "d": scalar });
    for (algorithm, text) in [
        (Algorithm::Es256, pem("PRIVATE KEY", &ec)),
        (Algorithm::Es256, format!("a comment\n\n{}", pem("PRIVATE KEY", &ec))),
        (Algorithm::Es256, jwk.to_string()),
        (Algorithm::Rs256, pem("PRIVATE KEY", &rsa)),
        (Algorithm::Ps512, pem("PRIVATE KEY", &rsa)),
        (
            Algorithm::EdDsa,
            json!({ "kty": "OKP", "crv": "Ed25519", "x": "", "d": URL_SAFE_NO_PAD.encode([7; 32]) })
                .to_string(),
        ),
        (Algorithm::Hs256, json!({ "kty": "oct", "k": URL_SAFE_NO_PAD.encode([7; 32]) }).to_string()),
        (Algorithm::Hs256, "a text of more than thirty-two bytes".into()),
        (Algorithm::Hs256, "{ a text that only begins like a JWK }".into()),
    ] {
        let secret = read_secret(algorithm, &text).unwrap_or_else(|fault| panic!("{algorithm:?}: {fault}"));
        let key = SigningKey::new(algorithm, &secret, Some(kid("k"))).expect("a key");
        let token = key.sign(b"{}").expect("a signature");
        assert!(
            Unverified::parse(&token)
                .expect("a JWS")
                .verify(&KeyRing::new(1, vec![key.verifying().clone()]))
                .is_ok()
        );
    }
    assert!(
        VerifyingKey::read(Algorithm::Es256, &jwk.to_string()).is_err(),
        "a private key isn't a verification key"
    );
}

#[test]
fn invalid_private_keys_are_refused_with_their_fault() {
    let (ec, rsa) = (ec(), rsa());
    let public = json!({ "kty": "OKP", "crv": "Ed25519", "x": URL_SAFE_NO_PAD.encode([7; 32]) }).to_string();
    for (algorithm, text, fault) in [
        (Algorithm::EdDsa, String::new(), KeyFault::Empty),
        (Algorithm::EdDsa, "no key".into(), KeyFault::NeitherPemNorJwk),
        (Algorithm::EdDsa, pem("CERTIFICATE", &[1]), KeyFault::OtherPem),
        (Algorithm::EdDsa, pem("ENCRYPTED PRIVATE KEY", &[1]), KeyFault::OtherPem),
        (Algorithm::EdDsa, pem("PUBLIC KEY", &[1]), KeyFault::Public),
        (Algorithm::EdDsa, public.clone(), KeyFault::Public),
        (Algorithm::EdDsa, "{}".into(), KeyFault::Unusable(Algorithm::EdDsa)),
        (Algorithm::EdDsa, "{".into(), KeyFault::MalformedJwk),
        (Algorithm::Es256, pem("PRIVATE KEY", &rsa), KeyFault::Unusable(Algorithm::Es256)),
        (Algorithm::Es384, pem("PRIVATE KEY", &ec), KeyFault::Unusable(Algorithm::Es384)),
        (Algorithm::Rs256, pem("PRIVATE KEY", &ec), KeyFault::Unusable(Algorithm::Rs256)),
        (Algorithm::Es256, format!("{0}{0}", pem("PRIVATE KEY", &ec)), KeyFault::OtherPem),
        (Algorithm::Hs256, pem("PUBLIC KEY", &[1]), KeyFault::KeyTextAsSecret(Algorithm::Hs256)),
        (
            Algorithm::Hs512,
            format!("  {}", pem("RSA PUBLIC KEY", &[1])),
            KeyFault::KeyTextAsSecret(Algorithm::Hs512),
        ),
        (Algorithm::Hs256, public, KeyFault::KeyTextAsSecret(Algorithm::Hs256)),
    ] {
        assert_eq!(read_secret(algorithm, &text), Err(fault), "{algorithm:?} {text}");
    }
}

#[test]
fn public_keys_are_read_from_pem_and_jwk() {
    let pair = RsaKeyPair::generate(KeySize::Rsa2048).expect("a key");
    let key = VerifyingKey::read(Algorithm::Rs256, &pem("RSA PUBLIC KEY", pair.public_key().as_ref()))
        .expect("a key");
    let spki: PublicKeyX509Der<'_> = pair.public_key().as_der().expect("DER");
    let same = VerifyingKey::read(Algorithm::Rs256, &pem("PUBLIC KEY", spki.as_ref())).expect("a key");
    assert!(key.is_same_key(&same) && key.kid() == same.kid());
    let pair = ec_pair();
    let spki: EcPublicKeyUncompressedBin<'_> = pair.public_key().as_be_bytes().expect("a point");
    let mut der = vec![
        0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86,
        0x48,
    ];
    der.extend([0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00]);
    der.extend(spki.as_ref());
    let ec = pem("PUBLIC KEY", &der);
    assert!(VerifyingKey::read(Algorithm::Es256, &ec).is_ok());
    for (algorithm, text) in
        [(Algorithm::Es384, &ec), (Algorithm::Rs256, &ec), (Algorithm::EdDsa, &ec), (Algorithm::Hs256, &ec)]
    {
        assert!(VerifyingKey::read(algorithm, text).is_err(), "{algorithm:?}");
    }
    assert_eq!(
        VerifyingKey::read(Algorithm::Es256, &pem("PRIVATE KEY", &[1])).map(|_| ()),
        Err(KeyFault::Private)
    );
    let jwk = json!({ "kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo", "kid": "theirs" });
    assert_eq!(VerifyingKey::read(Algorithm::EdDsa, &jwk.to_string()).expect("a key").kid(), &kid("theirs"));
}

/// K7 to K11: the contents of a JWK set.
#[test]
fn jwk_sets_are_read_strictly() {
    let ed = || json!({ "kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" });
    let with = |more: Value| {
        let mut key = ed();
        key.as_object_mut().expect("a key").extend(more.as_object().expect("members").clone());
        key
    };
    let read = |keys: Value| KeySet::parse(json!({ "keys": keys }).to_string().as_bytes());
    for (more, fault) in [
        (json!({ "use": "enc" }), KeyFault::NotForSignatures),
        (json!({ "use": ["sig"] }), KeyFault::NotForSignatures),
        (json!({ "key_ops": ["encrypt"] }), KeyFault::NotForSignatures),
        (json!({ "key_ops": "verify" }), KeyFault::NotForSignatures),
        (json!({ "alg": "RS256" }), KeyFault::AlgorithmMismatch),
        (json!({ "alg": "none" }), KeyFault::Unknown),
        (json!({ "alg": 1 }), KeyFault::MalformedJwk),
        (json!({ "crv": "X25519" }), KeyFault::Unknown),
        (json!({ "kty": "LMS" }), KeyFault::Unknown),
        (json!({ "kid": 7 }), KeyFault::MalformedJwk),
        (json!({ "kid": "" }), KeyFault::MalformedJwk),
        (json!({ "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHUQ" }), KeyFault::MalformedJwk),
        (json!({ "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo=" }), KeyFault::MalformedJwk),
        (json!({ "x": 7 }), KeyFault::MalformedJwk),
        (json!({ "d": "AAAA" }), KeyFault::Private),
    ] {
        let set = read(json!([with(more.clone()), ed()])).expect("a set");
        assert_eq!((set.keys.len(), &set.skipped[..]), (1, &[(0, fault)][..]), "{more}");
    }
    for more in [
        json!({ "use": "sig", "key_ops": ["verify"], "kid": "a" }),
        json!({ "alg": "Ed25519" }),
        json!({ "x5c": ["never read"] }),
    ] {
        assert!(read(json!([with(more.clone())])).expect("a set").skipped.is_empty(), "{more}");
    }
    let off_curve = json!({ "kty": "EC", "crv": "P-256", "x": URL_SAFE_NO_PAD.encode([1; 32]), "y": URL_SAFE_NO_PAD.encode([1; 32]) });
    assert_eq!(read(json!([off_curve])).expect("a set").skipped, [(0, KeyFault::Unusable(Algorithm::Es256))]);
    let secret = json!({ "kty": "oct", "k": URL_SAFE_NO_PAD.encode([7; 32]) });
    let (one, two) = (with(json!({ "kid": "a" })), with(json!({ "kid": "b" })));
    assert!(read(json!([secret])).is_ok());
    assert_eq!(read(json!([secret, ed()])).map(|_| ()), Err(KeySetFault::SecretAmongPublic));
    assert_eq!(read(json!([one, two])).map(|set| set.keys.len()), Ok(2));
    assert_eq!(read(json!([one, one])).map(|_| ()), Err(KeySetFault::KidTwice));
    assert_eq!(read(json!(vec![ed(); 100])).map(|set| set.keys.len()), Ok(100));
    assert_eq!(read(json!(vec![ed(); 101])).map(|_| ()), Err(KeySetFault::TooMany));
    for text in ["", "[]", "{}", r#"{"keys":{}}"#, r#"{"keys":[1]}"#, r#"{"keys":[],"keys":[]}"#] {
        assert_eq!(KeySet::parse(text.as_bytes()).map(|_| ()), Err(KeySetFault::Malformed), "{text}");
    }
}

/// A secret that we share with another issuer is one key. The issuer's tokens may use a key id of their own.
#[test]
fn shared_secrets_are_found_by_every_kid() {
    let ours = SigningKey::new(Algorithm::Hs256, &[7; 32], Some(kid("ours"))).expect("a key");
    let named = |name: &str| SigningKey::new(Algorithm::Hs256, &[7; 32], Some(kid(name))).expect("a key");
    let issuer = Arc::new(Issuer {
        name: "theirs".into(),
        scopes: ScopeHasher::ours([0; 16]),
        max_lifetime: Duration::from_secs(60),
        iss: Expected::Anything,
        aud: Expected::Anything,
        namespace: None,
        dropped: Vec::new(),
    });
    let key = named("theirs").verifying().clone();
    let foreign = ForeignKey { token_kid: Some(kid("theirs")), key, issuer };
    let ring = KeyRing::with_foreign(1, vec![ours.verifying().clone()], vec![foreign]);
    for (name, found) in [("ours", true), ("theirs", true), ("nobody's", false)] {
        let token = named(name).sign(b"{}").expect("a signature");
        let verified =
            Unverified::parse(&token).and_then(|token| token.verify(&ring).map(|(_, key)| key.kid().clone()));
        assert_eq!(verified.ok(), found.then(|| kid("ours")), "{name}: revoking it ends both uses");
    }
}

/// A revoked key is still found to check whether refresh tokens are genuine, but isn't published. Its
/// material is one key, for every algorithm that another issuer uses it with.
#[test]
fn revoked_keys_are_known_but_not_published() {
    let struck = SigningKey::new(Algorithm::EdDsa, &[1; 32], None).expect("a key");
    let secret = SigningKey::new(Algorithm::Hs256, &[7; 64], Some(kid("ours"))).expect("a key");
    let other = SigningKey::new(Algorithm::EdDsa, &[2; 32], None).expect("a key");
    let theirs = SigningKey::new(Algorithm::Hs512, &[7; 64], Some(kid("theirs"))).expect("a key");
    let issuer = Arc::new(Issuer {
        name: "theirs".into(),
        scopes: ScopeHasher::ours([0; 16]),
        max_lifetime: Duration::from_secs(60),
        iss: Expected::Anything,
        aud: Expected::Anything,
        namespace: None,
        dropped: Vec::new(),
    });
    let foreign = ForeignKey { key: theirs.verifying().clone(), token_kid: Some(kid("theirs")), issuer };
    let own = [&other, &struck, &secret].map(|key| key.verifying().clone()).to_vec();
    let kids = [&struck, &secret].map(|key| key.verifying().kid().clone());
    let ring = KeyRing::with_foreign(1, own, vec![foreign]).with_revoked(&kids);
    let jwks = serde_json::to_value(ring.jwks()).expect("JSON");
    assert_eq!(jwks["keys"].as_array().map(Vec::len), Some(1));
    assert_eq!(jwks["keys"][0]["kid"], other.verifying().kid().as_str());
    for (key, found) in
        [(&struck, struck.verifying().kid()), (&secret, &kid("ours")), (&theirs, &kid("ours"))]
    {
        let token = key.sign(b"{}").expect("a signature");
        let verified =
            Unverified::parse(&token).and_then(|token| token.verify(&ring).map(|(_, key)| key.kid().clone()));
        assert_eq!(verified.as_ref(), Ok(found));
    }
}
