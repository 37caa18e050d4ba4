//! `quash account` and `quash policy`: the effect of each command on tokens, its output, and its exit code.

use crate::support;

use serde_json::{Value, json};
use support::{Answer, Pair, Server, claims, on, quash, run};

const PASSWORD: &str = "correct horse battery staple";
const NEW: &str = "another horse battery staple";

struct World {
    server: Server,
}

impl World {
    fn start(args: &[&str]) -> Self {
        let server = Server::start(args);
        server.add_account("dana", PASSWORD);
        Self { server }
    }

    fn pair(&self) -> Pair {
        self.server.sign_in("dana", PASSWORD)
    }

    /// Runs a command that must succeed, and returns its `--json` output.
    fn account(&self, args: &[&str], stdin: &str) -> Value {
        self.server.run(&[&["account"], args, &["--json"]].concat(), stdin).json()
    }

    fn attempt(&self, password: &str) -> Answer {
        self.server.post_json("/api/token/", &json!({ "username": "dana", "password": password }), None)
    }

    fn me(&self, pair: &Pair) -> u16 {
        self.server.get("/v1/me", Some(&pair.access)).status
    }

    fn refresh(&self, pair: &Pair) -> Answer {
        self.server.post_json("/api/token/refresh/", &json!({ "refresh": pair.refresh }), None)
    }

    fn assert_dead(&self, pair: &Pair, reason: &str) {
        assert_eq!(self.me(pair), 401, "{reason}");
        let refused = self.refresh(pair);
        assert_eq!((refused.status, refused.body["reason"].as_str()), (401, Some(reason)));
    }
}

#[test]
fn a57_reactivation_does_not_revive_ended_sessions() {
    let world = World::start(&[]);
    let pair = world.pair();
    let told = world.account(&["deactivate", "dana", "--reason", "left the firm"], "");
    assert_eq!(told["state"], "deactivated");
    assert!(told["seq"].is_u64() && told["effective_at"].is_string(), "{told}");
    world.assert_dead(&pair, "deactivated");
    assert_eq!(world.attempt(PASSWORD).status, 401);
    let again = world.server.run(&["account", "deactivate", "dana"], "");
    assert_eq!((again.code(), again.stderr.contains("deactivated already")), (5, true), "{}", again.stderr);
    let told = world.account(&["reactivate", "dana"], "");
    assert_eq!((told["state"].as_str(), &told["seq"]), (Some("active"), &Value::Null));
    world.assert_dead(&pair, "deactivated");
    assert_eq!(world.me(&world.pair()), 200);
    assert_eq!(world.server.run(&["account", "reactivate", "dana"], "").code(), 5);
}

#[test]
fn locking_ends_sessions_and_can_be_undone() {
    let world = World::start(&[]);
    let pair = world.pair();
    let told = world.account(&["lock", "dana", "--for", "2d"], "");
    assert_eq!((told["state"].as_str(), told["locked_until"].is_string()), (Some("locked"), true), "{told}");
    world.assert_dead(&pair, "locked");
    assert_eq!(world.attempt(PASSWORD).status, 401);
    assert_eq!(world.account(&["unlock", "dana"], "")["state"], "active");
    assert_eq!(world.account(&["unlock", "dana"], "")["state"], "active", "a second time does no harm");
    assert_eq!(world.me(&world.pair()), 200);
    world.account(&["deactivate", "dana"], "");
    for command in ["lock", "unlock"] {
        let refused = world.server.run(&["account", command, "dana"], "");
        assert_eq!((refused.code(), refused.stderr.contains("reactivate")), (5, true), "{}", refused.stderr);
    }
    assert_eq!(world.account(&["show", "dana"], "")["state"], "deactivated");
}

#[test]
fn one_time_passwords_only_allow_a_password_change() {
    let world = World::start(&[]);
    let pair = world.pair();
    let told = world.account(&["one-time-password", "dana"], "");
    let password = told["password"].as_str().expect("a password");
    assert!(
        password.len() == 23 && told["until"].is_string() && told["must_change_until"] == told["until"],
        "{told}"
    );
    world.assert_dead(&pair, "password_set");
    assert_eq!(world.attempt(PASSWORD).body.get("code"), None);
    assert_eq!(world.attempt(password).body["code"], "password_change_required");
    let body = json!({ "username": "dana", "password": password, "new_password": NEW });
    assert_eq!(world.server.post_json("/v1/password", &body, None).status, 204);
    assert_eq!((world.attempt(password).status, world.attempt(NEW).status), (401, 200));
    let shown = world.account(&["show", "dana"], "");
    assert_eq!((&shown["must_change_until"], shown.to_string().contains(password)), (&Value::Null, false));
    let text = world.server.run(&["account", "one-time-password", "dana"], "");
    assert!(text.stdout.contains("good until") && text.code() == 0, "{}", text.stdout);
    let stopped = world.server.terminate();
    assert!(!stopped.stderr.contains(password), "it is in no log");
}

#[test]
fn passwords_can_be_set_and_removed() {
    let world = World::start(&[]);
    let pair = world.pair();
    world.account(&["set", "dana", "--password-stdin"], NEW);
    world.assert_dead(&pair, "password_set");
    assert_eq!((world.attempt(PASSWORD).status, world.attempt(NEW).status), (401, 200));
    let short = world.server.run(&["account", "set", "dana", "--password-stdin"], "short\n");
    assert_eq!((short.code(), short.stderr.contains("fewer than 8")), (2, true), "{}", short.stderr);
    assert_eq!(world.account(&["require-reset", "dana"], "")["password_usable"], false);
    assert_eq!(world.attempt(NEW).status, 401);
}

#[test]
fn names_and_addresses_are_set() {
    let world = World::start(&["--set", "accounts.login_fields=username,email"]);
    world.server.add_account("noor", PASSWORD);
    let pair = world.pair();
    assert_eq!(world.account(&["set", "dana", "--username", "kim"], "")["name"], "kim");
    assert_eq!(world.me(&pair), 200, "tokens call it by its subject");
    assert_eq!(world.account(&["set", "kim", "--email", "kim@example.org"], "")["state"], "unverified");
    world.assert_dead(&pair, "email_changed");
    assert_eq!(
        world.account(&["set", "kim", "--email", "kim@example.org", "--verified"], "")["state"],
        "active"
    );
    let by_address = json!({ "username": "kim@example.org", "password": PASSWORD });
    assert_eq!(world.server.post_json("/api/token/", &by_address, None).status, 200);
    for (args, code, says) in [
        (&["set", "noor", "--email", "KIM@example.org"][..], 5, "another account has"),
        (&["set", "noor", "--username", "Kim"], 5, "another account has"),
        (&["set", "noor", "--username", "a\u{200b}b"], 2, "invisible"),
        (&["set", "noor", "--email", "nobody"], 2, "is not an e-mail address"),
        (&["set", "noor", "--email", "no..or@example.org"], 2, "is not an e-mail address"),
        (&["add", "odd", "--email", "odd@[127.0.0.1]"], 2, "is not an e-mail address"),
        (&["set", "noor", "--email", "a@b.example", "--username", "b"], 2, "cannot be used with"),
        (&["set", "noor"], 2, "required"),
        (&["set", "nobody", "--username", "b"], 4, "there is no account"),
        (&["deactivate", "noor", "--reason", "a\nb"], 2, "control character"),
        (&["deactivate", "noor", "--reason", &"x".repeat(257)], 2, "longer than 256"),
        (&["lock", "noor", "--for", "soon"], 2, "unit"),
        (&["delete", "noor"], 2, "--yes"),
    ] {
        let refused = world.server.run(&[&["account"], args].concat(), "");
        assert_eq!(
            (refused.code(), refused.stderr.contains(says)),
            (code, true),
            "{args:?}: {}",
            refused.stderr
        );
    }
}

#[test]
fn the_next_refresh_has_the_new_claims() {
    let world = World::start(&[]);
    let pair = world.pair();
    let told =
        world.account(&["set", "dana", "--claims-stdin"], "{ \"role\": \"editor\",\n \"teams\": [1, 2] }\n");
    assert_eq!(told["claims"], json!({ "role": "editor", "teams": [1, 2] }));
    assert_eq!(world.me(&pair), 401, "access tokens from before have ended");
    let next = world.refresh(&pair);
    assert_eq!(claims(next.body["access"].as_str().expect("a token"))["role"], "editor");
    let text = world.server.run(&["account", "show", "dana"], "");
    assert!(text.stdout.contains("{\"role\":\"editor\",\"teams\":[1,2]}"), "{}", text.stdout);
    for (json, says) in [
        ("{\"sid\":\"x\"}", "the claim name \"sid\" is reserved"),
        ("{\"user_id\":\"x\"}", "the claim name \"user_id\" is reserved"),
        ("[]", "not a JSON object"),
        ("", "not a JSON object"),
        (&format!("{{\"a\":\"{}\"}}", "x".repeat(4096)), "at most 4096 bytes"),
        (&" ".repeat(20_000), "longer than 16384"),
    ] {
        let refused = world.server.run(&["account", "set", "dana", "--claims-stdin"], json);
        assert_eq!((refused.code(), refused.stderr.contains(says)), (2, true), "{}", refused.stderr);
    }
    assert_eq!(world.account(&["set", "dana", "--claims-stdin"], "{}")["claims"], json!({}));
}

#[test]
fn setting_the_same_value_has_no_effect() {
    let world = World::start(&[]);
    let hash = "pbkdf2_sha256$10$uqZlmSoPEuJNjWxOnGTzHz$Da69/IhV1B9SnRk3poBfYNDgeGwQElGo3unJDyYD52o=";
    let set = |args: &[&str], stdin: &str| world.account(&[&["set", "dana"], args].concat(), stdin);
    assert_eq!(set(&["--password-hash-stdin"], hash)["password_usable"], true);
    set(&["--email", "dana@example.org", "--verified"], "");
    set(&["--claims-stdin"], "{\"role\":\"editor\",\"team\":1}");
    let newest = || {
        world.server.run(&["audit", "list", "--json", "--limit", "200"], "").json()["entries"]
            .as_array()
            .map(Vec::len)
    };
    let confirmed = world.account(&["show", "dana"], "")["email_verified_at"].clone();
    let before = newest();
    // Before the sign-in, which makes a hash of its own and an entry.
    assert_eq!(set(&["--password-hash-stdin"], hash)["seq"], Value::Null);
    assert_eq!(newest(), before, "the same hash");
    let pair = world.pair();
    let before = newest();
    for (args, stdin) in [
        (&["--claims-stdin"][..], "{\"team\": 1, \"role\": \"editor\"}"),
        (&["--email", "dana@example.org"], ""),
        (&["--email", "dana@example.org", "--verified"], ""),
        (&["--username", "dana"], ""),
    ] {
        let told = set(args, stdin);
        assert_eq!(
            (&told["seq"], &told["email_verified_at"], &told["state"]),
            (&Value::Null, &confirmed, &json!("active")),
            "{args:?}"
        );
        assert_eq!((world.me(&pair), newest()), (200, before), "{args:?}");
    }
    assert_eq!(world.account(&["unlock", "dana"], "")["state"], "active");
    assert_eq!((world.me(&pair), newest()), (200, before), "it wasn't locked");
    // A different value has its effect.
    assert!(set(&["--claims-stdin"], "{\"role\":\"reader\"}")["seq"].is_u64());
    let until = world.account(&["lock", "dana", "--for", "2d"], "")["locked_until"].clone();
    let before = newest();
    let again = world.account(&["lock", "dana", "--for", "1h"], "");
    assert_eq!(
        (&again["locked_until"], &again["seq"], newest()),
        (&until, &Value::Null, before),
        "it is locked for longer"
    );
    let longer = world.account(&["lock", "dana", "--for", "3d"], "");
    assert_eq!(
        (longer["locked_until"] == until, &longer["seq"]),
        (false, &Value::Null),
        "nothing is left to end"
    );
    world.account(&["require-reset", "dana"], "");
    let before = newest();
    assert_eq!((&world.account(&["require-reset", "dana"], "")["seq"], newest()), (&Value::Null, before));
    world.account(&["deactivate", "dana"], "");
    let before = newest();
    assert_eq!((world.server.run(&["account", "deactivate", "dana"], "").code(), newest()), (5, before));
}

#[test]
fn a_deleted_account_is_gone() {
    let world = World::start(&[]);
    let pair = world.pair();
    let subject = world.account(&["show", "dana"], "")["subject"].as_str().expect("a subject").to_owned();
    let ended = world.account(&["delete", "dana", "--yes", "--reason", "asked for it"], "");
    assert_eq!((ended["scope"].as_str(), ended["target"].as_str()), (Some("account"), Some(&*subject)));
    assert_eq!((world.me(&pair), world.refresh(&pair).status), (401, 401));
    assert_eq!(world.server.run(&["account", "show", "dana"], "").code(), 4);
    let again = world.server.run(&["account", "add", "dana", "--subject", &subject], "");
    assert_eq!(again.code(), 5, "its subject belongs to no account: {}", again.stderr);
}

/// Every command that ends something also ends the access tokens that were issued before.
#[test]
fn every_ending_command_revokes_live_access_tokens() {
    let server = Server::start(&[]);
    let commands: [(&[&str], &str, &str); 13] = [
        (&["session", "end", "SESSION"], "", "ended"),
        (&["revoke", "session", "SESSION"], "", "revoked"),
        (&["revoke", "account", "NAME"], "", "revoked"),
        (&["account", "deactivate", "NAME"], "", "deactivated"),
        (&["account", "delete", "NAME", "--yes"], "", ""),
        (&["account", "lock", "NAME"], "", "locked"),
        (&["account", "set", "NAME", "--email", "new@example.org"], "", "email_changed"),
        (&["account", "set", "NAME", "--email", "newer@example.org", "--verified"], "", "email_changed"),
        (&["account", "set", "NAME", "--password-stdin"], NEW, "password_set"),
        (&["account", "one-time-password", "NAME"], "", "password_set"),
        (&["account", "require-reset", "NAME"], "", "password_set"),
        (&["account", "set", "NAME", "--claims-stdin"], "{\"role\":\"reader\"}", ""),
        (&["revoke", "everything", "--yes"], "", "revoked"),
    ];
    server.add_account("untouched", PASSWORD);
    let untouched = server.sign_in("untouched", PASSWORD);
    for (number, (command, stdin, reason)) in commands.into_iter().enumerate() {
        let name = format!("user{number}");
        server.add_account(&name, PASSWORD);
        let pair = server.sign_in(&name, PASSWORD);
        let sid = claims(&pair.access)["sid"].as_str().expect("a session").to_owned();
        let me = |pair: &Pair| server.get("/v1/me", Some(&pair.access)).status;
        assert_eq!((me(&pair), me(&untouched)), (200, 200), "{command:?}");
        let words: Vec<_> =
            command.iter().map(|word| word.replace("NAME", &name).replace("SESSION", &sid)).collect();
        let done = server.run(&words.iter().map(String::as_str).collect::<Vec<_>>(), stdin);
        assert_eq!((done.code(), me(&pair)), (0, 401), "{command:?}: {}", done.stderr);
        let refreshed = server.post_json("/api/token/refresh/", &json!({ "refresh": pair.refresh }), None);
        // New claims only end access tokens; a deleted account leaves no record of the reason.
        let told = (refreshed.status, refreshed.body["reason"].as_str());
        let expected = if command.contains(&"--claims-stdin") {
            (200, None)
        } else {
            (401, Some(reason).filter(|reason| !reason.is_empty()))
        };
        assert_eq!(told, expected, "{command:?}");
    }
    assert_eq!(server.get("/v1/me", Some(&untouched.access)).status, 401, "everything covers all accounts");
}

#[test]
fn everything_works_without_a_server_too() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let data_dir = dir.path().join("data");
    assert_eq!(on(&data_dir, &["account", "add", "dana"], "").code(), 0);
    assert_eq!(
        on(&data_dir, &["account", "deactivate", "dana", "--reason", "x", "--json"], "").json()["state"],
        "deactivated"
    );
    assert_eq!(on(&data_dir, &["account", "delete", "dana", "--yes"], "").code(), 0);
}

/// The author of a command is the system user, with and without a server.
#[test]
fn the_audit_records_author_and_reason() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let data_dir = dir.path().join("data");
    let server = Server::start_in(&data_dir, &[]);
    server.add_account("dana", PASSWORD);
    let lock = server.run(&["account", "lock", "dana", "--reason", "a lost phone"], "");
    assert_eq!(lock.code(), 0, "{}", lock.stderr);
    assert!(server.terminate().status.success());
    assert_eq!(on(&data_dir, &["account", "unlock", "dana"], "").code(), 0);
    let audit = on(&data_dir, &["audit", "list", "--json"], "").json();
    let of = |event: &str| {
        let entries = audit["entries"].as_array().expect("entries").iter();
        entries.rev().find(|entry| entry["event"] == event).expect("an entry").clone()
    };
    let (locked, unlocked) = (of("locked"), of("unlocked"));
    assert_eq!((locked["note"].as_str(), unlocked["note"].as_str()), (Some("a lost phone"), None));
    assert!(locked["author"].is_string() && locked["author"] == unlocked["author"], "{locked}");
}

#[test]
fn policy_show_prints_the_table_in_force() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let row = |shown: &Value, road: &str| {
        let roads = shown["roads"].as_array().expect("roads").clone();
        roads.into_iter().find(|row| row["road"] == road).unwrap_or_else(|| panic!("{road} is missing"))
    };
    let here = |args: &[&str]| {
        let mut command = quash();
        command.args(["policy", "show", "--json", "--data-dir"]).arg(dir.path().join("nothing")).args(args);
        run(command, "").json()
    };
    let shown = here(&[]);
    assert_eq!(shown["roads"].as_array().map(Vec::len), Some(24));
    assert_eq!(row(&shown, "claims_changed")["ends"], "access tokens; sessions stay live");
    assert_eq!(row(&shown, "name_changed")["ends"], "nothing");
    assert!(!dir.path().join("nothing").exists(), "looking makes nothing");
    let shown = here(&["--set", "claims.on_change=wait", "--set", "tokens.user_id_field=username"]);
    assert_eq!(
        (&row(&shown, "claims_changed")["ends"], &row(&shown, "claims_changed")["entry"]),
        (&json!("nothing"), &Value::Null)
    );
    assert_eq!(
        (&row(&shown, "name_changed")["ends"], &row(&shown, "name_changed")["entry"]),
        (&json!("all sessions"), &json!("subject"))
    );
    let server = Server::start(&["--set", "claims.on_change=wait"]);
    let shown = server.run(&["policy", "show", "--json"], "").json();
    assert_eq!(row(&shown, "claims_changed")["ends"], "nothing", "as the running server has it");
    let text = server.run(&["policy", "show"], "");
    assert!(
        text.stdout.contains("a spent refresh token is used again") && text.code() == 0,
        "{}",
        text.stdout
    );
}
