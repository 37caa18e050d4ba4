//! Nodes: Django sites that verify quash's access tokens with nothing but settings of Simple JWT.

use std::path::Path;
use std::process::Command;

use serde_json::json;

use crate::guide;
use crate::hostile::base64url;
use crate::python::{PyJwt, python};
use crate::quash_dir::{PASSWORD, QuashDir, SECRET, add_account};
use crate::site::Site;
use crate::support::{Answer, Server, claims, quash, run, store};

/// A quash that signs with the site's secret.
const SHARED: &str = "[tokens]\nalgorithm = \"HS256\"\nsigning_key_file = \"django.secret\"\n";

/// Configures a site with `CHECK_REVOKE_TOKEN`, and starts the quash that the guide has for it.
pub(crate) fn comparing_passwords(dir: &QuashDir, site: &Site) -> Server {
    site.configure(r#"SIMPLE_JWT = {"CHECK_REVOKE_TOKEN": True}"#);
    let checking = guide::settings("# quash.toml, for nodes with CHECK_REVOKE_TOKEN");
    dir.quash(&checking.replacen("[tokens]\n", SHARED, 1))
}

#[test]
fn nodes_with_the_secret_accept_quash_tokens() {
    let Some(python) = python() else { return };
    let dir = QuashDir::new();
    let site = Site::new(&python, &dir);
    let quash = dir.quash(&guide::settings("# quash.toml, with the site's secret"));
    import_accounts(&site, &quash, &python);
    let pair = quash.sign_in("dana", PASSWORD);
    let node = site.start();

    let taken = node.orders(&pair.access);
    assert_eq!((taken.status, &taken.body), (200, &json!({ "id": 1, "username": "dana" })), "{}", taken.text);
    assert_eq!(refusal(&node.orders(&tampered(&pair.access))), "Token is invalid");
    assert_eq!(refusal(&node.orders(&pair.refresh)), "Token has wrong type");
    assert_eq!(
        node.post("/api/token/verify/", &json!({ "token": pair.refresh })).status,
        200,
        "it knows nothing of sessions"
    );

    // The limitation that the guide mentions: the node doesn't learn of it.
    let ended = quash.post_json("/api/logout/", &json!({ "refresh": pair.refresh }), Some(&pair.access));
    assert_eq!(ended.status, 200, "{}", ended.text);
    assert_eq!(quash.get("/v1/me", Some(&pair.access)).status, 401);
    assert_eq!(node.orders(&pair.access).status, 200);
}

#[test]
fn nodes_check_issuer_and_audience() {
    let Some(python) = python() else { return };
    let dir = QuashDir::new();
    let site = Site::new(&python, &dir);
    site.configure(r#"SIMPLE_JWT = {"ISSUER": "https://auth.example", "AUDIENCE": ["shop", "blog"]}"#);
    let node = site.start();

    for (said, expected) in [
        ("issuer = \"https://auth.example\"\naudience = [\"blog\", \"wiki\"]\n", None),
        ("issuer = \"https://auth.example\"\naudience = \"shop\"\n", None),
        ("issuer = \"https://auth.example\"\naudience = \"wiki\"\n", Some("Token is invalid")),
        ("issuer = \"https://other.example\"\naudience = \"shop\"\n", Some("Token is invalid")),
        ("issuer = \"https://auth.example\"\n", Some("Token is invalid")),
        ("audience = \"shop\"\n", Some("Token is invalid")),
    ] {
        let quash = dir.quash(&format!("{SHARED}{said}"));
        if quash.run(&["account", "show", "dana"], "").code() != 0 {
            add_account(&quash, "dana", "1");
        }
        let answer = node.orders(&quash.sign_in("dana", PASSWORD).access);
        match expected {
            None => assert_eq!(answer.status, 200, "{said}: {}", answer.text),
            Some(expected) => assert_eq!(refusal(&answer), expected, "{said}"),
        }
    }
}

#[test]
fn nodes_fetch_ed25519_and_ecdsa_keys() {
    takes_by_published_keys(&["EdDSA", "ES256", "ES384"]);
}

#[test]
fn nodes_fetch_rsa_keys() {
    takes_by_published_keys(&["RS256", "RS384", "RS512"]);
}

#[test]
fn nodes_fetch_rsa_keys_for_pss() {
    takes_by_published_keys(&["PS256", "PS384", "PS512"]);
}

/// Runs one quash that changes its algorithm, with a node for each algorithm, configured as in the guide.
fn takes_by_published_keys(algorithms: &[&str]) {
    let Some(python) = python() else { return };
    let dir = QuashDir::new();
    let site = Site::new(&python, &dir);
    let settings = guide::settings("# quash.toml, with keys that nodes fetch");
    assert!(settings.contains("algorithm = \"ES256\""), "{settings}");
    let mut before = None;
    for algorithm in algorithms {
        let quash = dir.quash(&settings.replacen("ES256", algorithm, 1));
        if before.is_none() {
            add_account(&quash, "dana", "1");
        }
        let simple_jwt = guide::block_for("# settings.py of a node", &quash.url);
        assert!(simple_jwt.contains("\"ES256\""), "{simple_jwt}");
        site.configure(&simple_jwt.replace("ES256", algorithm));
        let node = site.start();

        let pair = quash.sign_in("dana", PASSWORD);
        let taken = node.orders(&pair.access);
        assert_eq!(
            (taken.status, &taken.body["username"]),
            (200, &json!("dana")),
            "{algorithm}: {}",
            taken.text
        );
        assert_eq!(refusal(&node.orders(&tampered(&pair.access))), "Token is invalid", "{algorithm}");
        assert_eq!(
            refusal(&node.orders(&pair.refresh)),
            "Token is invalid",
            "{algorithm}: no published key verifies it"
        );
        // Its key is still published, but a node accepts only one algorithm.
        if let Some(before) = before.replace(pair) {
            assert_eq!(
                quash.get("/v1/me", Some(&before.access)).status,
                200,
                "{algorithm}: the previous key keeps verifying"
            );
            assert_eq!(refusal(&node.orders(&before.access)), "Token is invalid", "{algorithm}");
        }
    }
}

#[test]
fn nodes_can_refuse_tokens_after_password_changes() {
    let Some(python) = python() else { return };
    let dir = QuashDir::new();
    let site = Site::new(&python, &dir);
    let quash = comparing_passwords(&dir, &site);
    import_accounts(&site, &quash, &python);
    let node = site.start();

    let pair = quash.sign_in("dana", PASSWORD);
    assert_eq!(node.orders(&pair.access).status, 200);
    let refreshed = quash.post_json("/api/token/refresh/", &json!({ "refresh": pair.refresh }), None);
    let access = refreshed.body["access"].as_str().expect("a token").to_owned();
    assert_eq!(node.orders(&access).status, 200, "signing in has left the hash as Django has made it");
    // A node with this setting refuses tokens of a quash without it.
    let elsewhere = QuashDir::new();
    let silent = elsewhere.quash(SHARED);
    add_account(&silent, "dana", "1");
    let refused = node.orders(&silent.sign_in("dana", PASSWORD).access);
    assert_eq!(
        (refused.status, refused.body["code"].as_str()),
        (401, Some("password_changed")),
        "{}",
        refused.text
    );

    // After a change of the password in quash, the node still has the previous hash, and accepts quash's
    // tokens.
    let new_password =
        json!({ "current_password": PASSWORD, "new_password": "a password that the node has never seen" });
    let changed = quash.post_json("/v1/me/password", &new_password, Some(&access));
    assert_eq!(changed.status, 200, "{}", changed.text);
    let changed = changed.body["access"].as_str().expect("a token").to_owned();
    assert_eq!(node.orders(&changed).status, 200);
    let later = quash.sign_in("dana", "a password that the node has never seen");
    assert_eq!(node.orders(&later.access).status, 200);
    assert_eq!(
        quash.get("/v1/me", Some(&pair.access)).status,
        401,
        "quash itself has ended the earlier tokens"
    );

    site.shell("from django.contrib.auth.models import User; u = User.objects.get(pk=1); u.set_password('another one'); u.save()");
    for old in [&pair.access, &access, &changed, &later.access] {
        let refused = node.orders(old);
        assert_eq!(
            (refused.status, refused.body["code"].as_str()),
            (401, Some("password_changed")),
            "{}",
            refused.text
        );
    }
}

#[test]
fn users_are_identified_as_on_the_node() {
    let Some(python) = python() else { return };
    let dir = QuashDir::new();
    let site = Site::new(&python, &dir);
    for (theirs, ours, expected) in [
        (r#""USER_ID_CLAIM": "sub""#, "user_id_claim = \"sub\"", json!({ "sub": "1" })),
        ("", "user_id_type = \"int\"", json!({ "user_id": 1 })),
        (r#""USER_ID_FIELD": "username""#, "user_id_field = \"username\"", json!({ "user_id": "dana" })),
        (
            r#""TOKEN_TYPE_CLAIM": "typ", "JTI_CLAIM": "id""#,
            "token_type_claim = \"typ\"\njti_claim = \"id\"",
            json!({ "typ": "access" }),
        ),
    ] {
        site.configure(&format!("SIMPLE_JWT = {{{theirs}}}"));
        let node = site.start();
        let quash = dir.quash(&format!("{SHARED}{ours}\n"));
        if quash.run(&["account", "show", "dana"], "").code() != 0 {
            add_account(&quash, "dana", "1");
        }
        let access = quash.sign_in("dana", PASSWORD).access;
        let said = claims(&access);
        assert!(
            expected.as_object().expect("claims").iter().all(|(name, value)| said[name] == *value),
            "{said}"
        );
        let taken = node.orders(&access);
        assert_eq!(
            (taken.status, &taken.body),
            (200, &json!({ "id": 1, "username": "dana" })),
            "{ours}: {}",
            taken.text
        );
    }
}

#[test]
fn numeric_user_ids_cannot_be_in_sub() {
    let Some(python) = python() else { return };
    let mut pyjwt = PyJwt::start(&python);
    for (said, expected) in [
        (json!({ "sub": 1 }), Err("InvalidSubjectError".into())),
        (json!({ "user_id": 1 }), Ok(json!({ "user_id": 1 }))),
    ] {
        let token = pyjwt.sign(&said, SECRET, "HS256", &json!({}));
        assert_eq!(pyjwt.verify(&token, "HS256", SECRET), expected);
    }
    // So quash refuses settings with which no node would accept its tokens.
    let dir = QuashDir::new();
    dir.write("quash.toml", &format!("{SHARED}user_id_type = \"int\"\nuser_id_claim = \"sub\"\n"));
    let mut check = quash();
    check.args(["config", "check", "--config"]).arg(dir.path().join("quash.toml"));
    let checked = run(check, "");
    assert_eq!(checked.code(), 2, "{}", checked.stdout);
    assert!(checked.stderr.contains("makes sub a number"), "{}", checked.stderr);
}

/// Writes the accounts of all users of the site into a pipe to `quash account add`.
const EXPORT: &str = "python manage.py shell -v 0 < export_users.py | quash account add --batch-stdin";

/// Imports all users of the site with the command line.
pub(crate) fn import_accounts(site: &Site, quash: &Server, python: &Path) {
    let programs = [python.parent(), Path::new(env!("CARGO_BIN_EXE_quash")).parent()]
        .map(|folder| folder.expect("a folder"));
    let path = std::env::join_paths(programs.into_iter().chain([Path::new("/usr/bin"), Path::new("/bin")]))
        .expect("paths");
    site.write("export_users.py", include_str!("site/export_users.py"));
    let mut command = Command::new("sh");
    command.arg("-c").arg(EXPORT).current_dir(site.folder());
    command.env_clear().env("PATH", path).env("QUASH_DATA_DIR", &quash.data_dir);
    store::choose(&mut command, &quash.data_dir, &[]);
    let ended = run(command, "");
    assert!(ended.status.success(), "{}{}", ended.stdout, ended.stderr);
    let added = quash.run(&["account", "show", "dana", "--json"], "").json();
    assert_eq!((&added["subject"], &added["password_usable"]), (&json!("1"), &json!(true)), "{added}");
}

/// Returns a token with another user's id, but the same signature.
fn tampered(token: &str) -> String {
    let mut parts: Vec<&str> = token.split('.').collect();
    let mut said = claims(token);
    said["user_id"] = json!("2");
    let payload = base64url(said.to_string().as_bytes());
    parts[1] = &payload;
    parts.join(".")
}

/// Returns Simple JWT's reason for refusing a token.
fn refusal(answer: &Answer) -> String {
    assert_eq!(
        (answer.status, answer.body["code"].as_str()),
        (401, Some("token_not_valid")),
        "{}",
        answer.text
    );
    let message = answer.body["messages"][0]["message"].as_str().or(answer.body["detail"].as_str());
    message.expect("a message").to_owned()
}
