//! A recorded site, replaced by a quash: its settings, its accounts, and a running server.

use std::fmt::Write;

use serde_json::Value;
use tempfile::TempDir;

use super::recording::Settings;
use crate::support::{Server, request};

/// The secret of the recorded Django site, to sign its tokens again.
pub(crate) const DJANGO_SECRET: &str = "a secret of the recorded site, 50 characters long!";
/// The password of all accounts that have one.
pub(crate) const PASSWORD: &str = "pw-correct-1";
/// Its hash by Django, at a low cost. Tokens carry its mark only if the site has it, too.
const HASH: &str = "pbkdf2_sha256$10$uqZlmSoPEuJNjWxOnGTzHz$xV0dykv5uHeQgo8XCbzeSETJaVn2nkEXH5ZBbDa4F9M=";

/// The compatibility mode, and the key that quash signs with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Run {
    /// `compat = "standard"`, with a default key of quash's own.
    Standard,
    /// `compat = "strict"`, with Django's secret.
    Strict,
}

/// A running quash in place of the recorded site.
pub(crate) struct Site {
    /// Its name in the recording.
    pub(crate) name: String,
    pub(crate) server: Server,
    /// The challenge of a 401.
    pub(crate) challenge: String,
    /// The algorithm of quash's tokens.
    pub(crate) algorithm: &'static str,
    _dir: TempDir,
}

/// An account of the recorded site. Users that were deleted there don't exist here.
pub(crate) struct Known {
    pub(crate) name: &'static str,
    pub(crate) subject: &'static str,
    pub(crate) is_active: bool,
}

impl Run {
    fn algorithm(self) -> &'static str {
        match self {
            Self::Standard => "EdDSA",
            Self::Strict => "HS256",
        }
    }

    fn compat(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::Strict => "strict",
        }
    }
}

/// Returns the accounts of a site.
pub(crate) fn known(site: &str) -> &'static [Known] {
    const ALICE: Known = Known { name: "alice", subject: "1", is_active: true };
    if site.starts_with("inactive") {
        &[Known { name: "inactive", subject: "1", is_active: false }]
    } else {
        &[ALICE, Known { name: "inactive", subject: "2", is_active: false }]
    }
}

impl Site {
    /// Starts a server with the site's settings and accounts.
    pub(crate) fn start(name: &str, settings: &Settings, run: Run) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let config = dir.path().join("quash.toml");
        std::fs::write(&config, toml(settings, run)).expect("it is written");
        let server = Server::start_in(
            &dir.path().join("data"),
            &["--config", config.to_str().expect("a path of plain characters")],
        );
        let is_marked = settings.simple_jwt.contains_key("CHECK_REVOKE_TOKEN");
        let (option, password) =
            if is_marked { ("--password-hash-stdin", HASH) } else { ("--password-stdin", PASSWORD) };
        for account in known(name) {
            let mut args = vec!["account", "add", account.name, "--subject", account.subject, option];
            args.extend((!account.is_active).then_some("--deactivated"));
            let added = server.run(&args, password);
            assert!(added.status.success(), "{}", added.stderr);
        }
        let schemes = settings.simple_jwt.get("AUTH_HEADER_TYPES").and_then(|schemes| schemes[0].as_str());
        let challenge = format!("{} realm=\"api\"", schemes.unwrap_or("Bearer"));
        Self { name: name.to_owned(), server, challenge, algorithm: run.algorithm(), _dir: dir }
    }

    /// Returns the time by the server's clock.
    pub(crate) fn now(&self) -> i64 {
        let answer = request(self.server.address, "GET", "/livez", &[], b"").expect("an answer");
        let date = answer.header("date").expect("answers are dated");
        jiff::fmt::rfc2822::parse(date).expect("a date").timestamp().as_second()
    }
}

/// Returns the settings of a quash that replaces a Django site with these settings. Keys that Django doesn't
/// set get Simple JWT's default if that of quash differs.
fn toml(settings: &Settings, run: Run) -> String {
    let (compat, algorithm) = (run.compat(), run.algorithm());
    let mut toml = format!(
        "[tokens]\ncompat = \"{compat}\"\nforeign_tokens = \"accept\"\nalgorithm = \"{algorithm}\"\n"
    );
    if run == Run::Strict {
        writeln!(toml, "signing_key = \"{DJANGO_SECRET}\"").expect("it is written");
    }
    for default in ["ROTATE_REFRESH_TOKENS", "BLACKLIST_AFTER_ROTATION"] {
        if !settings.simple_jwt.contains_key(default) {
            writeln!(toml, "{} = false", default.to_lowercase()).expect("it is written");
        }
    }
    for (name, value) in &settings.simple_jwt {
        writeln!(toml, "{} = {}", name.to_lowercase(), setting(name, value)).expect("it is written");
    }
    // The claim with the password's mark depends on its hash, which therefore must not change.
    let rehash = !settings.simple_jwt.contains_key("CHECK_REVOKE_TOKEN");
    writeln!(toml, "[passwords]\nrehash = {rehash}\n[rotation]\ngrace = \"0s\"").expect("it is written");
    writeln!(
        toml,
        "[foreign.django]\nalgorithm = \"HS256\"\nshared_secret = \"{DJANGO_SECRET}\"\nmax_lifetime = \"1d\""
    )
    .expect("it is written");
    toml
}

/// Converts a value of `SIMPLE_JWT` to quash's setting of the same name.
fn setting(name: &str, value: &Value) -> String {
    match (name, value) {
        ("LEEWAY", Value::Number(seconds)) => format!("\"{seconds}s\""),
        ("AUTH_TOKEN_CLASSES", Value::Array(classes)) => {
            let types = classes.iter().map(|class| match class.as_str() {
                Some("rest_framework_simplejwt.tokens.AccessToken") => "\"access\"",
                Some("rest_framework_simplejwt.tokens.SlidingToken") => "\"sliding\"",
                other => panic!("an unknown class: {other:?}"),
            });
            format!("[{}]", types.collect::<Vec<_>>().join(", "))
        }
        // Texts, switches and lists of texts have the same form in JSON and TOML.
        _ => value.to_string(),
    }
}
