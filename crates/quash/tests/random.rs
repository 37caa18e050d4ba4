//! Random requests to the running binary over persistent connections: none may cause a 5xx or an unexpected
//! close. They follow from a seed, so that a failure can be reproduced.

use crate::support;

use std::collections::BTreeMap;
use std::fs;

use quash_core::model::{Entropy, Kid, Seeded};
use quash_core::token::{Algorithm, SigningKey};
use serde_json::{Value, json};
use support::http::Connection;
use support::wait::later;
use support::{Pair, Server, claims, header, rounds};

const PASSWORD: &str = "correct horse battery staple";
const SECRET: &str = "a secret for random requests that nobody else has, of many bytes";
const SETTINGS: &str = r#"
[tokens]
algorithm = "HS256"
signing_key_file = "secret"
auth_token_classes = ["access", "sliding"]
foreign_tokens = "accept"
update_last_login = true
check_revoke_token = true
issuer = "https://auth.example"
[passwords]
rehash = false
[foreign.same]
algorithm = "HS256"
shared_secret_file = "secret"
max_lifetime = "30d"
issuer = "*"
[http]
cors_origins = "https://app.example"
"#;

/// Every path, and the member of a body that it reads first, if it reads any.
const ENDPOINTS: [(&str, &str); 40] = [
    ("/api/token/", "username"),
    ("/api/token/sliding/", "username"),
    ("/api/token/refresh/", "refresh"),
    ("/api/token/sliding/refresh/", "token"),
    ("/api/token/verify/", "token"),
    ("/api/token/blacklist/", "refresh"),
    ("/api/logout/", "refresh"),
    ("/v1/me", ""),
    ("/v1/forward-auth", ""),
    ("/v1/me/password", "current_password"),
    ("/v1/me/deactivate", "password"),
    ("/v1/me/sessions", ""),
    ("/v1/me/sessions/end-others", ""),
    ("/v1/me/sessions/end-all", ""),
    ("/v1/me/sessions/01a20af06c05771097b1318de6f7c85b", ""),
    ("/v1/password", "username"),
    ("/v1/password-reset", "email"),
    ("/v1/password-reset/confirm", "token"),
    ("/v1/email-verification", "email"),
    ("/v1/email-verification/confirm", "token"),
    ("/v1/registration", "username"),
    ("/v1/me/email", "email"),
    ("/v1/me/email/confirm", "token"),
    ("/reset", "token"),
    ("/verify", "token"),
    ("/email", "token"),
    ("/oauth2/introspect", "token"),
    ("/oauth2/revoke", "token"),
    ("/v1/feed/snapshot", ""),
    ("/v1/feed/lease", ""),
    ("/admin/v1/accounts/batch", "accounts"),
    ("/admin/v1/accounts/17", "username"),
    ("/metrics", ""),
    ("/.well-known/oauth-authorization-server", ""),
    ("/.well-known/jwks.json", ""),
    ("/", ""),
    ("/docs/errors/", ""),
    ("/docs/errors/token_not_valid", ""),
    ("/readyz", ""),
    ("/livez", ""),
];

/// The source of random values.
struct RandomSource {
    seeded: Seeded,
    key: SigningKey,
    tokens: Vec<String>,
    /// The secret of a client that may follow the feed, and that of a client with all other rights.
    secrets: [String; 2],
}

/// Returns whether a path is for other services.
fn is_for_services(path: &str) -> bool {
    ["/oauth2/", "/v1/feed/", "/admin/", "/metrics"].iter().any(|start| path.starts_with(start))
}

impl RandomSource {
    fn below(&self, end: usize) -> usize {
        usize::from(u16::from_le_bytes(quash_core::model::draw(&self.seeded))) % end
    }

    fn one_in(&self, count: usize) -> bool {
        self.below(count) == 0
    }

    fn one_of<'a, T: ?Sized>(&self, choices: &[&'a T]) -> &'a T {
        choices[self.below(choices.len())]
    }

    fn bytes(&self, most: usize) -> Vec<u8> {
        let mut bytes = vec![0; self.below(most + 1)];
        self.seeded.fill(&mut bytes);
        bytes
    }

    /// Returns a random text, usually with unusual characters.
    fn text(&self) -> String {
        let odd = [
            "", " ", "dana", "\u{0}", "\u{202e}", "\u{feff}", "ﬀ", "😀", "null", "-1", "1e999", "../..",
            "%00", "\"", "\\", "a.b.c", PASSWORD,
        ];
        match self.below(4) {
            0 => String::from_utf8_lossy(&self.bytes(40)).into_owned(),
            1 => "x".repeat(self.below(9000)),
            _ => (*self.one_of(&odd.each_ref().map(|text| *text))).to_owned(),
        }
    }

    fn value(&self, depth: usize) -> Value {
        match self.below(if depth > 3 { 7 } else { 9 }) {
            0 => Value::Null,
            1 => json!(self.one_in(2)),
            2 => json!(i64::from_le_bytes(quash_core::model::draw(&self.seeded))),
            3 => json!(f64::from_le_bytes(quash_core::model::draw(&self.seeded))),
            4 => json!(1_700_000_000 + self.below(60_000)),
            5 | 6 => json!(self.text()),
            7 => (0..self.below(4)).map(|_| self.value(depth + 1)).collect(),
            _ => Value::Object((0..self.below(4)).map(|_| (self.text(), self.value(depth + 1))).collect()),
        }
    }

    /// Returns an issued token, a token with other claims and a good signature, or a damaged one.
    fn token(&self) -> String {
        let token = self.tokens[self.below(self.tokens.len())].clone();
        match self.below(5) {
            0 | 1 => token,
            2 => self.forged(&token),
            3 => {
                let mut bytes = token.into_bytes();
                for _ in 0..=self.below(3) {
                    let place = self.below(bytes.len());
                    bytes[place] = b"A-_.=9\x7f "[self.below(8)];
                }
                String::from_utf8_lossy(&bytes).into_owned()
            }
            _ => token[..self.below(token.len())].to_owned(),
        }
    }

    fn forged(&self, token: &str) -> String {
        const CLAIMS: [&str; 14] = [
            "token_type",
            "exp",
            "iat",
            "nbf",
            "jti",
            "user_id",
            "sid",
            "rsq",
            "gen",
            "aud",
            "iss",
            "refresh_exp",
            "hash_password",
            "x",
        ];
        let mut said = claims(token);
        for _ in 0..=self.below(2) {
            let claim = CLAIMS[self.below(CLAIMS.len())];
            let members = said.as_object_mut().expect("claims");
            if self.one_in(3) {
                members.remove(claim);
            } else {
                let value = match claim {
                    "token_type" => json!(self.one_of(&["access", "refresh", "sliding", "Access", ""])),
                    "sid" | "jti" if self.one_in(2) => {
                        claims(&self.tokens[self.below(self.tokens.len())])[claim].clone()
                    }
                    _ => self.value(2),
                };
                members.insert(claim.into(), value);
            }
        }
        self.key.sign(said.to_string().as_bytes()).expect("a signature")
    }

    fn fields(&self, first: &str) -> Value {
        let mut fields = serde_json::Map::new();
        // Complete forms make the server hash a password, so they are rare.
        let whole = first == "username" && self.one_in(12);
        if whole {
            fields.insert("username".into(), json!(self.one_of(&["dana", "DANA", "noor", "nobody"])));
            fields.insert("password".into(), json!(self.one_of(&[PASSWORD, "wrong", "\u{0}"])));
        } else if first == "username" {
            fields.insert(self.one_of(&["username", "password"]).to_owned(), self.value(0));
        } else {
            let token = if self.one_in(5) { self.value(0) } else { json!(self.token()) };
            fields.insert(first.to_owned(), token);
        }
        if self.one_in(3) {
            fields.insert(self.text(), self.value(0));
        }
        Value::Object(fields)
    }

    fn body(&self, first: &str) -> (&'static str, Vec<u8>) {
        let fields = self.fields(first);
        if self.one_in(40) {
            return (
                "application/json",
                format!("{fields}{}", " ".repeat(60_000 + self.below(20_000))).into_bytes(),
            );
        }
        match self.below(8) {
            0 => ("application/json", self.bytes(300)),
            1 => ("application/json", self.damaged(fields.to_string().into_bytes())),
            2 => {
                let pairs = fields.as_object().expect("fields").iter();
                let pairs = pairs.map(|(name, value)| {
                    (name.clone(), value.as_str().map_or_else(|| value.to_string(), str::to_owned))
                });
                ("application/x-www-form-urlencoded", form(pairs))
            }
            3 => ("multipart/form-data; boundary=X", multipart(&fields)),
            4 => ("multipart/form-data; boundary=X", self.damaged(multipart(&fields))),
            5 => (["text/plain", "", "application/xml", "*/*"][self.below(4)], self.bytes(60)),
            6 => ("application/json", self.value(0).to_string().into_bytes()),
            _ => ("application/json", fields.to_string().into_bytes()),
        }
    }

    fn damaged(&self, mut bytes: Vec<u8>) -> Vec<u8> {
        for _ in 0..=self.below(4) {
            let place = self.below(bytes.len());
            match self.below(3) {
                0 => bytes[place] = self.bytes(1).first().copied().unwrap_or(0),
                1 => bytes.insert(place, b"\"{}[],:\\\0-"[self.below(10)]),
                _ => bytes.truncate(place.max(1)),
            }
        }
        bytes
    }

    /// Returns bytes that are allowed in a header value.
    fn header_value(&self) -> String {
        self.bytes(30).into_iter().map(|byte| char::from(b' ' + byte % 95)).collect()
    }

    /// Returns a mostly well-formed request for a lease.
    fn lease(&self, path: &str) -> String {
        let cursor = self.one_of(&[
            "17179869184.AAAAAAAAAAAAAAAAAAAAAA",
            "0.AAAAAAAAAAAAAAAAAAAAAA",
            "9007199254740991.A",
            "x",
            "",
        ]);
        let instance =
            self.one_of(&["01010101010101010101010101010101", "0", "G1010101010101010101010101010101"]);
        let nonce = self.one_of(&["AAAAAAAAAAAAAAAAAAAAAA", "A", ""]);
        format!(
            "{path}?v={}&cursor={cursor}&instance={instance}&nonce={nonce}&policy={}",
            self.one_of(&["2", "2", "1", "x"]),
            self.one_of(&["deny", "allow", "no"])
        )
    }

    fn request(
        &self,
        path: &str,
        first: &str,
    ) -> (&'static str, String, Vec<(&'static str, String)>, Vec<u8>) {
        let methods = [
            "POST", "POST", "POST", "POST", "POST", "GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS",
            "BREW",
        ];
        let method =
            if first.is_empty() && !self.one_in(4) { "GET" } else { methods[self.below(methods.len())] };
        let tail: String = self.bytes(8).iter().map(|byte| format!("%{byte:02X}")).collect();
        let target = match self.below(12) {
            10 | 11 if path == "/v1/feed/lease" => self.lease(path),
            10 | 11 if path == "/v1/feed/snapshot" => {
                format!("{path}?v={}", self.one_of(&["2", "2", "1", ""]))
            }
            0 => format!("{path}?{tail}"),
            1 => format!("{path}?format={}", self.one_of(&["json", "api", "xml", ""])),
            2 => format!("{path}{tail}"),
            3 => path.trim_end_matches('/').to_owned(),
            _ => path.to_owned(),
        };
        let (media_type, body) = self.body(first);
        let mut headers = vec![("Content-Type", media_type.to_owned())];
        if self.one_in(3) || path.starts_with("/v1/me") || path == "/api/logout/" {
            let scheme = self.one_of(&["Bearer", "Bearer", "Bearer", "bearer", "Basic", ""]);
            headers.push((
                "Authorization",
                format!("{scheme} {}", self.token()).replace(|c: char| c.is_control(), "?"),
            ));
        }
        if is_for_services(path) && !self.one_in(4) {
            headers.retain(|(name, _)| *name != "Authorization");
            headers.push(("Authorization", format!("Bearer {}", self.secrets[self.below(2)])));
        }
        for name in [
            "Accept",
            "Origin",
            "User-Agent",
            "Access-Control-Request-Method",
            "Quash-Device",
            "Cookie",
            "X-Request-Id",
        ] {
            if self.one_in(10) {
                headers.push((name, self.header_value()));
            }
        }
        (method, target, headers, body)
    }
}

fn form(pairs: impl Iterator<Item = (String, String)>) -> Vec<u8> {
    let escaped = |text: &str| text.bytes().map(|byte| format!("%{byte:02X}")).collect::<String>();
    pairs
        .map(|(name, value)| format!("{}={}", escaped(&name), escaped(&value)))
        .collect::<Vec<_>>()
        .join("&")
        .into_bytes()
}

fn multipart(fields: &Value) -> Vec<u8> {
    let part = |(name, value): (&String, &Value)| {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        format!(
            "--X\r\nContent-Disposition: form-data; name=\"{}\"\r\n\r\n{value}\r\n",
            name.replace(['"', '\r', '\n'], "?")
        )
    };
    let parts: String = fields.as_object().expect("fields").iter().map(part).collect();
    format!("{parts}--X--\r\n").into_bytes()
}

#[test]
fn soak_random_requests_cause_no_server_error() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let data_dir = dir.path().join("data");
    fs::create_dir(&data_dir).expect("it is ours");
    fs::write(data_dir.join("quash.toml"), SETTINGS).expect("it is ours");
    fs::write(data_dir.join("secret"), SECRET).expect("it is ours");
    rustix::fs::chmod(data_dir.join("secret"), rustix::fs::Mode::from_raw_mode(0o600)).expect("it is ours");
    rustix::fs::chmod(&data_dir, rustix::fs::Mode::from_raw_mode(0o700)).expect("it is ours");
    let server = Server::start_in(&data_dir, &[]);
    server.add_account("dana", PASSWORD);
    server.add_account("noor", PASSWORD);
    let added = [
        &["verifier", "add", "api"][..],
        &["client", "add", "reports", "--right", "introspect", "--right", "revoke", "--right", "accounts"],
    ];
    let secrets = added.map(|command| server.run(command, "").stdout.trim().to_owned());
    let each = rounds(2000, 50_000);
    let met: Vec<BTreeMap<u16, usize>> = std::thread::scope(|scope| {
        let workers: Vec<_> = ENDPOINTS
            .iter()
            .enumerate()
            .map(|(place, endpoint)| {
                scope.spawn({
                    let (server, secrets) = (&server, &secrets);
                    move || send_random_requests(server, secrets, *endpoint, place, each)
                })
            })
            .collect();
        workers.into_iter().map(|worker| worker.join().expect("every answer was good")).collect()
    });
    let mut statuses = BTreeMap::<u16, usize>::new();
    met.iter().flatten().for_each(|(status, count)| *statuses.entry(*status).or_default() += count);
    assert_eq!(statuses.values().sum::<usize>(), each * ENDPOINTS.len());
    for status in [200, 400, 401, 404, 405, 406, 413, 415] {
        assert!(statuses.contains_key(&status), "{status} was never met: {statuses:?}");
    }
    let ended = server.terminate();
    assert_eq!(ended.code(), 0, "{}", ended.stderr);
    assert!(!ended.stderr.contains("panic") && !ended.stderr.contains("internal_error"), "{}", ended.stderr);
}

/// The user of a worker. Each worker has accounts of its own: a thousand concurrent sessions of one account
/// would interfere with each other.
struct RandomUser {
    name: String,
    /// The number of accounts so far.
    accounts: usize,
}

impl RandomUser {
    fn new(name: &str, place: usize) -> Self {
        Self { name: format!("{name}{place}"), accounts: 0 }
    }

    /// Signs in, with another account if random requests have deactivated or locked this one or changed its
    /// password.
    fn sign_in(&mut self, server: &Server) -> Pair {
        loop {
            let account = format!("{}.{}", self.name, self.accounts);
            let answer =
                server.post_json("/api/token/", &json!({ "username": account, "password": PASSWORD }), None);
            match answer.status {
                401 => {
                    self.accounts += 1;
                    let account = format!("{}.{}", self.name, self.accounts);
                    while let Err(stderr) = add(server, &account) {
                        assert!(stderr.contains("the password queue is full"), "{stderr}");
                        later();
                    }
                }
                // All workers sign in at once, but only a few passwords are hashed at a time.
                503 => later(),
                _ => return answer.pair(),
            }
        }
    }
}

/// Adds an account.
fn add(server: &Server, name: &str) -> Result<(), String> {
    let added = server.run(&["account", "add", name, "--password-stdin"], PASSWORD);
    if added.code() == 0 { Ok(()) } else { Err(added.stderr) }
}

/// Sends requests to one endpoint, over one connection for as long as the server keeps it.
fn send_random_requests(
    server: &Server,
    secrets: &[String; 2],
    (path, first): (&str, &str),
    place: usize,
    count: usize,
) -> BTreeMap<u16, usize> {
    let seed = 20_261_124 + u64::try_from(place).expect("a few");
    let [mut dana, mut noor] = ["dana", "noor"].map(|name| RandomUser::new(name, place));
    let kid = header(&dana.sign_in(server).access)["kid"].as_str().and_then(|kid| Kid::parse(kid).ok());
    let key = SigningKey::new(Algorithm::Hs256, SECRET.as_bytes(), kid).expect("a key");
    let mut random =
        RandomSource { seeded: Seeded::new(seed), key, tokens: Vec::new(), secrets: secrets.clone() };
    let mut connection = Connection::open(server.address);
    let mut statuses = BTreeMap::new();
    let mut before = String::new();
    for round in 0..count {
        if round % 200 == 0 {
            let (dana, noor) = (dana.sign_in(server), noor.sign_in(server));
            random.tokens = vec![dana.access, dana.refresh, noor.access, noor.refresh];
            // The server may have closed the idle connection while many passwords were waiting.
            connection = Connection::open(server.address);
        }
        let (method, target, headers, body) = random.request(path, first);
        let headers: Vec<(&str, &str)> =
            headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let answer = connection.send(method, &target, &headers, &body);
        let said = || {
            format!(
                "{path} {round} (seed {seed}): {method} {target} {headers:?} and {} bytes; before: {before}",
                body.len()
            )
        };
        let answer = answer.unwrap_or_else(|error| panic!("{error}: {}", said()));
        assert!(answer.status < 500 || answer.is_busy(), "{}: {}", answer.text, said());
        before = format!("{method} {target} and {} bytes: {}", body.len(), answer.status);
        *statuses.entry(answer.status).or_default() += 1;
    }
    let have_one_account = [dana, noor].iter().all(|user| user.accounts == 1);
    assert!(
        have_one_account || path.starts_with("/v1/me/"),
        "{path} doesn't change an account without its password"
    );
    statuses
}
