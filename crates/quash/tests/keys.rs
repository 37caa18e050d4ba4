//! `quash key` and `quash revoke key`, with and without a server and with keys of other issuers. No output
//! contains a secret.

use crate::support;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::RsaKeyPair;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use support::{Server, header, on, store};

const PASSWORD: &str = "correct horse battery staple";
const SECRET: &str = "fifty characters that stand in a settings file, say";
const X: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";

/// An issuer that publishes one key, and counts the requests.
struct Publisher {
    address: SocketAddr,
    asked: Arc<AtomicUsize>,
}

impl Publisher {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let asked = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&asked);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                counted.fetch_add(1, Ordering::SeqCst);
                answer(stream);
            }
        });
        Self { address, asked }
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

fn answer(mut stream: TcpStream) {
    let set = json!({ "keys": [{ "kty": "OKP", "crv": "Ed25519", "x": X, "kid": "k1" }] }).to_string();
    let head = BufReader::new(stream.try_clone().expect("a handle")).lines().map_while(Result::ok);
    assert!(head.take_while(|line| !line.is_empty()).count() > 0);
    let answer =
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{set}", set.len());
    stream.write_all(answer.as_bytes()).expect("it reads the answer");
}

/// Returns an address without a listener.
fn closed() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port")
}

#[test]
fn keys_are_listed_without_a_server() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let data_dir = dir.path().join("data");
    assert_eq!(on(&data_dir, &["key", "list"], "").code(), 4, "looking makes nothing");
    assert_eq!(on(&data_dir, &["account", "add", "dana"], "").code(), 0);
    let keys = on(&data_dir, &["key", "list", "--json"], "").json();
    let first = &keys["keys"][0];
    assert_eq!((&keys["issuers"], keys["keys"].as_array().map(Vec::len)), (&json!([]), Some(1)));
    assert_eq!(
        (&first["algorithm"], &first["state"], &first["source"]),
        (&json!("EdDSA"), &json!("current"), &json!("made"))
    );
    assert_eq!((first["kid"].as_str().map(str::len), &first["retiring_until"]), (Some(43), &Value::Null));
    assert!(first["created_at"].as_str().is_some_and(|at| at.ends_with('Z')), "{first}");

    let secret = dir.path().join("secret");
    fs::write(&secret, SECRET).expect("it is ours");
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).expect("it is ours");
    let named = format!("tokens.signing_key_file={}", secret.display());
    let settings = ["--set", "tokens.algorithm=HS256", "--set", &named];
    Server::apply_settings(&data_dir, &settings);
    let keys = on(&data_dir, &[&["key", "list", "--json"][..], &settings].concat(), "").json();
    let [old, new] = keys["keys"].as_array().expect("a list").as_slice() else { panic!("{keys}") };
    assert_eq!((&old["kid"], &old["state"]), (&first["kid"], &json!("retiring")));
    assert!(old["retiring_until"].as_str() > first["created_at"].as_str(), "{old}");
    assert_eq!(
        (&new["algorithm"], &new["state"], &new["source"]),
        (&json!("HS256"), &json!("current"), &json!("settings"))
    );
    let table = on(&data_dir, &[&["key", "list"][..], &settings].concat(), "").stdout;
    assert!(
        table.starts_with("KID ") && table.contains("retiring until ") && table.contains("made here"),
        "{table}"
    );
    assert!(!table.contains("fifty") && !keys.to_string().contains("fifty"), "{keys}{table}");
}

/// RFC 8725 3.1: each key is for exactly one algorithm. Returning to a key that still verifies creates no new
/// key.
#[test]
fn configured_key_pairs_serve_one_algorithm() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (data_dir, file) = (dir.path().join("data"), dir.path().join("key"));
    let pair = RsaKeyPair::generate(KeySize::Rsa2048).expect("a key");
    let der: Pkcs8V1Der<'_> = pair.as_der().expect("PKCS #8");
    fs::write(
        &file,
        format!(
            "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
            STANDARD.encode(der.as_ref())
        ),
    )
    .expect("it is ours");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("it is ours");
    let named = format!("tokens.signing_key_file={}", file.display());
    let with = |args: &[&str], algorithm: &str| {
        let algorithm = format!("tokens.algorithm={algorithm}");
        on(&data_dir, &[args, &["--set", &algorithm, "--set", &named]].concat(), "")
    };
    assert_eq!(with(&["account", "add", "dana"], "RS256").code(), 0);
    // One command of several nodes changes nothing that they share.
    let starts = ["serve", "--apply-settings", "--listen", "127.0.0.1:0"];
    let refused = with(if store::is_postgres() { &starts } else { &["account", "list"] }, "PS256");
    assert_eq!(refused.code(), 1, "{}", refused.stderr);
    assert!(
        refused.stderr.contains("has signed with RS256; a key must not be used with two algorithms"),
        "{}",
        refused.stderr
    );
    assert!(refused.stderr.contains("set a new key for the new algorithm, or none"), "{}", refused.stderr);
    Server::apply_settings(&data_dir, &[]);
    assert_eq!(on(&data_dir, &["key", "list", "--json"], "").json()["keys"][1]["algorithm"], "EdDSA");
    Server::apply_settings(&data_dir, &["--set", "tokens.algorithm=RS256", "--set", &named]);
    let resumed = with(&["key", "list", "--json"], "RS256").json()["keys"].clone();
    assert_eq!(
        (&resumed[0]["state"], &resumed[1]["state"], resumed.as_array().map(Vec::len)),
        (&json!("current"), &json!("retiring"), Some(2))
    );
}

/// A site that changes from HS256 to HS384 has one secret; its tokens name either key.
#[test]
fn configured_secrets_make_a_key_for_each_algorithm() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (data_dir, secret) = (dir.path().join("data"), dir.path().join("secret"));
    fs::write(&secret, SECRET).expect("it is ours");
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).expect("it is ours");
    let named = format!("tokens.signing_key_file={}", secret.display());
    let list = |algorithm: &str| {
        let algorithm = format!("tokens.algorithm={algorithm}");
        on(&data_dir, &["key", "list", "--json", "--set", &algorithm, "--set", &named], "").json()["keys"]
            .clone()
    };
    assert_eq!(
        on(&data_dir, &["account", "add", "dana", "--set", "tokens.algorithm=HS256", "--set", &named], "")
            .code(),
        0
    );
    let first = list("HS256");
    Server::apply_settings(&data_dir, &["--set", "tokens.algorithm=HS384", "--set", &named]);
    let second = list("HS384");
    assert_eq!(
        (&second[0]["kid"], &second[0]["state"], &second[1]["state"]),
        (&first[0]["kid"], &json!("retiring"), &json!("current"))
    );
    assert_ne!(second[0]["kid"], second[1]["kid"]);
}

#[test]
fn running_servers_list_own_and_foreign_keys() {
    let (dir, publisher, away) =
        (tempfile::tempdir().expect("a temporary directory"), Publisher::start(), closed());
    let data_dir = dir.path().join("data");
    fs::create_dir(&data_dir).expect("it is ours");
    fs::set_permissions(&data_dir, fs::Permissions::from_mode(0o700)).expect("it is ours");
    let settings = format!(
        "[tokens]\nforeign_tokens = \"accept\"\n\
         [foreign.django]\nmax_lifetime = \"1d\"\nalgorithm = \"HS256\"\nshared_secret = \"{SECRET}\"\n\
         [foreign.fixed]\nmax_lifetime = \"1d\"\nalgorithm = \"EdDSA\"\nkid = \"2026-01\"\npublic_key = '{{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"{X}\"}}'\n\
         [foreign.partner]\nmax_lifetime = \"1d\"\njwks_url = \"http://{}/jwks\"\n\
         [foreign.silent]\nmax_lifetime = \"1d\"\njwks_url = \"http://{away}/jwks\"\n",
        publisher.address
    );
    fs::write(data_dir.join("quash.toml"), settings).expect("it is ours");
    let server = Server::start_in(&data_dir, &[]);
    let listed = server.run(&["key", "list", "--json"], "").json();
    let jwks = server.get("/.well-known/jwks.json", None).body;
    assert_eq!(listed["keys"][0]["kid"], jwks["keys"][0]["kid"]);
    let [django, fixed, partner, silent] = listed["issuers"].as_array().expect("a list").as_slice() else {
        panic!("{listed}")
    };
    assert_eq!(
        django,
        &json!({ "name": "django", "source": "settings", "address": null, "asked_at": null, "answered_at": null,
                 "keys": [{ "kid": null, "algorithm": "HS256" }] })
    );
    assert_eq!(
        (&fixed["name"], &fixed["keys"]),
        (&json!("fixed"), &json!([{ "kid": "2026-01", "algorithm": "EdDSA" }]))
    );
    assert_eq!(
        (&partner["source"], &partner["keys"]),
        (&json!("address"), &json!([{ "kid": "k1", "algorithm": "EdDSA" }]))
    );
    assert_eq!(partner["address"], json!(format!("http://{}/jwks", publisher.address)));
    assert_eq!((partner["asked_at"].is_string(), &partner["asked_at"]), (true, &partner["answered_at"]));
    assert_eq!(
        (silent["asked_at"].is_string(), &silent["answered_at"], &silent["keys"]),
        (true, &Value::Null, &json!([]))
    );

    let table = server.run(&["key", "list"], "").stdout;
    assert_eq!(publisher.asked(), 1, "listing keys doesn't fetch them again");
    for part in ["django   unnamed  HS256", "2026-01", "k1", "and it has never answered"] {
        assert!(table.contains(part), "{part}: {table}");
    }
    assert!(!table.contains("fifty") && !listed.to_string().contains("fifty"), "{table}{listed}");
    assert_eq!(server.terminate().code(), 0);
    let offline = on(&data_dir, &["key", "list", "--json"], "");
    let offline = offline.json();
    assert_eq!((&offline["keys"], &offline["issuers"][2]["keys"]), (&listed["keys"], &partner["keys"]));
    assert_eq!(publisher.asked(), 2, "without a server the command asks, and waits for the answer");
}

#[test]
fn keys_are_rotated_retired_and_revoked_while_the_server_runs() {
    let server = Server::start(&[]);
    server.add_account("dana", PASSWORD);
    let states = || {
        let keys = server.run(&["key", "list", "--json"], "").json()["keys"].clone();
        keys.as_array()
            .expect("keys")
            .iter()
            .map(|key| key["state"].as_str().expect("a state").to_owned())
            .collect::<Vec<_>>()
    };
    let published = || server.get("/.well-known/jwks.json", None).body["keys"].as_array().map_or(0, Vec::len);
    let kid = |token: &str| header(token)["kid"].as_str().expect("a kid").to_owned();
    let first = server.sign_in("dana", PASSWORD);

    let next = server.run(&["key", "rotate", "--json"], "").json();
    assert_eq!((&next["state"], next["next_since"].is_string()), (&json!("next"), true));
    assert_eq!((states(), published()), (vec!["current".to_owned(), "next".into()], 2));
    assert!(server.run(&["key", "list"], "").stdout.contains("next since "));
    let next = next["kid"].as_str().expect("a kid").to_owned();
    assert!(server.run(&["key", "retire", &next], "").stdout.contains("gone"));
    assert_eq!(published(), 1);
    let refused = server.run(&["key", "retire", &kid(&first.access)], "");
    assert_eq!(
        (refused.code(), refused.stderr.contains("quash key rotate")),
        (5, true),
        "{}",
        refused.stderr
    );
    assert_eq!(server.run(&["key", "retire", &next], "").code(), 4);

    let rotated = server.run(&["key", "rotate", "--now"], "");
    assert!(rotated.stderr.contains("fetch the key set again"), "{}", rotated.stderr);
    let second = server.sign_in("dana", PASSWORD);
    assert_ne!(kid(&second.access), kid(&first.access));
    assert_eq!(published(), 2);
    for pair in [&first, &second] {
        assert_eq!(server.get("/v1/me", Some(&pair.access)).status, 200);
    }
    let refused = server.run(&["key", "retire", &kid(&first.access)], "");
    assert_eq!(
        (refused.code(), refused.stderr.contains("quash revoke key")),
        (5, true),
        "{}",
        refused.stderr
    );

    let struck = server.run(&["revoke", "key", &kid(&second.access), "--json"], "").json();
    assert_eq!((&struck["scope"], &struck["target"]), (&json!("key"), &json!(kid(&second.access))));
    assert_eq!((struck["seq"].is_u64(), &struck["sessions_ended"]), (true, &json!(false)));
    assert_eq!(server.get("/v1/me", Some(&second.access)).status, 401);
    assert_eq!(server.get("/v1/me", Some(&first.access)).status, 200);
    let renewed = server.post_json("/api/token/refresh/", &json!({ "refresh": second.refresh }), None);
    let renewed = renewed.body["access"].as_str().expect("a token").to_owned();
    assert_eq!(
        (json!(kid(&renewed)), server.get("/v1/me", Some(&renewed)).status),
        (struck["signs"].clone(), 200)
    );
    assert_eq!(states().iter().filter(|state| *state == "struck").count(), 1);
    assert_eq!(server.run(&["revoke", "key", &kid(&second.access)], "").code(), 5);
    assert_eq!(server.run(&["revoke", "key", "nobodys"], "").code(), 4);

    let ended = server.run(&["revoke", "key", &kid(&renewed), "--end-sessions"], "");
    assert!(ended.stdout.contains("existing sessions have ended"), "{}", ended.stdout);
    let refused = server.post_json("/api/token/refresh/", &json!({ "refresh": first.refresh }), None);
    assert_eq!((refused.status, &refused.body["reason"]), (401, &json!("key_removed")));
    assert_eq!(server.get("/v1/me", Some(&server.sign_in("dana", PASSWORD).access)).status, 200);
    let audit = server.run(&["audit", "list", "--json"], "").stdout;
    assert!(audit.contains("key_struck") && audit.contains("key_dropped"), "{audit}");
}

/// A thumbprint may begin like a flag.
#[test]
fn key_ids_may_begin_with_a_dash() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let data_dir = dir.path().join("data");
    assert_eq!(on(&data_dir, &["account", "add", "dana"], "").code(), 0);
    for args in [
        &["key", "retire", "-zA9"][..],
        &["revoke", "key", "-zA9", "--end-sessions"],
        &["revoke", "key", "--end-sessions", "-zA9"],
    ] {
        let refused = on(&data_dir, args, "");
        assert_eq!(
            (refused.code(), refused.stderr.contains("no such key")),
            (4, true),
            "{args:?}: {}",
            refused.stderr
        );
    }
}

#[test]
fn revoked_configured_keys_stop_the_start() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (data_dir, secret) = (dir.path().join("data"), dir.path().join("secret"));
    fs::write(&secret, SECRET).expect("it is ours");
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).expect("it is ours");
    let named = format!("tokens.signing_key_file={}", secret.display());
    let settings = ["--set", "tokens.algorithm=HS256", "--set", &named];
    let server = Server::start_in(&data_dir, &settings);
    server.add_account("dana", PASSWORD);
    let pair = server.sign_in("dana", PASSWORD);
    let kid = header(&pair.access)["kid"].as_str().expect("a kid").to_owned();
    let refused = server.run(&["key", "rotate"], "");
    assert_eq!(
        (refused.code(), refused.stderr.contains("tokens.signing_key")),
        (5, true),
        "{}",
        refused.stderr
    );
    let struck = server.run(&["revoke", "key", &kid], "");
    assert!(
        struck.stdout.contains("no key signs until tokens.signing_key names another"),
        "{}{}",
        struck.stdout,
        struck.stderr
    );
    let refreshed = server.post_json("/api/token/refresh/", &json!({ "refresh": pair.refresh }), None);
    assert_eq!((refreshed.status, &refreshed.body["code"]), (503, &json!("no_signing_key")));
    assert_eq!(server.terminate().code(), 0);
    let refused = on(&data_dir, &[&["key", "list"][..], &settings].concat(), "");
    assert_eq!(refused.code(), 1);
    assert!(
        refused.stderr.contains("revoked in an emergency")
            && refused.stderr.contains("tokens.signing_key_file"),
        "{}",
        refused.stderr
    );
    let server = Server::start_in(&data_dir, &[]);
    let refreshed = server.post_json("/api/token/refresh/", &json!({ "refresh": pair.refresh }), None);
    assert_eq!(refreshed.status, 200, "{}", refreshed.text);
}
