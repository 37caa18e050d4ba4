//! Keys and secrets of the operator and of other issuers: refusals, and warnings about accepted ones.

use std::fs;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RsaKeyPair,
};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::{load_from, refused};
use crate::settings::engine::environment::Environment;
use crate::settings::{Flags, load};

/// A private key and its public half, as PEM.
struct Pair {
    private: String,
    public: String,
}

fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<&str> =
        text.as_bytes().chunks(64).map(|line| str::from_utf8(line).expect("Base64")).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

fn pair(private: &[u8], public: &impl AsDer<PublicKeyX509Der<'static>>) -> Pair {
    let public = public.as_der().expect("it has one");
    Pair { private: pem("PRIVATE KEY", private), public: pem("PUBLIC KEY", public.as_ref()) }
}

fn ed25519() -> Pair {
    let made = Ed25519KeyPair::generate().expect("a key");
    pair(made.to_pkcs8v1().expect("PKCS #8").as_ref(), made.public_key())
}

fn rsa() -> Pair {
    let made = RsaKeyPair::generate(KeySize::Rsa2048).expect("a key");
    let private: Pkcs8V1Der<'_> = made.as_der().expect("PKCS #8");
    pair(private.as_ref(), made.public_key())
}

fn p256() -> Pair {
    let made = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key");
    pair(made.to_pkcs8v1().expect("PKCS #8").as_ref(), made.public_key())
}

fn quoted(text: &str) -> String {
    format!("'''\n{text}'''")
}

#[test]
fn a_key_must_fit_its_algorithm() {
    let (Pair { private: ed, public }, rsa, p256) = (ed25519(), rsa().private, p256().private);
    for (algorithm, text, fault) in [
        ("EdDSA", rsa.as_str(), "is not a key for EdDSA"),
        ("RS256", &ed, "is not a key for RS256"),
        ("EdDSA", &public, "is a public key"),
        ("EdDSA", "a secret of this site that nobody else has", "is neither PEM nor a JWK"),
        ("HS256", &public, "is the text of a key file"),
        ("HS256", &ed, "is the text of a key file"),
        ("HS256", "tiny\n", "fewer than 32 bytes"),
        ("HS512", "a secret of this site that nobody else has\n", "fewer than 64 bytes"),
        ("HS256", "a-string-secret-at-least-256-bits-long", "from a public tutorial"),
    ] {
        let said = refused(
            &format!(
                "[tokens]\nalgorithm = \"{algorithm}\"\nsigning_key = {}",
                quoted(text).replace("\n'''", "'''")
            ),
            &[],
            &[],
        );
        assert!(
            said.contains("tokens.signing_key = (secret)") && said.contains(fault),
            "{algorithm}: {said}"
        );
        assert!(!said.contains(text.trim()), "a secret is never shown: {said}");
    }
    for (algorithm, text) in [("EdDSA", &ed), ("RS256", &rsa), ("PS512", &rsa), ("ES256", &p256)] {
        let settings = load_from(
            &format!("[tokens]\nalgorithm = \"{algorithm}\"\nsigning_key = {}", quoted(text)),
            &[],
            &[],
        )
        .expect("valid");
        assert!(settings.keys.signing.is_some() && settings.warnings.is_empty(), "{algorithm}");
        assert!(!format!("{settings:?}").contains("PRIVATE"), "{algorithm}");
    }
}

#[test]
fn a_verifying_key_must_belong_to_the_signing_key() {
    let (Pair { private: ed, public }, other) = (ed25519(), rsa().public);
    let with = |signing: &str, verifying: &str| {
        format!("[tokens]\nsigning_key = {}\nverifying_key = {}", quoted(signing), quoted(verifying))
    };
    assert!(load_from(&with(&ed, &public), &[], &[]).is_ok());
    for (file, fault) in [
        (with(&ed, &other), "tokens.verifying_key"),
        (with(&ed, &ed), "is a private key"),
        (format!("tokens.verifying_key = {}", quoted(&public)), "is set without a signing_key"),
        (
            "[tokens]\nalgorithm = \"HS256\"\nsigning_key = \"a secret of this site that nobody else has\"\nverifying_key = \"x\"".into(),
            "no public half",
        ),
    ] {
        let said = refused(&file, &[], &[]);
        assert!(said.contains(fault), "{said}");
    }
}

#[test]
fn short_secrets_pass_with_a_warning() {
    let said = |secret: &str| {
        let file = format!(
            "[tokens]\nalgorithm = \"HS256\"\ninsecure_short_secret = true\nsigning_key = \"{secret}\""
        );
        load_from(&file, &[], &[]).expect("it passes").warnings
    };
    assert!(said("short")[0].contains("tokens.signing_key is a secret of fewer than 32 bytes"));
    assert!(said("a-string-secret-at-least-256-bits-long")[0].contains("public tutorial"));
    assert!(
        said("django-insecure-0123456789012345678901234567890")[0].contains("begins with django-insecure-")
    );
    assert_eq!(said("a secret of this site that nobody else has"), Vec::<String>::new());
    assert!(
        refused(
            "[tokens]\nalgorithm = \"HS256\"\ninsecure_short_secret = true\nsigning_key = \"\"",
            &[],
            &[]
        )
        .contains("is empty")
    );
}

#[test]
fn an_issuer_has_one_key_or_one_address() {
    let Pair { private, public } = ed25519();
    let public = quoted(&public);
    let foreign = |lines: &str| {
        format!("tokens.foreign_tokens = \"accept\"\n[foreign.django]\nmax_lifetime = \"1d\"\n{lines}")
    };
    let secret = "shared_secret = \"a secret of this site that nobody else has\"";
    for (lines, fault) in [
        (String::new(), "foreign.django.public_key is missing"),
        (secret.into(), "foreign.django.algorithm is missing"),
        (format!("{secret}\nalgorithm = \"RS256\""), "isn't one for a shared_secret"),
        (format!("public_key = {public}\nalgorithm = \"HS256\""), "isn't one for a public_key"),
        (format!("public_key = {public}\nalgorithm = \"ES256\""), "is not a key for ES256"),
        (format!("public_key = {}\nalgorithm = \"EdDSA\"", quoted(&private)), "is a private key"),
        (
            format!("public_key = {public}\nalgorithm = \"EdDSA\"\n{secret}"),
            "is set together with another key",
        ),
        (
            "jwks_url = \"https://a.example/jwks\"\nalgorithm = \"EdDSA\"".into(),
            "is set together with algorithm or kid",
        ),
        ("jwks_url = \"http://a.example/jwks\"".into(), "is an http address"),
        ("jwks_url = \"file:///etc/passwd\"".into(), "isn't a web address"),
        ("jwks_url = \"https://\"".into(), "isn't a web address"),
        (format!("{secret}\nalgorithm = \"HS256\"\nkid = \"\\u0000\""), "isn't a key's id"),
        (format!("{secret}\nalgorithm = \"HS256\"\nnamespace = \"a b\""), "isn't a name"),
        ("shared_secret = \"short\"\nalgorithm = \"HS256\"".into(), "fewer than 32 bytes"),
    ] {
        let said = refused(&foreign(&lines), &[], &[]);
        assert!(said.contains(fault), "{lines}: {said}");
    }
    for lines in [
        format!("{secret}\nalgorithm = \"HS256\""),
        format!("public_key = {public}\nalgorithm = \"EdDSA\"\nkid = \"one\""),
        "jwks_url = \"http://127.0.0.1:7827/jwks\"".into(),
        "jwks_url = \"https://a.example/jwks\"".into(),
    ] {
        let settings =
            load_from(&foreign(&lines), &[], &[]).unwrap_or_else(|faults| panic!("{lines}: {faults:?}"));
        assert_eq!((settings.keys.foreign.len(), settings.warnings.len()), (1, 0), "{lines}");
        assert!(!format!("{settings:?}").contains("nobody else"), "{lines}");
    }
}

#[test]
fn settings_without_effect_cause_warnings() {
    let warnings = |file: &str| load_from(file, &[], &[]).expect("valid").warnings.join("\n");
    assert!(warnings("tokens.foreign_tokens = \"accept\"").contains("there is no issuer under [foreign]"));
    let issuer = "[foreign.a]\nmax_lifetime = \"1d\"\njwks_url = \"https://a.example/jwks\"";
    assert!(warnings(issuer).contains("have no effect"));
    assert_eq!(warnings(&format!("tokens.foreign_tokens = \"until 2030-12-31\"\n{issuer}")), "");
}

#[test]
fn public_key_files_may_be_world_readable() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().expect("a temporary directory");
    let write = |name: &str, text: &str, mode: u32| {
        let path = dir.path().join(name);
        fs::write(&path, text).expect("it is ours");
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("it is ours");
    };
    write("quash.toml", "[tokens]\nsigning_key_file = \"key.pem\"\nverifying_key_file = \"key.pub\"", 0o600);
    let Pair { private, public } = ed25519();
    write("key.pem", &private, 0o640);
    write("key.pub", &public, 0o644);
    let read = || load(&Flags::default(), &Environment::default(), dir.path());
    assert!(read().is_ok());
    write("key.pem", &private, 0o644);
    assert!(format!("{:?}", read().expect_err("others may read it")).contains("other users can access"));
}

#[test]
fn the_password_mark_requires_stable_hashes() {
    let said = refused("tokens.check_revoke_token = true", &[], &[]);
    assert!(said.contains("passwords.rehash") && said.contains("write passwords.rehash = false"), "{said}");
    assert!(load_from("tokens.check_revoke_token = true\npasswords.rehash = false", &[], &[]).is_ok());
}
