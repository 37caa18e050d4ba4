//! Requests that schemathesis makes from the server's OpenAPI document, valid ones and others, with each kind of
//! credential. No response may be a server error, or differ from the document in its status, media type, headers or
//! body.

use crate::support;

use std::path::PathBuf;
use std::process::Command;

use support::{Server, rounds};

const PASSWORD: &str = "a password of dana's";
/// The checks of requests. Numbers are read as texts, and no generated token or password is a real one, so the schema
/// doesn't decide whether a request is refused.
const LEFT_OUT: &str = "positive_data_acceptance,negative_data_rejection";
/// Follows the feed until the client ends it.
const ENDLESS: &str = "followFeed";

#[test]
fn soak_requests_without_credentials_get_documented_responses() {
    check(|_| None, &[]);
}

#[test]
fn soak_requests_with_an_access_token_get_documented_responses() {
    // These would end the token.
    let ends = ["endAllSessions", "endOtherSessions"];
    check(|server| Some(server.sign_in("dana", PASSWORD).access), &ends);
}

#[test]
fn soak_requests_of_a_client_get_documented_responses() {
    let add = ["client", "add", "site"];
    let rights = ["feed", "introspect", "revoke", "accounts"].map(|right| ["--right", right]).concat();
    check(|server| Some(server.run(&[&add[..], &rights].concat(), "").stdout.trim().to_owned()), &[]);
}

/// Runs schemathesis with a credential, for all operations but some, and prints the number of requests.
#[expect(clippy::print_stderr, reason = "the figure of a soak")]
fn check(credential: impl FnOnce(&Server) -> Option<String>, without: &[&str]) {
    let Some(schemathesis) = schemathesis() else { return };
    let server = Server::start(&["--set", "registration.enabled=true"]);
    server.add_account("dana", PASSWORD);
    let credential = credential(&server);
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = Command::new(schemathesis);
    command.current_dir(folder.path()).arg("run").arg(format!("{}/openapi.json", server.url));
    // About 300 requests, or all phases with many.
    let phases = if rounds(0, 1) == 0 { "fuzzing" } else { "examples,coverage,fuzzing,stateful" };
    command.args(["--phases", phases, "--max-examples", &rounds(5, 50).to_string()]);
    command.args(["--exclude-checks", LEFT_OUT, "--exclude-operation-id", ENDLESS]);
    command.args(without.iter().flat_map(|id| ["--exclude-operation-id", id]));
    command.args(["--suppress-health-check", "all", "--warnings", "off", "--request-timeout", "30"]);
    if rounds(0, 1) == 0 {
        command.args(["--seed", "1"]);
    }
    if let Some(credential) = credential {
        command.arg("--header").arg(format!("Authorization: Bearer {credential}"));
    }
    let output = command.output().expect("schemathesis starts");
    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{shown}\n{}", String::from_utf8_lossy(&output.stderr));
    let count = shown.lines().find(|line| line.contains(" generated, ")).unwrap_or_else(|| panic!("{shown}"));
    eprintln!("schemathesis: {}", count.trim());
    let stopped = server.terminate();
    assert!(stopped.status.success(), "{}", stopped.stderr);
}

/// Returns the program that `cargo xtask test` installs; if it is missing, prints a note and returns `None`.
#[expect(clippy::print_stderr, reason = "a test that is skipped must say so")]
#[expect(
    clippy::disallowed_methods,
    reason = "the environment names the tools that a test needs besides Rust"
)]
fn schemathesis() -> Option<PathBuf> {
    let named = std::env::var_os("QUASH_TEST_SCHEMATHESIS").map(PathBuf::from);
    if named.is_none() {
        eprintln!(
            "skipped: this test needs schemathesis; `cargo xtask test` installs it and sets QUASH_TEST_SCHEMATHESIS"
        );
    }
    named
}
