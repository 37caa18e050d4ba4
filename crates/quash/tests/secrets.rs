//! No secret is in a log (A88) or in clear in the database, and no default credentials exist (A98).

use crate::support;

use std::fs;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use support::smtp::{Behaviour, Received, SMTP_PASSWORD, Smtp, Wrapped, certificate, settings};
use support::{Answer, Server, quash, request, store};

const PASSWORD: &str = "tr0ub4dor and three";
const WRONG_PASSWORD: &str = "not-the-right-one-9317";
const NEW_PASSWORD: &str = "p4ssword for eve 5150";
const CLAIM: &str = "what-only-its-tokens-say-6614";
const COOKIE: &str = "__Host-quash-refresh";
/// A hash as Django writes it, at a low cost.
const HASH: &str = "pbkdf2_sha256$10$uqZlmSoPEuJNjWxOnGTzHz$Da69/IhV1B9SnRk3poBfYNDgeGwQElGo3unJDyYD52o=";
const PASSWORD_OF_HASH: &str = "correct horse battery staple";

#[test]
fn nothing_secret_is_logged_or_kept_in_clear() {
    for format in ["text", "json"] {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let data_dir = dir.path().join("data");
        let server = Server::start_in(
            &data_dir,
            &["--set", "log.level=trace", "--set", &format!("log.format={format}")],
        );
        server.add_account("dana", PASSWORD);
        let taken = server
            .run(&["account", "add", "dana", "--password-stdin", "--set", "log.level=trace"], NEW_PASSWORD);
        assert_eq!(taken.code(), 5);
        let mut said = taken.stdout + &taken.stderr;
        // One hash is accepted, one refused, and one replaced at sign-in: none is ever printed.
        for (name, hash, code) in [("eve", HASH, 0), ("eve", HASH, 5), ("finn", &HASH[..80], 2)] {
            let imported = server
                .run(&["account", "add", name, "--password-hash-stdin", "--set", "log.level=trace"], hash);
            assert_eq!(imported.code(), code, "{}", imported.stderr);
            said += &(imported.stdout + &imported.stderr);
        }
        server.sign_in("eve", PASSWORD_OF_HASH);
        let mut secrets = vec![
            PASSWORD.to_owned(),
            WRONG_PASSWORD.to_owned(),
            NEW_PASSWORD.to_owned(),
            PASSWORD_OF_HASH.to_owned(),
        ];
        let key = fs::read_to_string(data_dir.join("master.key")).expect("it is ours");
        secrets.push(key.trim().to_owned());

        let first = server.sign_in("dana", PASSWORD);
        let rotated = server.post_json("/api/token/refresh/", &json!({ "refresh": first.refresh }), None);
        let second = [&rotated.body["access"], &rotated.body["refresh"]]
            .map(|token| token.as_str().expect("a token").to_owned());
        secrets.extend([first.access.clone(), first.refresh.clone()].into_iter().chain(second.clone()));
        let wrong = json!({ "username": "dana", "password": WRONG_PASSWORD });
        assert_eq!(server.post_json("/api/token/", &wrong, None).status, 401);
        let cut_off = format!("{{\"username\": \"dana\", \"password\": \"{PASSWORD}\"");
        let json_type = [("Content-Type", "application/json")];
        assert_eq!(
            request(server.address, "POST", "/api/token/", &json_type, cut_off.as_bytes())
                .expect("an answer")
                .status,
            400
        );
        let in_query = format!("/v1/me?access={}", first.access);
        assert_eq!(server.get(&in_query, None).status, 401);
        assert_eq!(server.get("/v1/me", Some(&second[0])).status, 200);
        for token in [&first.access, &first.refresh] {
            server.post_json("/api/token/verify/", &json!({ "token": token }), None);
            let inspected = server.run(&["token", "inspect", "-"], token);
            assert_eq!(inspected.code(), 0);
            said += &inspected.stderr;
        }
        said += &ask_as_clients(&server, &second[0], &mut secrets);
        assert_eq!(
            server.post_json("/api/logout/", &json!({ "refresh": second[1] }), Some(&second[0])).status,
            200
        );
        assert_eq!(server.get("/v1/me", Some(&second[0])).status, 401);
        // Reusing a spent token logs a warning.
        server.post_json("/api/token/refresh/", &json!({ "refresh": first.refresh }), None);

        let finished = server.terminate();
        said += &finished.stdout;
        said += &finished.stderr;
        assert!(
            said.contains("TRACE") || said.contains("DEBUG"),
            "the log is as talkative as it can be: {said}"
        );
        assert!(!said.contains(&HASH[20..70]), "the hash is in: {said}");
        assert_unsaid(&said, &secrets);
        assert_not_kept(&data_dir, &secrets);
    }
}

/// Adds clients whose secrets are shown once, and introspects with each authentication method. Returns the
/// commands' output without the secrets.
fn ask_as_clients(server: &Server, token: &str, secrets: &mut Vec<String>) -> String {
    let mut said = String::new();
    for args in [
        &["client", "add", "shop", "--right", "introspect", "--right", "revoke"][..],
        &["verifier", "add", "chat"],
    ] {
        let added = server.run(&[args, &["--set", "log.level=trace"]].concat(), "");
        assert_eq!(added.code(), 0, "{}", added.stderr);
        let (name, secret) = (args[2], added.stdout.trim().to_owned());
        said += &added.stderr;
        let basic = format!("Basic {}", STANDARD.encode(format!("{name}:{secret}")));
        let in_body = format!("client_id={name}&client_secret={secret}&token={token}");
        for (authorization, body) in [
            (basic.clone(), format!("token={token}")),
            (format!("Bearer {secret}"), format!("token={token}")),
        ] {
            let headers =
                [("Content-Type", "application/x-www-form-urlencoded"), ("Authorization", &authorization)];
            let answer = request(server.address, "POST", "/oauth2/introspect", &headers, body.as_bytes())
                .expect("an answer");
            assert_eq!(answer.body["active"], true, "{}", answer.text);
        }
        let headers = [("Content-Type", "application/x-www-form-urlencoded")];
        let answer = request(server.address, "POST", "/oauth2/introspect", &headers, in_body.as_bytes())
            .expect("an answer");
        assert_eq!(answer.body["active"], true, "{}", answer.text);
        secrets.extend([secret, basic]);
    }
    said
}

/// Like the test above, for mails, the cookie and the commands of operators.
#[test]
fn a88_mails_cookies_and_commands_leak_no_secrets() {
    for format in ["text", "json"] {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let data_dir = dir.path().join("data");
        let smtp = Smtp::start_at(
            "127.0.0.1:0".parse().expect("an address"),
            Behaviour::Kind,
            Wrapped::AtOnce(certificate(dir.path())),
        );
        let mut command = quash();
        command.env("SSL_CERT_FILE", dir.path().join("trusted.pem"));
        let file = settings(dir.path(), smtp.address, "tls");
        let format = format!("log.format={format}");
        let sets = ["--set", "log.level=trace", "--set", &format, "--set", "cookies.refresh=on"];
        let server = Server::start_with(
            command,
            &data_dir,
            &[&["--config", file.to_str().expect("UTF-8")][..], &sets].concat(),
        );
        let mut heard =
            Transcript { server, smtp, said: String::new(), secrets: vec![SMTP_PASSWORD.to_owned()] };
        heard.run(
            &["account", "add", "dana", "--email", "dana@example.org", "--verified", "--password-stdin"],
            PASSWORD,
        );
        heard.run(&["account", "add", "max", "--email", "max@example.org", "--password-stdin"], PASSWORD);
        let access = heard.signs_in_with_a_cookie_and_changes_the_password();
        heard.follows_mails();
        heard.is_given_a_password_for_once();
        let claims = format!("{{\"note\":\"{CLAIM}\"}}");
        let set = heard
            .server
            .run(&["account", "set", "dana", "--claims-stdin", "--set", "log.level=trace"], &claims);
        assert_eq!(set.code(), 0, "{}", set.stderr);
        heard.said += &set.stderr;
        assert_eq!(heard.server.get("/v1/me", Some(&access)).status, 401);
        let Transcript { server, smtp, said, secrets } = heard;
        drop(smtp);
        let finished = server.terminate();
        let said = said + &finished.stdout + &finished.stderr;
        assert!(
            said.contains("TRACE") || said.contains("DEBUG"),
            "the log is as talkative as it can be: {said}"
        );
        assert!(secrets.len() > 15, "{}", secrets.len());
        assert_unsaid(&said, &secrets);
        assert_not_kept(&data_dir, &secrets);
        // Claims are in tokens and in the command's output, so only the log must not contain them.
        assert!(!said.contains(CLAIM), "a claim is in: {said}");
    }
}

/// A server with a mailbox, the output of it and its commands, and the secrets that must not be in the
/// output.
struct Transcript {
    server: Server,
    smtp: Smtp,
    said: String,
    secrets: Vec<String>,
}

impl Transcript {
    fn run(&mut self, args: &[&str], stdin: &str) {
        let done = self.server.run(&[args, &["--set", "log.level=trace"]].concat(), stdin);
        assert_eq!(done.code(), 0, "{args:?}: {}", done.stderr);
        self.said += &(done.stdout + &done.stderr);
        self.secrets.extend(args.contains(&"--password-stdin").then(|| stdin.to_owned()));
    }

    /// Posts JSON, with a cookie if there is one; the returned cookie and device token are secrets, too.
    fn post(&mut self, path: &str, body: &Value, access: Option<&str>, cookie: Option<&str>) -> Answer {
        let (access, cookie) =
            (access.map(|token| format!("Bearer {token}")), cookie.map(|token| format!("{COOKIE}={token}")));
        let mut headers = vec![("Content-Type", "application/json")];
        headers.extend(access.as_deref().map(|value| ("Authorization", value)));
        headers.extend(cookie.as_deref().map(|value| ("Cookie", value)));
        headers.push(("Quash-Device", ""));
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let answer =
            request(self.server.address, "POST", path, &headers, body.as_bytes()).expect("an answer");
        self.secrets.extend(refresh_cookie(&answer));
        self.secrets.extend(answer.header("quash-device").map(str::to_owned));
        self.secrets.extend(answer.body["access"].as_str().map(str::to_owned));
        answer
    }

    /// Returns an access token.
    fn signs_in_with_a_cookie_and_changes_the_password(&mut self) -> String {
        let signed_in =
            self.post("/api/token/", &json!({ "username": "dana", "password": PASSWORD }), None, None);
        assert!(signed_in.header("quash-device").is_some(), "and a device token");
        let cookie = refresh_cookie(&signed_in).expect("a cookie");
        let refreshed = self.post("/api/token/refresh/", &Value::Null, None, Some(&cookie));
        let access = refreshed.body["access"].as_str().expect("a token").to_owned();
        let change = |current: &str| json!({ "current_password": current, "new_password": NEW_PASSWORD });
        self.secrets.extend([WRONG_PASSWORD, NEW_PASSWORD].map(str::to_owned));
        assert_eq!(self.post("/v1/me/password", &change(WRONG_PASSWORD), Some(&access), None).status, 403);
        let changed = self.post("/v1/me/password", &change(PASSWORD), Some(&access), None);
        let access = changed.body["access"].as_str().expect("a token").to_owned();
        let cookie = refresh_cookie(&changed).expect("another cookie");
        // Two cookies in one request are refused, and a spent one later.
        let twice = format!("{cookie}; {COOKIE}={cookie}");
        assert_eq!(self.post("/api/token/refresh/", &Value::Null, None, Some(&twice)).status, 400);
        access
    }

    /// Returns the next mail, whose link is a secret.
    fn mail(&mut self) -> Received {
        let mut mails = std::iter::repeat_with(|| self.smtp.next());
        let mail = mails.find(|mail| mail.text().contains("?token=")).expect("a mail");
        self.secrets.extend([mail.token(), mail.code(), mail.code().replace('-', "")]);
        self.secrets.extend(mail.signed_in.clone());
        mail
    }

    fn follows_mails(&mut self) {
        let asked = self.post("/v1/password-reset", &json!({ "email": "dana@example.org" }), None, None);
        let mail = self.mail();
        assert_eq!(self.server.get(&format!("/reset?token={}", mail.token()), None).status, 200);
        let by_code = json!({ "flow": asked.body["flow"], "code": mail.code(), "new_password": "short" });
        assert_eq!(self.post("/v1/password-reset/confirm", &by_code, None, None).status, 400);
        let by_link = json!({ "token": mail.token(), "new_password": PASSWORD_OF_HASH });
        self.secrets.push(PASSWORD_OF_HASH.to_owned());
        assert_eq!(self.post("/v1/password-reset/confirm", &by_link, None, None).status, 200);
        let asked = self.post("/v1/email-verification", &json!({ "email": "max@example.org" }), None, None);
        let mail = self.mail();
        assert_eq!(self.server.get(&format!("/verify?token={}", mail.token()), None).status, 200);
        let by_code = json!({ "flow": asked.body["flow"], "code": mail.code() });
        assert_eq!(self.post("/v1/email-verification/confirm", &by_code, None, None).status, 200);
        // A used link isn't a secret any more, but still private.
        assert_eq!(
            self.post("/v1/email-verification/confirm", &json!({ "token": mail.token() }), None, None).status,
            400
        );
    }

    /// The password is only in the command's own output.
    fn is_given_a_password_for_once(&mut self) {
        let given = self.server.run(&["account", "one-time-password", "max", "--set", "log.level=trace"], "");
        let is_password = |word: &&str| word.len() == 23 && word.split('-').map(str::len).eq([5; 4]);
        let printed: Vec<_> = given.stdout.split_whitespace().filter(is_password).collect();
        let [password] = printed[..] else { panic!("it isn't printed once: {}", given.stdout) };
        self.said += &(given.stdout.replace(password, "") + &given.stderr);
        self.secrets.push(password.to_owned());
        let used = json!({ "username": "max", "password": password, "new_password": NEW_PASSWORD });
        assert_eq!(
            self.post("/api/token/", &json!({ "username": "max", "password": password }), None, None).status,
            401
        );
        assert_eq!(self.post("/v1/password", &used, None, None).status, 204);
    }
}

fn refresh_cookie(answer: &Answer) -> Option<String> {
    let set = answer.header("set-cookie")?.strip_prefix(COOKIE)?.strip_prefix('=')?;
    set.split(';').next().filter(|token| !token.is_empty()).map(str::to_owned)
}

/// Returns the part of a secret to search for; for a token, the signature is enough.
fn part(secret: &str) -> &str {
    secret.rsplit('.').next().unwrap_or(secret)
}

fn assert_unsaid(said: &str, secrets: &[String]) {
    for part in secrets.iter().map(|secret| part(secret)) {
        assert!(!said.contains(part), "{part} is in: {said}");
    }
}

fn assert_not_kept(data_dir: &Path, secrets: &[String]) {
    let files: Vec<Vec<u8>> = fs::read_dir(data_dir)
        .expect("it is ours")
        .map(|entry| entry.expect("it is readable").path())
        .filter(|path| path.file_name().is_some_and(|name| name != "master.key"))
        .map(|path| fs::read(path).expect("it is ours"))
        .collect();
    assert!(
        store::is_postgres() || files.iter().any(|bytes| bytes.windows(4).any(|window| window == b"dana")),
        "the database is among them"
    );
    for part in secrets.iter().map(|secret| part(secret)) {
        assert!(
            !files.iter().any(|bytes| bytes.windows(part.len()).any(|window| window == part.as_bytes())),
            "{part} is in a file"
        );
    }
}

#[test]
fn a98_first_starts_have_no_accounts_or_printed_secrets() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let data_dir = dir.path().join("data");
    let server = Server::start_in(&data_dir, &[]);
    assert_eq!(server.run(&["account", "list", "--json"], "").json()["accounts"], json!([]));
    for (name, password) in [("admin", "admin"), ("quash", "quash"), ("root", ""), ("", "")] {
        let answer =
            server.post_json("/api/token/", &json!({ "username": name, "password": password }), None);
        assert!(matches!(answer.status, 400 | 401), "{name}: {}", answer.status);
    }
    let key = fs::read_to_string(data_dir.join("master.key")).expect("it is ours");
    let finished = server.terminate();
    assert!(finished.stderr.contains("made the master key"), "{}", finished.stderr);
    assert!(!(finished.stdout + &finished.stderr).contains(key.trim()));
    let other = tempfile::tempdir().expect("a temporary directory");
    let server = Server::start_in(&other.path().join("data"), &[]);
    let other_key = fs::read_to_string(server.data_dir.join("master.key")).expect("it is ours");
    assert_ne!(key, other_key, "no two are alike");
}

#[test]
fn a87_user_agents_cannot_add_log_lines() {
    let names = [
        "dana\r\n2027-01-01T00:00:00Z  INFO forged",
        "\u{1b}[31mred",
        "\u{202e}anad",
        "\"},{\"level\":\"ERROR\"",
        "{}{}%s%n",
    ];
    for format in ["text", "json"] {
        let server = Server::start(&["--set", "log.level=trace", "--set", &format!("log.format={format}")]);
        server.add_account("dana", PASSWORD);
        for name in names {
            let body = json!({ "username": name, "password": WRONG_PASSWORD }).to_string();
            let agent = name.replace(['\r', '\n'], "\t");
            let headers = [("Content-Type", "application/json"), ("User-Agent", agent.as_str())];
            // A head with a control character is invalid.
            let wrong =
                request(server.address, "POST", "/api/token/", &headers, body.as_bytes()).expect("an answer");
            assert!(matches!(wrong.status, 401 | 400), "{}", wrong.text);
            let right = json!({ "username": "dana", "password": PASSWORD }).to_string();
            let answer = request(server.address, "POST", "/api/token/", &headers, right.as_bytes())
                .expect("an answer");
            assert!(matches!(answer.status, 200 | 400), "{}", answer.text);
        }
        let tail = server.run(&["audit", "tail"], "");
        let entries = server.run(&["audit", "list", "--json"], "").json();
        assert_eq!(Some(tail.stdout.lines().count()), entries["entries"].as_array().map(Vec::len));
        let said = server.terminate().stderr;
        for text in [&said, &tail.stdout] {
            assert!(
                !text.chars().any(|c| c != '\n' && (c.is_control() || c == '\u{202e}')),
                "something steers the terminal: {text:?}"
            );
        }
        for line in said.lines() {
            match format {
                "json" => assert!(
                    serde_json::from_str::<serde_json::Value>(line).is_ok_and(|event| event.is_object()),
                    "{line}"
                ),
                _ => assert!(line.starts_with("20") && line.as_bytes().get(10) == Some(&b'T'), "{line}"),
            }
        }
    }
}
