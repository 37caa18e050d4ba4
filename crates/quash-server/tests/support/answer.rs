//! A response: the rules for every response, and its form in a snapshot, where tokens, ids and keys are
//! masked.

use std::fmt;

use axum::body::Body;
use bytes::Bytes;
use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ALLOW, CACHE_CONTROL,
    CONTENT_TYPE, HeaderName, LOCATION, RETRY_AFTER, VARY, WWW_AUTHENTICATE,
};
use http::{HeaderMap, Method, Response};
use http_body_util::BodyExt;
use serde_json::Value;

use super::claims;

/// The headers that are part of the contract.
const SHOWN: [HeaderName; 13] = [
    CONTENT_TYPE,
    CACHE_CONTROL,
    VARY,
    ALLOW,
    WWW_AUTHENTICATE,
    RETRY_AFTER,
    LOCATION,
    ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_ALLOW_CREDENTIALS,
    ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_HEADERS,
    ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_EXPOSE_HEADERS,
];

#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// The tokens from a sign-in or a refresh.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Pair {
    pub(crate) access: String,
    pub(crate) refresh: String,
}

impl Answer {
    pub(crate) async fn read(answer: Response<Body>) -> Self {
        let (parts, body) = answer.into_parts();
        let body = body.collect().await.expect("a body").to_bytes();
        Self { status: parts.status.as_u16(), headers: parts.headers, body }
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("UTF-8")
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self}"))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("ASCII"))
    }

    /// Both tokens of a 200.
    pub(crate) fn pair(&self) -> Pair {
        assert_eq!(self.status, 200, "{self}");
        let body = self.json();
        let token = |name: &str| {
            body[name].as_str().unwrap_or_else(|| panic!("{name} is missing: {self}")).to_owned()
        };
        Pair { access: token("access"), refresh: token("refresh") }
    }

    /// The `reason` of a refusal.
    pub(crate) fn reason(&self) -> Option<String> {
        self.json().get("reason").and_then(Value::as_str).map(str::to_owned)
    }

    /// Status and body in one line.
    pub(crate) fn brief(&self) -> String {
        format!("{} {}", self.status, masked(self.text()))
    }

    /// Returns whether the response contains a token.
    pub(crate) fn holds_a_token(&self) -> bool {
        runs(&String::from_utf8_lossy(&self.body))
            .any(|(_, run)| mask(run).is_some_and(|mask| mask != "<id>" && mask != "<key>"))
    }

    /// Checks the rules for every response.
    pub(crate) fn keeps_to_the_rules(&self, method: &Method, line: &str) {
        assert_ne!(self.status, 500, "{line}\n{self}");
        assert!(!(300..400).contains(&self.status), "a redirect: {line}\n{self}");
        let id = self.header("x-request-id").expect("a request id");
        assert!(id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{line}: {id}");
        assert!(
            !String::from_utf8_lossy(&self.body).contains(id),
            "the request id is in the body: {line}\n{self}"
        );
        assert_eq!(self.header("x-content-type-options"), Some("nosniff"), "{line}");
        assert_eq!(self.header("referrer-policy"), Some("no-referrer"), "{line}");
        let must_have = match self.status {
            401 => Some("www-authenticate"),
            405 => Some("allow"),
            429 | 503 => Some("retry-after"),
            _ => None,
        };
        assert!(
            must_have.is_none_or(|name| self.headers.contains_key(name)),
            "{must_have:?} is missing: {line}\n{self}"
        );
        if self.status >= 400 || self.holds_a_token() {
            assert_eq!(self.header("cache-control"), Some("no-store"), "{line}\n{self}");
        }
        assert!(self.status < 300 || !self.holds_a_token(), "a token in a refusal: {line}\n{self}");
        if *method == Method::HEAD || self.status == 204 {
            assert!(self.body.is_empty(), "{line}\n{self}");
            return;
        }
        match self.header("content-type") {
            Some("application/json") => assert!(self.json().is_object(), "{line}\n{self}"),
            Some("application/problem+json") => self.is_a_problem(line),
            Some("text/html; charset=utf-8") => {
                let policy = self.header("content-security-policy").unwrap_or_default();
                assert!(
                    policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"),
                    "{line}\n{self}"
                );
            }
            Some(text) if text.starts_with("application/openmetrics-text;") => {
                assert_eq!(self.status, 200, "{line}")
            }
            Some("application/x-ndjson") => {
                let is_json = |line: &str| serde_json::from_str::<Value>(line).is_ok();
                assert!(self.status == 200 && self.text().lines().all(is_json), "{line}\n{self}");
            }
            Some("text/css; charset=utf-8") => assert_eq!(self.status, 200, "{line}"),
            other => panic!("a content type of {other:?}: {line}\n{self}"),
        }
    }

    fn is_a_problem(&self, line: &str) {
        let problem = self.json();
        let code = problem["code"].as_str().expect("a code");
        assert_eq!(problem["type"], format!("/docs/errors/{code}"), "{line}\n{self}");
        assert_eq!(problem["status"], self.status, "{line}\n{self}");
        assert!(problem["detail"].is_string() && problem["title"].is_string(), "{line}\n{self}");
        assert!(quash_server::Code::ALL.iter().any(|known| known.as_str() == code), "{line}\n{self}");
    }
}

/// Formats the status, the headers of the contract and the body.
impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.status)?;
        for name in SHOWN {
            for value in self.headers.get_all(&name) {
                writeln!(f, "{name}: {}", String::from_utf8_lossy(value.as_bytes()))?;
            }
        }
        write!(f, "\n{}", masked(&String::from_utf8_lossy(&self.body)))
    }
}

fn masked(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut end = 0;
    for (start, run) in runs(text) {
        shown.push_str(&text[end..start]);
        shown.push_str(mask(run).unwrap_or(run));
        end = start + run.len();
    }
    shown.push_str(&text[end..]);
    shown
}

/// The runs of characters that tokens, ids and keys consist of.
fn runs(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let of_a_token = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let runs = text.split(move |c| !of_a_token(c)).filter(|run| !run.is_empty());
    runs.map(move |run| (run.as_ptr() as usize - text.as_ptr() as usize, run))
}

fn mask(run: &str) -> Option<&'static str> {
    if run.starts_with("eyJ") && run.matches('.').count() == 2 {
        return Some(match claims(run)["token_type"].as_str() {
            Some("access") => "<access>",
            Some("refresh") => "<refresh>",
            _ => "<token>",
        });
    }
    let hex = run.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    match run.len() {
        32 if hex => Some("<id>"),
        43 => Some("<key>"),
        _ => None,
    }
}
