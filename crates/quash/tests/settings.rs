//! Invalid settings stop the start (A97): exit code 2, with the key, its location, the fault and the remedy.
//! No file is created before all settings are valid.

use crate::support;

use std::fs;

use support::{Finished, quash, run};

/// Key, value as TOML, value as plain text, and a part of the fault.
const WRONG: &[(&str, &str, &str, &str)] = &[
    ("tokens.access_token_lifetime", "\"15 min\"", "15 min", "has a blank in it"),
    ("tokens.access_token_lifetime", "\"1,5h\"", "1,5h", "isn't a whole number"),
    ("tokens.access_token_lifetime", "\" 5m\"", " 5m", "has a blank in it"),
    ("tokens.access_token_lifetime", "\"P1D\"", "P1D", "ISO 8601"),
    ("tokens.access_token_lifetime", "\"-5m\"", "-5m", "is negative"),
    ("tokens.access_token_lifetime", "\"0s\"", "0s", "is zero"),
    ("tokens.access_token_lifetime", "300", "300", "has no unit"),
    ("tokens.refresh_token_lifetime", "\"0d\"", "0d", "is zero"),
    ("tokens.refresh_token_lifetime", "\"99999999999999999999w\"", "99999999999999999999w", "is longer than"),
    ("tokens.leeway", "\"6m\"", "6m", "is longer than 5m"),
    ("tokens.algorithm", "\"none\"", "none", "isn't a known word"),
    ("tokens.algorithm", "\"hs256\"", "hs256", "isn't a known word"),
    ("tokens.issuer", "\"\"", "", "is empty"),
    ("tokens.issuer", "\"http://auth.example\"", "http://auth.example", "is an http address"),
    ("tokens.user_id_claim", "\"exp\"", "exp", "another meaning"),
    ("tokens.user_id_claim", "\"sid\"", "sid", "another meaning"),
    ("tokens.jti_claim", "\"rsq\"", "rsq", "another meaning"),
    ("tokens.token_type_claim", "\"gen\"", "gen", "another meaning"),
    ("tokens.user_id_claim", "\"jti\"", "jti", "is already the value of tokens.jti_claim"),
    ("tokens.compat", "\"loose\"", "loose", "isn't a known word"),
    ("rotation.grace", "\"-1s\"", "-1s", "is negative"),
    ("sessions.absolute_lifetime", "\"0s\"", "0s", "is zero"),
    ("sessions.max_per_account", "0", "0", "isn't a whole number"),
    ("http.listen", "\"0.0.0.0:0\"", "0.0.0.0:0", "other machines"),
    ("http.listen", "\"[::]:0\"", "[::]:0", "other machines"),
    ("http.listen", "\"8000\"", "8000", "isn't an IP address and a port"),
    ("http.listen", "\"unix:quash.sock\"", "unix:quash.sock", "isn't an absolute path"),
    ("http.tls_cert", "\"c.pem\"", "c.pem", "is set without a key"),
    ("http.tls_key", "\"k.pem\"", "k.pem", "is set without a certificate"),
    ("http.paths", "{ token = \"/docs\" }", "token=/docs", "quash uses itself"),
    ("http.paths", "{ token = \"/a\", me = \"/a\" }", "token=/a,me=/a", "both token and me"),
    ("http.cors_origins", "\"*\"", "*", "has a *"),
    ("http.cors_origins", "\"https://app.example/\"", "https://app.example/", "more than scheme"),
    ("accounts.login_fields", "[\"phone\"]", "phone", "isn't a sign-in name"),
    ("accounts.numeric_names", "\"some\"", "some", "neither true nor false"),
    ("accounts.username_field", "\"e-mail\"", "e-mail", "isn't the name of a field"),
    ("claims.on_change", "\"never\"", "never", "isn't a known word"),
    ("cookies.refresh", "\"yes\"", "yes", "isn't a known word"),
    ("http.behind_proxy", "true", "true", "is set without the proxy's addresses"),
    ("http.trusted_proxies", "\"::/0\"", "::/0", "every client"),
    ("http.behind_proxy", "\"yes\"", "yes", "neither true nor false"),
    ("registration.link_lifetime", "\"1m\"", "1m", "is shorter than 10m"),
    ("storage.engine", "\"mysql\"", "mysql", "isn't a known word"),
    ("storage.engine", "\"postgres\"", "postgres", "is \"postgres\" without a database"),
    ("storage.group_access", "\"quash\"", "quash", "neither true nor false"),
    ("traces.endpoint", "\"collector\"", "collector", "isn't an http or https address"),
    ("log.level", "\"loud\"", "loud", "isn't a known word"),
    ("tokens.acess_token_lifetime", "\"5m\"", "5m", "isn't a setting that quash knows"),
    ("token.issuer", "\"a\"", "a", "isn't a setting that quash knows"),
];

fn serve(file: Option<&str>, variable: Option<(&str, &str)>, args: &[&str]) -> Finished {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let data_dir = dir.path().join("data");
    let mut command = quash();
    command.arg("serve").arg("--data-dir").arg(&data_dir).args(args).envs(variable);
    if let Some(text) = file {
        let path = dir.path().join("q.toml");
        fs::write(&path, text).expect("it is ours");
        command.arg("--config").arg(path);
    }
    let finished = run(command, "");
    assert!(!data_dir.exists(), "nothing is created before the settings are valid");
    finished
}

fn assert_refused(finished: &Finished, origin: &str, mentions: &[&str]) {
    assert_eq!(finished.code(), 2, "{}{}", finished.stdout, finished.stderr);
    for mention in mentions.iter().chain([&origin, &"\n hint: "]) {
        assert!(finished.stderr.contains(mention), "{mention} isn't in: {}", finished.stderr);
    }
}

#[test]
fn wrong_settings_in_the_file_are_refused() {
    for (key, toml, _, fault) in WRONG {
        let (section, name) = key.split_once('.').expect("a section and a name");
        let finished = serve(Some(&format!("# settings\n[{section}]\n{name} = {toml}\n")), None, &[]);
        let (line, named) = if section == "token" { (2, "[token]") } else { (3, *key) };
        assert_refused(&finished, &format!("q.toml:{line})"), &[named, fault]);
    }
}

#[test]
fn wrong_settings_in_the_environment_are_refused() {
    for (key, _, plain, fault) in WRONG {
        let variable = format!("QUASH_{}", key.replace('.', "_").to_uppercase());
        let finished = serve(None, Some((&variable, plain)), &[]);
        let unknown = fault.contains("knows");
        let named = if unknown { variable.as_str() } else { key };
        assert_refused(&finished, &format!("(environment variable {variable})"), &[named, fault]);
    }
}

#[test]
fn wrong_settings_in_flags_are_refused() {
    for (key, _, plain, fault) in WRONG {
        assert_refused(
            &serve(None, None, &["--set", &format!("{key}={plain}")]),
            "(flag --set)",
            &[key, fault],
        );
    }
    let finished = serve(None, None, &["--listen", "0.0.0.0:0"]);
    assert_refused(&finished, "(flag --listen)", &["http.listen", "other machines", "behind_proxy"]);
    let finished = serve(None, Some(("QUASH_LISTEN", "localhost")), &[]);
    assert_refused(&finished, "(environment variable QUASH_LISTEN)", &["http.listen"]);
}

#[test]
fn unreadable_settings_files_are_refused() {
    let finished = serve(None, None, &["--config", "nowhere/quash.toml"]);
    assert_refused(&finished, "nowhere/quash.toml", &["can't be read"]);
    assert_refused(&serve(Some("[tokens\n"), None, &[]), "q.toml:1", &["isn't TOML"]);
    assert_refused(&serve(Some(&"#".repeat(1024 * 1024 + 1)), None, &[]), "q.toml", &["longer than 1 MiB"]);
}

#[test]
fn every_command_checks_the_settings() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    for args in [&["account", "list"][..], &["revoke", "everything", "--yes"], &["session", "list", "dana"]] {
        let mut command = quash();
        command.args(args).arg("--data-dir").arg(dir.path()).env("QUASH_ROTATION_GRACE", "soon");
        assert_refused(&run(command, ""), "QUASH_ROTATION_GRACE", &["rotation.grace"]);
    }
}

#[test]
fn a23_unnamed_proxies_cause_one_warning() {
    let server = support::Server::start(&[]);
    let body = br#"{"username":"dana","password":"x"}"#;
    for _ in 0..3 {
        let headers = [("Content-Type", "application/json"), ("X-Forwarded-For", "198.51.100.7")];
        let answer =
            support::request(server.address, "POST", "/api/token/", &headers, body).expect("an answer");
        assert_eq!(answer.status, 401);
    }
    let finished = server.terminate();
    assert_eq!(finished.stderr.matches("http.trusted_proxies").count(), 1, "{}", finished.stderr);
    assert!(!finished.stderr.contains("198.51.100.7"), "no address is logged: {}", finished.stderr);
}

#[test]
fn behind_proxy_allows_any_listen_address() {
    let server = support::Server::start(&[
        "--set",
        "http.behind_proxy=true",
        "--set",
        "http.trusted_proxies=10.0.0.5",
        "--listen",
        "0.0.0.0:0",
    ]);
    assert_eq!(server.get("/livez", None).status, 200);
}
