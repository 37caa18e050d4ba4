//! The recording: requests to a Django site with Simple JWT, its settings, and its answers. `recorded.json`
//! holds one case a line; tokens are replaced by `{{T0}}`, with their content. This module doesn't depend on
//! quash.
//!
//! The versions were Simple JWT of May 2026 (998eb63, after 5.5.1), Django 5.2.19, Django REST framework
//! 3.18.3 and PyJWT 2.15.1.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};

const RECORDED: &str = include_str!("recorded.json");

/// The placeholder for the body of an HTML page.
const PAGE: &str = "(not JSON)";

/// A request and its answer.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Case {
    /// Its index in the recording, from 0.
    #[serde(skip)]
    pub(crate) number: usize,
    /// The name of its site. The cases of a site are consecutive.
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

/// The Django settings of the site.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// `SIMPLE_JWT`.
    #[serde(default, rename = "sj")]
    pub(crate) simple_jwt: Map<String, Value>,
    /// `REST_FRAMEWORK`: only throttling, which quash leaves to a proxy.
    #[serde(default, rename = "drf")]
    _framework: Map<String, Value>,
    /// `true` if the app for blacklisted tokens is installed. quash has no such setting.
    #[serde(default, rename = "blacklist_app")]
    _blacklist_app: Option<bool>,
    /// `AUTHENTICATION_BACKENDS`. quash has no such setting.
    #[serde(default, rename = "auth_backends")]
    _backends: Vec<String>,
}

/// The request.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Request {
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Option<String>,
}

/// The answer.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
}

/// A token of a request or of an answer. Times are relative to the request: `"now+300"`.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Token {
    pub(crate) header: Map<String, Value>,
    pub(crate) claims: Value,
}

/// Returns all cases, in their order.
pub(crate) fn cases() -> Vec<Case> {
    let mut cases: Vec<Case> = serde_json::from_str(RECORDED).expect("the recording is read");
    for (number, case) in cases.iter_mut().enumerate() {
        case.number = number;
    }
    cases
}

impl Case {
    /// Returns whether the answer wasn't JSON, and so can't be compared: an HTML page (about an error or a
    /// missing path, or because it was requested), or a redirect to the path with its last slash.
    pub(crate) fn is_page(&self) -> bool {
        self.response
            .headers
            .get("Content-Type")
            .is_some_and(|media_type| media_type.starts_with("text/html"))
    }

    /// Returns whether the request was to a view of Simple JWT, not to a guarded view of the site.
    pub(crate) fn is_of_simple_jwt(&self) -> bool {
        self.path.starts_with("/api/token")
    }

    /// Returns whether the path doesn't exist.
    pub(crate) fn is_of_nothing(&self) -> bool {
        self.path == "/api/none/"
    }
}

impl Response {
    /// Returns the body as JSON; null if it isn't JSON.
    pub(crate) fn json(&self) -> Value {
        assert_ne!(self.body, PAGE, "a page is never read");
        serde_json::from_str(&self.body).unwrap_or(Value::Null)
    }
}

impl Token {
    /// Returns the value of a text claim.
    pub(crate) fn text(&self, claim: &str) -> Option<&str> {
        self.claims.get(claim).and_then(Value::as_str)
    }

    /// Returns the time in a claim, in seconds after the request.
    pub(crate) fn offset(&self, claim: &str) -> Option<i64> {
        self.text(claim).and_then(offset)
    }
}

/// Parses an offset such as `now+5`.
pub(crate) fn offset(moment: &str) -> Option<i64> {
    moment.strip_prefix("now")?.parse().ok()
}
