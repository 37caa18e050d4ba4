//! `quash token verify`: verdicts, exit codes, accepted and refused keys, and that it works offline.

use crate::support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use support::{Finished, Server, quash, run};
use tempfile::TempDir;

const PASSWORD: &str = "correct horse battery staple";

/// Returns the list of tokens that must be refused or accepted.
fn hostile() -> Value {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../quash-core/tests/hostile/tokens.json");
    serde_json::from_str(&fs::read_to_string(path).expect("the list")).expect("JSON")
}

fn case<'a>(hostile: &'a Value, id: &str) -> &'a str {
    let found = hostile["cases"].as_array().expect("a list").iter().find(|case| case["id"] == id);
    found.expect("a case").get("token").and_then(Value::as_str).expect("a token")
}

fn dir() -> TempDir {
    tempfile::tempdir().expect("a temporary directory")
}

/// Writes a file that only its owner can access.
fn file(dir: &TempDir, name: &str, content: &str) -> String {
    let path = dir.path().join(name);
    fs::write(&path, content).expect("it is ours");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("it is ours");
    path.display().to_string()
}

/// Runs the command without a data directory, which it must not create.
fn verify(args: &[&str], token: &str) -> Finished {
    let nowhere = dir();
    let mut command = quash();
    command
        .args(["token", "verify", "-"])
        .args(args)
        .current_dir(nowhere.path())
        .env("QUASH_DATA_DIR", nowhere.path().join("data"));
    let finished = run(command, token);
    assert_eq!(fs::read_dir(nowhere.path()).expect("it is ours").count(), 0, "nothing is made");
    finished
}

/// Returns the JSON verdict; an exit code other than 0 and 6 fails the test.
fn verdict(args: &[&str], token: &str) -> Value {
    let finished = verify(&[args, &["--json"]].concat(), token);
    let verdict: Value =
        serde_json::from_str(&finished.stdout).unwrap_or_else(|error| panic!("{error}: {}", finished.stderr));
    let code = if verdict["accepted"] == json!(true) { 0 } else { 6 };
    assert_eq!((finished.code(), finished.stderr.as_str()), (code, ""), "{verdict}");
    assert_eq!(verdict["accepted"], json!(verdict["reason"].is_null()), "{verdict}");
    verdict
}

/// Returns the flags for a profile of the list, with its keys in files.
fn flags(dir: &TempDir, hostile: &Value, name: &str) -> Vec<String> {
    let profile = &hostile["profiles"][name];
    let mut flags = match &profile["hs256_secret_base64url"] {
        Value::Null => {
            vec!["--jwks".to_owned(), file(dir, "jwks.json", &json!({ "keys": profile["keys"] }).to_string())]
        }
        // The secret isn't text, so it is written as a JWK.
        secret => {
            let path = file(dir, "secret.jwk", &format!("{}\n", json!({ "kty": "oct", "k": secret })));
            ["--secret-file", &path, "--algorithm", "HS256"].map(str::to_owned).to_vec()
        }
    };
    for (member, flag) in [("iss", "--issuer"), ("aud", "--audience")] {
        flags.extend(
            profile[member].as_str().into_iter().flat_map(|value| [flag.to_owned(), value.to_owned()]),
        );
    }
    let longest = profile["max_life_seconds"].as_u64();
    flags.extend(longest.into_iter().flat_map(|secs| ["--max-lifetime".to_owned(), format!("{secs}s")]));
    flags
}

#[test]
fn each_hostile_token_gets_its_verdict() {
    let (dir, hostile) = (dir(), hostile());
    let profiles = ["A", "B"].map(|name| (name, flags(&dir, &hostile, name)));
    let mut told = String::new();
    for case in hostile["cases"].as_array().expect("a list") {
        let (_, flags) =
            profiles.iter().find(|(name, _)| case["profile"] == *name).expect("a profile of the list");
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        let verdict = verdict(&flags, case["token"].as_str().expect("a token"));
        let accepted = if verdict["accepted"] == json!(true) { "accept" } else { "reject" };
        assert_eq!(case["expect"], accepted, "{}, {}: {verdict}", case["id"], case["title"]);
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let reason = verdict["reason"]
            .as_str()
            .map_or_else(|| "accepted".to_owned(), |reason| format!("refused: {reason}"));
        told.push_str(&format!("{}  {}\n  {reason}\n", text(&case["id"]), text(&case["title"])));
    }
    insta::assert_snapshot!("hostile", told);
}

#[test]
fn offline_verification_misses_revocations() {
    let (server, dir) = (Server::start(&[]), dir());
    server.add_account("dana", PASSWORD);
    let pair = server.sign_in("dana", PASSWORD);
    let jwks = file(&dir, "jwks.json", &server.get("/.well-known/jwks.json", None).text);
    let accepted = verdict(&["--jwks", &jwks], &pair.access);
    assert_eq!((&accepted["algorithm"], &accepted["type"]), (&json!("EdDSA"), &json!("access")));
    assert_eq!(
        (&accepted["claims"], &accepted["signature_good"]),
        (&support::claims(&pair.access), &json!(true))
    );
    assert!(accepted["kid"].as_str().is_some_and(|kid| kid.len() == 43), "{accepted}");
    for kind in ["access", "refresh"] {
        let refused = verify(&["--jwks", &jwks, "--type", kind], &pair.refresh);
        assert_eq!(
            (refused.code(), refused.stderr.contains("not published")),
            (6, true),
            "{}{}",
            refused.stdout,
            refused.stderr
        );
        assert!(refused.stdout.contains("NOT good"), "{}", refused.stdout);
    }
    assert_eq!(
        server.run(&["token", "inspect", "-", "--json"], &pair.refresh).json()["standing"],
        json!("live")
    );
    verdict_is(
        "refused: another issuer",
        &["--jwks", &jwks, "--issuer", "https://auth.example"],
        &pair.access,
    );
    assert_eq!(server.run(&["revoke", "everything", "--yes"], "").code(), 0);
    verdict_is("accepted", &["--jwks", &jwks], &pair.access);
    let inspected = server.run(&["token", "inspect", "-", "--json"], &pair.access).json();
    assert_eq!(inspected["standing"], json!("revoked"), "and that one knows");
}

/// Asserts the first line of the text output, and the exit code.
fn verdict_is(expected: &str, args: &[&str], token: &str) {
    let finished = verify(args, token);
    let code = if expected == "accepted" { 0 } else { 6 };
    assert_eq!(
        (finished.stdout.lines().next(), finished.code()),
        (Some(expected), code),
        "{}",
        finished.stderr
    );
}

#[test]
fn only_one_line_end_after_tokens_is_dropped() {
    let (dir, hostile) = (dir(), hostile());
    let flags = flags(&dir, &hostile, "A");
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let token = case(&hostile, "T01");
    for text in [token.to_owned(), format!("{token}\n"), format!("{token}\r\n")] {
        verdict_is("accepted", &flags, &text);
    }
    for text in [
        format!("{token}\n\n"),
        format!("{token} \n"),
        format!(" {token}"),
        format!("Bearer {token}"),
        format!("{token}\r"),
    ] {
        verdict_is("refused: not a well-formed compact JWS", &flags, &text);
    }
    verdict_is("refused: longer than 8192 bytes", &flags, &"x".repeat(20_000));
    for nothing in ["", "\n", " \r\n"] {
        wrong(
            &verify(&flags, nothing),
            &["no token on standard input", "quash token verify - --jwks FILE < file"],
        );
    }
}

/// Asserts a usage error whose text has all these parts.
fn wrong(finished: &Finished, parts: &[&str]) {
    assert_eq!((finished.code(), finished.stdout.as_str()), (2, ""), "{}", finished.stderr);
    for part in parts {
        assert!(finished.stderr.contains(part), "{part} isn't in {}", finished.stderr);
    }
}

#[test]
fn invalid_verify_arguments_are_usage_errors() {
    let dir = dir();
    let secret = file(&dir, "secret", &"s".repeat(32));
    for (args, parts) in [
        (&[][..], &["there is no key to verify the token with", "--jwks FILE", "quash token inspect -"][..]),
        (&["--algorithm", "HS256"], &["there is no key"]),
        (&["--secret-file", &secret], &["--algorithm"]),
        (&["--public-key-file", &secret], &["--algorithm"]),
        (&["--jwks", "a", "--secret-file", &secret, "--algorithm", "HS256"], &["cannot be used with"]),
        (
            &["--public-key-file", "a", "--secret-file", &secret, "--algorithm", "HS256"],
            &["cannot be used with"],
        ),
        (&["--secret-file", &secret, "--algorithm", "none"], &["invalid value 'none'", "EdDSA"]),
        (
            &["--secret-file", &secret, "--algorithm", "ES256"],
            &["ES256 isn't an algorithm for a secret", "--public-key-file"],
        ),
        (
            &["--public-key-file", &secret, "--algorithm", "HS256"],
            &["HS256 isn't an algorithm for a public key", "--secret-file"],
        ),
        (&["--insecure-short-secret"], &["--secret-file"]),
        (&["--jwks", "a", "--insecure-short-secret"], &["cannot be used with"]),
        (&["--jwks", "a", "--type", "id"], &["invalid value 'id'", "sliding"]),
        (&["--jwks", "a", "--issuer", ""], &["--issuer"]),
        (&["--jwks", "a", "--leeway", "301s"], &["it is longer than 5m; write one whole number and a unit"]),
        (&["--jwks", "a", "--leeway", "300"], &["it has no unit"]),
        (&["--jwks", "a", "--max-lifetime", "0s"], &["it is zero"]),
        (&["--jwks", "a", "--max-lifetime", "36526d"], &["it is longer than 36525d"]),
        (&["--jwks", "a", "--user-id-claim", "exp"], &["it is the name of a claim with another meaning"]),
        (&["--jwks", "a", "--jti-claim", ""], &["it isn't a valid claim name"]),
    ] {
        wrong(&verify(args, "x"), parts);
    }
    let jwks = file(&dir, "jwks.json", &json!({ "keys": hostile()["profiles"]["A"]["keys"] }).to_string());
    wrong(&verify(&["--jwks", &jwks, "--user-id-claim", "jti"], "x"), &["two claims have the name jti"]);
    let mut command = quash();
    command.args(["token", "verify", "eyJ.a.token", "--jwks", &jwks]);
    let refused = run(command, "");
    wrong(&refused, &["history"]);
    assert!(!refused.stderr.contains("eyJ"), "{}", refused.stderr);
}

#[test]
fn unusable_key_files_are_reported_with_a_remedy() {
    let (dir, hostile) = (dir(), hostile());
    let keys = &hostile["profiles"]["A"]["keys"];
    let set = |keys: Value| json!({ "keys": keys }).to_string();
    let secret_jwk = json!({ "kty": "oct", "k": URL_SAFE_NO_PAD.encode([7; 64]) });
    let encryption = json!({ "kty": "OKP", "crv": "Ed25519", "x": keys[0]["x"], "use": "enc" });
    for (content, fault, remedy) in [
        ("", "is an empty file", "write the value of the setting into it"),
        ("{}", "is not a well-formed JWK set", "--public-key-file"),
        (&keys[0].to_string(), "is not a well-formed JWK set", "--public-key-file"),
        (&set(json!([keys[0], keys[0]])), "has two keys with the same kid", "ask the issuer"),
        (&set(json!([keys[0], secret_jwk])), "has a secret among public keys", "ask the issuer"),
        (&set(json!([secret_jwk])), "is a set of secrets", "--secret-file"),
        (&set(json!([])), "has no usable key", "ask the issuer"),
        (&set(json!([encryption])), "key 1 is not used: it is not meant for signatures", "has no usable key"),
        (&"x".repeat(65 * 1024), "is a file longer than 64 KiB", "nothing else"),
    ] {
        let path = file(&dir, "jwks.json", content);
        wrong(&verify(&["--jwks", &path], "x"), &[&path, fault, remedy]);
    }
    let private = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIAcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH\n-----END PRIVATE KEY-----\n";
    for (content, fault) in [
        ("garbage", "is neither PEM nor a JWK"),
        (private, "is a private key"),
        (&keys[1].to_string(), "is not a key for EdDSA"),
    ] {
        let path = file(&dir, "key.pem", content);
        // Both names mean the same.
        for algorithm in ["EdDSA", "Ed25519"] {
            let finished = verify(&["--public-key-file", &path, "--algorithm", algorithm], "x");
            wrong(&finished, &[&path, fault, "hint: "]);
            assert!(
                !finished.stderr.contains("garbage") && !finished.stderr.contains("MC4C"),
                "{}",
                finished.stderr
            );
        }
    }
    let missing = dir.path().join("none").display().to_string();
    for args in [&["--jwks", &missing][..], &["--secret-file", &missing, "--algorithm", "HS256"]] {
        wrong(&verify(args, "x"), &[&missing, "can't be read", "name a file that quash may read"]);
    }
}

#[test]
fn verify_reads_secrets_like_the_settings() {
    let dir = dir();
    let secret = "fifty characters that stand in a settings file, say";
    let token = signed_with(secret, &json!({}));
    let with = |content: &str| {
        let path = file(&dir, "secret", content);
        verify(&["--secret-file", &path, "--algorithm", "HS256"], &token)
    };
    for content in [secret.to_owned(), format!("{secret}\n"), format!("{secret}\r\n")] {
        assert_eq!(with(&content).code(), 0, "{content:?}");
    }
    for content in [format!("{secret}\n\n"), format!(" {secret}")] {
        assert_eq!(with(&content).code(), 6, "{content:?}");
    }
    let pem = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n-----END PUBLIC KEY-----\n";
    wrong(&with(pem), &["is the text of a key file, not a secret for HS256"]);
    wrong(&with("short"), &["is a secret of fewer than 32 bytes", "--insecure-short-secret"]);
    let path = file(&dir, "secret", "short");
    let short = verify(
        &["--secret-file", &path, "--algorithm", "HS256", "--insecure-short-secret"],
        &signed_with("short", &json!({})),
    );
    assert_eq!(short.code(), 0, "{}", short.stderr);
    assert!(
        short.stderr.starts_with(&format!("warning: the secret in {path} is a secret of fewer")),
        "{}",
        short.stderr
    );
    fs::set_permissions(Path::new(&path), fs::Permissions::from_mode(0o644)).expect("it is ours");
    wrong(
        &verify(&["--secret-file", &path, "--algorithm", "HS256"], &token),
        &[&path, "other users can access", "chmod 640"],
    );
}

/// Signs a token with a `kid`, as Simple JWT with named keys would.
fn signed_with(secret: &str, more: &Value) -> String {
    use aws_lc_rs::hmac;
    let mut claims = json!({ "token_type": "access", "exp": 4_102_444_800_u64, "iat": 1_700_000_000, "jti": "a", "user_id": 1 });
    for (name, value) in more.as_object().expect("claims") {
        claims[name] = value.clone();
    }
    let parts = [json!({ "alg": "HS256", "kid": "whatever" }), claims];
    let signed = parts.map(|part| URL_SAFE_NO_PAD.encode(part.to_string())).join(".");
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(hmac::sign(&key, signed.as_bytes())))
}

#[test]
fn verify_reads_public_keys_from_pem_and_jwk() {
    let (dir, hostile) = (dir(), hostile());
    let pem = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n-----END PUBLIC KEY-----\n";
    let jwk = json!({ "kty": "OKP", "crv": "Ed25519", "x": hostile["profiles"]["A"]["keys"][0]["x"], "kid": "another" }).to_string();
    for content in [pem, &jwk] {
        let path = file(&dir, "key", content);
        let key = ["--public-key-file", &path, "--algorithm", "EdDSA"];
        // One token names the key, the other doesn't.
        for id in ["T01", "T34"] {
            verdict_is("accepted", &key, case(&hostile, id));
        }
        verdict_is("refused: an algorithm other than its key's", &key, case(&hostile, "T02"));
    }
}

#[test]
fn token_contents_cannot_control_the_terminal() {
    let dir = dir();
    let path = file(&dir, "secret", "short");
    let key = ["--secret-file", &path, "--algorithm", "HS256", "--insecure-short-secret"];
    let header = URL_SAFE_NO_PAD.encode("{\"alg\":\"\\u001b[31mred\",\"kid\":\"\\u202edesrever\"}");
    let in_its_header = format!("{header}.e30.AAAA");
    let in_its_claims = signed_with("short", &json!({ "\u{1b}[31mred": "\u{202e}desrever" }));
    for (token, code) in [(in_its_header, 6), (in_its_claims, 0)] {
        let seen = verify(&key, &token);
        assert_eq!(seen.code(), code, "{}", seen.stdout);
        assert!(
            seen.stdout.contains("red") && !seen.stdout.contains(['\u{1b}', '\u{202e}']),
            "{:?}",
            seen.stdout
        );
    }
}
