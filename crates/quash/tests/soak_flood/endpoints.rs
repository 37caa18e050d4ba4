//! The requests that flood each endpoint. A path of the router that isn't here fails the test.

use std::fmt;
use std::sync::Mutex;
use std::time::Duration;

use serde_json::{Value, json};

use crate::measure::Rates;
use crate::support::http::{Answer, Connection};
use crate::support::wait::{later, pause};
use crate::support::{Pair, Server, request};
use crate::{ATTACKER, PASSWORD};

/// A password that the estimator takes long for, and refuses.
const SLOW: &str = "4@8({<369!1|0$5+7%2zZa4@8({<369!";

/// The kind of attacker.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Who {
    Stranger,
    User,
}

/// A flood of one endpoint.
pub(crate) struct Flood {
    method: String,
    path: String,
    who: Who,
}

/// A user whose tokens a flood uses: each connection has a session of its own.
pub(crate) struct Attacker {
    name: String,
    accounts: usize,
    sessions: Vec<Mutex<Pair>>,
}

/// A request's body.
enum Body {
    Nothing,
    Json(Value),
    Form(String),
}

/// Fills in the parameters of a path.
pub(crate) fn target(path: &str) -> String {
    path.replace("{sid}", "01a20af06c05771097b1318de6f7c85b")
        .replace("{subject}", "17")
        .replace("{code}", "token_not_valid")
        .replace("{name}", "grafana")
        .replace("{kid}", "key")
        .replace("{*path}", "x")
}

/// Signs in from an address, with retries.
pub(crate) fn sign_in(server: &Server, from: &str, name: &str) -> Pair {
    loop {
        let answer = try_sign_in(server, from, name);
        match answer.status {
            429 | 503 => later(),
            _ => return answer.pair(),
        }
    }
}

fn try_sign_in(server: &Server, from: &str, name: &str) -> Answer {
    let headers = [("Content-Type", "application/json"), ("X-Forwarded-For", from)];
    let body = json!({ "username": name, "password": PASSWORD }).to_string();
    request(server.address, "POST", "/api/token/", &headers, body.as_bytes()).expect("an answer")
}

impl Attacker {
    pub(crate) fn new(server: &Server) -> Self {
        let attacker = Self { name: "attacker0".to_owned(), accounts: 1, sessions: Vec::new() };
        attacker.add(server);
        attacker
    }

    fn add(&self, server: &Server) {
        let email = format!("{}@example.org", self.name);
        let added = server.run(
            &["account", "add", &self.name, "--email", &email, "--verified", "--password-stdin"],
            PASSWORD,
        );
        assert!(added.status.success(), "{}", added.stderr);
    }

    /// An access token.
    pub(crate) fn access(&self) -> String {
        self.sessions[0].lock().expect("a pair").access.clone()
    }

    /// Opens a session for each connection without a live one; with another account if the previous flood
    /// locked this one.
    pub(crate) fn sign_in_again(&mut self, server: &Server, connections: usize) {
        self.sessions
            .retain(|pair| server.get("/v1/me", Some(&pair.lock().expect("a pair").access)).status == 200);
        while self.sessions.len() < connections {
            // From another network: the flood's failures count for its own network.
            let answer = try_sign_in(server, "192.0.2.1", &self.name);
            match answer.status {
                200 => self.sessions.push(Mutex::new(answer.pair())),
                429 | 503 => later(),
                _ => {
                    self.name = format!("attacker{}", self.accounts);
                    self.accounts += 1;
                    self.sessions.clear();
                    self.add(server);
                }
            }
        }
    }
}

impl Flood {
    /// Returns the floods of a path: with each method, without a token and with one.
    pub(crate) fn all_of(path: &str, methods: &[String]) -> Vec<Self> {
        let of = |method: &String, who| Self { method: method.clone(), path: path.to_owned(), who };
        methods.iter().flat_map(|method| [of(method, Who::Stranger), of(method, Who::User)]).collect()
    }

    /// Returns whether this flood was selected: all are, unless the environment names a part of the path.
    #[expect(clippy::disallowed_methods, reason = "a soak run is asked for by the environment")]
    pub(crate) fn is_wanted(&self) -> bool {
        std::env::var("QUASH_SOAK_PATH").map_or(true, |part| self.path.contains(&part))
    }

    /// Sends requests over a connection for as long as `next` returns the pause before the next one.
    pub(crate) fn run(
        &self,
        server: &Server,
        attacker: &Attacker,
        place: usize,
        next: impl Fn(usize) -> Option<Duration>,
    ) -> Rates {
        let (mut connection, mut rates, mut sent) = (Connection::open(server.address), Rates::default(), 0);
        let mut pair = attacker.sessions[place].lock().expect("a pair").clone();
        while let Some(interval) = next(sent) {
            let answer = self.send(&mut connection, &attacker.name, &pair, place * 1_000_000 + sent);
            assert!(answer.status != 503 || answer.header("retry-after").is_some(), "{self}: {answer:?}");
            // A flood with a user's tokens continues with the new tokens that it gets.
            for (token, field) in [(&mut pair.access, "access"), (&mut pair.refresh, "refresh")] {
                if let Some(new) = answer.body[field].as_str() {
                    new.clone_into(token);
                }
            }
            *rates.0.entry(answer.status).or_default() += 1;
            sent += 1;
            pause(interval);
        }
        *attacker.sessions[place].lock().expect("a pair") = pair;
        rates
    }

    fn send(&self, connection: &mut Connection, name: &str, pair: &Pair, number: usize) -> Answer {
        let (query, body) = self.request(name, pair, number);
        let (media_type, body) = match body {
            Body::Nothing => (None, String::new()),
            Body::Json(body) => (Some("application/json"), body.to_string()),
            Body::Form(body) => (Some("application/x-www-form-urlencoded"), body),
        };
        let bearer = format!("Bearer {}", pair.access);
        let mut headers = vec![("X-Forwarded-For", ATTACKER)];
        headers.extend(media_type.map(|media_type| ("Content-Type", media_type)));
        headers.extend((self.who == Who::User).then_some(("Authorization", bearer.as_str())));
        let target = format!("{}{query}", target(&self.path));
        let answer = connection.send(&self.method, &target, &headers, body.as_bytes());
        answer.unwrap_or_else(|error| panic!("{self}: {error}"))
    }

    /// Returns the query and the body of a request. A stranger only knows names; a user has a password and
    /// tokens.
    fn request(&self, name: &str, pair: &Pair, number: usize) -> (String, Body) {
        let is_user = self.who == Who::User;
        let of_user = |own: &str, other: &str| if is_user { own.to_owned() } else { other.to_owned() };
        let (refresh, garbage) = (of_user(&pair.refresh, "a.b.c"), "A".repeat(64));
        let password = of_user(PASSWORD, "wrong password");
        let body = match (self.method.as_str(), self.path.trim_end_matches('/')) {
            ("GET", "/reset" | "/verify" | "/email") => return (format!("?token={garbage}"), Body::Nothing),
            ("GET", "/v1/me/sessions") => return ("?limit=200".to_owned(), Body::Nothing),
            (_, "/api/token" | "/api/token/sliding") => {
                json!({ "username": of_user(name, &format!("nobody {number}")), "password": password })
            }
            (_, "/api/token/refresh" | "/api/token/blacklist" | "/api/logout") => {
                json!({ "refresh": refresh })
            }
            (_, "/api/token/sliding/refresh") => json!({ "token": refresh }),
            (_, "/api/token/verify") => json!({ "token": of_user(&pair.access, "a.b.c") }),
            ("PATCH", "/v1/me") => json!({ "username": name.to_uppercase(), "password": password }),
            ("DELETE", "/v1/me") | (_, "/v1/me/deactivate") => json!({ "password": "wrong password" }),
            (_, "/v1/me/password") => json!({ "current_password": password, "new_password": SLOW }),
            (_, "/v1/password") => {
                json!({ "username": of_user(name, &format!("nobody {number}")), "password": password, "new_password": SLOW })
            }
            (_, "/v1/password-reset" | "/v1/email-verification") => {
                json!({ "email": format!("{}@example.org", of_user(name, &format!("nobody{number}"))) })
            }
            (_, "/v1/password-reset/confirm") => json!({ "token": garbage, "new_password": SLOW }),
            (_, "/v1/email-verification/confirm" | "/v1/me/email/confirm") => {
                json!({ "flow": format!("{number:032x}"), "code": "00000-00000" })
            }
            (_, "/v1/registration") => {
                json!({ "username": format!("new {number}"), "email": format!("new{number}@example.org"), "password": PASSWORD })
            }
            (_, "/v1/me/email") => {
                json!({ "email": format!("other{number}@example.org"), "password": password })
            }
            (_, "/reset") => return (String::new(), Body::Form(format!("token={garbage}&new_password=x"))),
            (_, "/verify" | "/email") => return (String::new(), Body::Form(format!("token={garbage}"))),
            (_, "/oauth2/introspect" | "/oauth2/revoke") => {
                return (
                    String::new(),
                    Body::Form(format!("token={}&client_id=nobody{number}", pair.access)),
                );
            }
            (_, "/v1/revocations" | "/v1/revocations/query") => {
                json!({ "namespace": "shop", "revocations": [{ "session": garbage }] })
            }
            (_, "/admin/v1/accounts/batch" | "/admin/v1/accounts/{subject}") => {
                json!({ "accounts": [{ "subject": "17", "username": name, "password_hash": garbage }] })
            }
            (_, "/admin/v1/clients" | "/admin/v1/clients/{name}") => {
                json!({ "name": garbage, "rights": ["read"] })
            }
            ("POST", "/admin/v1/accounts") => json!({ "username": name, "password": SLOW }),
            (_, "/admin/v1/revocations") => json!({ "token": garbage }),
            (
                _,
                "/v1/me"
                | "/v1/me/sessions"
                | "/v1/me/sessions/end-others"
                | "/v1/me/sessions/end-all"
                | "/v1/me/sessions/{sid}"
                | "/v1/forward-auth"
                | "/admin/v1/accounts"
                | "/admin/v1/accounts/{subject}/sessions"
                | "/admin/v1/audit"
                | "/admin/v1/clients/{name}/secret"
                | "/admin/v1/keys"
                | "/admin/v1/keys/rotate"
                | "/admin/v1/keys/{kid}/revoke"
                | "/admin/v1/doctor"
                | "/admin/v1/accounts/{subject}/sessions/end-all"
                | "/admin/v1/accounts/{subject}/lock"
                | "/admin/v1/accounts/{subject}/unlock"
                | "/admin/v1/accounts/{subject}/deactivate"
                | "/admin/v1/accounts/{subject}/reactivate"
                | "/admin/v1/accounts/{subject}/require-reset"
                | "/admin/v1/accounts/{subject}/temporary-password"
                | "/admin/v1/sessions"
                | "/admin/v1/sessions/{sid}"
                | "/admin/v1/verifiers"
                | "/admin/v1/nodes"
                | "/admin/v1/statistics"
                | "/v1/feed"
                | "/v1/feed/snapshot"
                | "/v1/feed/lease"
                | "/.well-known/jwks.json"
                | "/metrics"
                | "/.well-known/oauth-authorization-server"
                | "/.well-known/oauth-authorization-server/{*path}"
                | ""
                | "/openapi.json"
                | "/docs"
                | "/docs/errors"
                | "/livez"
                | "/readyz"
                | "/docs/errors/{code}",
            ) => return (String::new(), Body::Nothing),
            (_, path) if path.ends_with(".css") => return (String::new(), Body::Nothing),
            (_, path) => panic!("the router has a new path, {path}: define the requests of its flood here"),
        };
        (String::new(), Body::Json(body))
    }
}

impl fmt::Display for Flood {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let who = match self.who {
            Who::Stranger => "a stranger",
            Who::User => "a user",
        };
        write!(f, "{} {} by {who}", self.method, self.path)
    }
}
