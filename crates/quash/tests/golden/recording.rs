//! What was recorded: requests to a Django with Simple JWT, its settings, and its answers. `recorded.json` holds one case a
//! line; tokens stand in it as `{{T0}}`, with what they say. Nothing here knows of quash.
//!
//! It was Simple JWT as of May 2026 (998eb63, after 5.5.1), on Django 5.2.19, Django REST framework 3.18.3 and PyJWT 2.15.1.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};

const RECORDED: &str = include_str!("recorded.json");

/// What stands for the body of an answer that is a page for people.
const PAGE: &str = "(not JSON)";

/// A request and its answer.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Case {
    /// Its place in the recording, from 0.
    #[serde(skip)]
    pub(crate) number: usize,
    /// Cases of one site, one after the other.
    #[serde(rename = "cfg")]
    pub(crate) site: String,
    pub(crate) settings: Settings,
    pub(crate) label: String,
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) request: Request,
    pub(crate) response: Response,
    pub(crate) tokens: BTreeMap<String, Token>,
}

/// What the site's Django was set to.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// `SIMPLE_JWT`.
    #[serde(default, rename = "sj")]
    pub(crate) simple_jwt: Map<String, Value>,
    /// `REST_FRAMEWORK`: only ever throttling, which quash leaves to whoever stands before it.
    #[serde(default, rename = "drf")]
    _framework: Map<String, Value>,
    /// Whether the app that keeps blacklisted tokens is installed. quash has no such choice.
    #[serde(default, rename = "blacklist_app")]
    _blacklist_app: Option<bool>,
    /// `AUTHENTICATION_BACKENDS`. quash has no such choice.
    #[serde(default, rename = "auth_backends")]
    _backends: Vec<String>,
}

/// What was sent.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Request {
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Option<String>,
}

/// What was answered.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
}

/// A token of a request or of an answer. Moments are told from that of the request on: `"now+300"`.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Token {
    pub(crate) header: Map<String, Value>,
    pub(crate) claims: Value,
}

/// All cases, in their order.
pub(crate) fn cases() -> Vec<Case> {
    let mut cases: Vec<Case> = serde_json::from_str(RECORDED).expect("the recording is read");
    for (number, case) in cases.iter_mut().enumerate() {
        case.number = number;
    }
    cases
}

impl Case {
    /// Whether the answer was no JSON, so that there is nothing to compare: a page for people (of a fault, of a path that
    /// isn't there, or because it was asked for), or a redirect to the path with its last slash.
    pub(crate) fn is_page(&self) -> bool {
        self.response
            .headers
            .get("Content-Type")
            .is_some_and(|media_type| media_type.starts_with("text/html"))
    }

    /// Whether the views of Simple JWT were asked, and not those of the site that they guard.
    pub(crate) fn is_of_simple_jwt(&self) -> bool {
        self.path.starts_with("/api/token")
    }

    /// Whether it asked for something that isn't there.
    pub(crate) fn is_of_nothing(&self) -> bool {
        self.path == "/api/none/"
    }
}

impl Response {
    /// The body as JSON; null where it is none.
    pub(crate) fn json(&self) -> Value {
        assert_ne!(self.body, PAGE, "a page is never read");
        serde_json::from_str(&self.body).unwrap_or(Value::Null)
    }
}

impl Token {
    /// A claim that is a text.
    pub(crate) fn text(&self, claim: &str) -> Option<&str> {
        self.claims.get(claim).and_then(Value::as_str)
    }

    /// How many seconds after the request the moment in a claim was.
    pub(crate) fn offset(&self, claim: &str) -> Option<i64> {
        self.text(claim).and_then(offset)
    }
}

/// What `now+5` adds to the moment of the request.
pub(crate) fn offset(moment: &str) -> Option<i64> {
    moment.strip_prefix("now")?.parse().ok()
}
