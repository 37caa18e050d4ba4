//! Compares an answer with the recorded one, or with its entry in the table of deviations.
//!
//! On the paths of Simple JWT, the status, the exact body and the relevant headers are compared, with three
//! exceptions. Tokens are compared claim by claim, since they are signed anew; `sid`, `rsq`, `gen` and the
//! header's `kid` are additional, and so is `Cache-Control`. Of `JSON parse error - …` only this prefix is
//! compared: the rest is CPython's. In `compat = "standard"`, a refusal may have an additional member with
//! the reason.
//!
//! Guarded paths are the site's own, and quash refuses there with a problem document. Status, code, text and
//! the token's user are compared.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::recording::{Case, Token, offset};
use super::site::Site;
use super::wallet::Wallet;
use crate::support::{Answer, claims, header};

/// The allowed difference between times: the longest that a case may take on a busy machine.
const SLACK_SECS: i64 = 30;
/// The claims that quash's tokens have in addition to Simple JWT's.
const OF_QUASH: [&str; 3] = ["sid", "rsq", "gen"];
const PARSE_ERROR: &str = r#"{"detail":"JSON parse error - "#;

/// The expected answer.
pub(crate) enum Wanted {
    /// On the paths of Simple JWT.
    Exactly { status: u16, headers: BTreeMap<String, String>, body: String, tokens: BTreeMap<String, Token> },
    /// A problem document. Simple JWT's framework has a code only for tokens.
    Problem { status: u16, code: Option<String>, detail: String, challenge: Option<String> },
    /// A guarded path accepts the request of this user.
    Opened { subject: Option<String>, name: Option<String> },
}

/// A token of an answer, with the id of the recorded token that it replaces.
pub(crate) type Given = (String, String);

/// Returns the recorded answer.
pub(crate) fn recorded(case: &Case) -> Wanted {
    let answer = &case.response;
    if case.is_of_simple_jwt() {
        return Wanted::Exactly {
            status: answer.status,
            headers: answer.headers.clone(),
            body: answer.body.clone(),
            tokens: case.tokens.clone(),
        };
    }
    let body = answer.json();
    if answer.status == 200 {
        let subject = body.get("id").map(|id| id.as_str().map_or_else(|| id.to_string(), str::to_owned));
        return Wanted::Opened { subject, name: body["u"].as_str().map(str::to_owned) };
    }
    // With several classes of tokens, quash's problem has the reason of the last class that was tried.
    let found =
        body["messages"].as_array().and_then(|messages| messages.last()).map(|message| &message["message"]);
    Wanted::Problem {
        status: answer.status,
        code: body["code"].as_str().map(str::to_owned),
        detail: found.unwrap_or(&body["detail"]).as_str().expect("words").to_owned(),
        challenge: answer.headers.get("WWW-Authenticate").cloned(),
    }
}

/// Returns the recorded answer of a guarded path, in the form of a Simple JWT path.
pub(crate) fn recorded_at_log_out(case: &Case) -> Wanted {
    let mut headers = case.response.headers.clone();
    headers.insert("Allow".into(), "POST, OPTIONS".into());
    Wanted::Exactly {
        status: case.response.status,
        headers,
        body: case.response.body.clone(),
        tokens: BTreeMap::new(),
    }
}

/// Compares an answer with the expected one, and returns its tokens.
///
/// # Errors
/// The first difference.
pub(crate) fn compare(wanted: &Wanted, answer: &Answer, wallet: &Wallet<'_>) -> Result<Vec<Given>, String> {
    match wanted {
        Wanted::Exactly { status, headers, body, tokens } => {
            same("the status", &answer.status, status)?;
            for name in
                ["Content-Type", "Allow", "Vary", "WWW-Authenticate", "Retry-After", "Content-Language"]
            {
                same(name, &answer.header(&name.to_lowercase()), &headers.get(name).map(String::as_str))?;
            }
            same("Cache-Control", &answer.header("cache-control"), &Some("no-store"))?;
            if body.starts_with(PARSE_ERROR) && answer.text.starts_with(PARSE_ERROR) {
                return Ok(Vec::new());
            }
            let given = matched(body, &answer.text)
                .ok_or_else(|| format!("the body is {}, not {body}", answer.text))?;
            given
                .into_iter()
                .map(|(place, token)| check_token(tokens.get(place), token, wallet))
                .filter_map(Result::transpose)
                .collect()
        }
        Wanted::Problem { status, code, detail, challenge } => {
            same("the status", &answer.status, status)?;
            same("Content-Type", &answer.header("content-type"), &Some("application/problem+json"))?;
            same("WWW-Authenticate", &answer.header("www-authenticate"), &challenge.as_deref())?;
            same("detail", &answer.body["detail"].as_str(), &Some(detail.as_str()))?;
            code.as_ref()
                .map_or(Ok(()), |code| same("code", &answer.body["code"].as_str(), &Some(code.as_str())))?;
            Ok(Vec::new())
        }
        Wanted::Opened { subject, name } => {
            same("the status", &answer.status, &200)?;
            for (member, wanted) in [("subject", subject), ("username", name)] {
                wanted.as_ref().map_or(Ok(()), |wanted| {
                    same(member, &answer.body[member].as_str(), &Some(wanted.as_str()))
                })?;
            }
            Ok(Vec::new())
        }
    }
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, found: &T, wanted: &T) -> Result<(), String> {
    if found == wanted { Ok(()) } else { Err(format!("{what} is {found:?}, not {wanted:?}")) }
}

/// Returns the tokens of a text with their placeholders in a template; `None`: the rest of the texts differs.
fn matched<'t>(template: &'t str, text: &'t str) -> Option<Vec<(&'t str, &'t str)>> {
    let mut pieces = template.split("{{");
    let mut rest = text.strip_prefix(pieces.next()?)?;
    let mut found = Vec::new();
    for piece in pieces {
        let (place, literal) = piece.split_once("}}")?;
        let token = &rest
            [..rest.find(|c: char| !(c.is_ascii_alphanumeric() || "-_.".contains(c))).unwrap_or(rest.len())];
        rest = rest[token.len()..].strip_prefix(literal)?;
        found.push((place, token));
    }
    rest.is_empty().then_some(found)
}

/// Compares a token with the recorded one; if none was recorded, checks only that it is a token.
fn check_token(recorded: Option<&Token>, token: &str, wallet: &Wallet<'_>) -> Result<Option<Given>, String> {
    let Value::Object(mut says) = claims(token) else { return Err("a token that is no object".into()) };
    let Some(recorded) = recorded else { return Ok(None) };
    for name in OF_QUASH {
        says.shift_remove(name);
    }
    check_header(recorded, token, wallet.site)?;
    let wanted = recorded.claims.as_object().expect("a recorded answer has real tokens");
    same("the order of claims", &names(&says), &names(wanted))?;
    let held = |says: &Map<String, Value>| {
        says["exp"].as_i64().zip(says["iat"].as_i64()).map(|(exp, iat)| exp - iat)
    };
    let lasted = recorded.offset("exp").zip(recorded.offset("iat")).map(|(exp, iat)| exp - iat);
    same("how long it holds", &held(&says), &lasted)?;
    for (name, wanted) in wanted {
        let found = &says[name];
        match wanted.as_str().and_then(offset) {
            Some(offset)
                if found
                    .as_i64()
                    .is_some_and(|moment| (wallet.now + offset - moment).abs() <= SLACK_SECS) => {}
            None if name == "jti" => check_id(wanted, found, wallet)?,
            _ => same(name, found, wanted)?,
        }
    }
    Ok(recorded.text("jti").map(|id| (id.to_owned(), token.to_owned())))
}

/// Checks `alg`, `typ`, and the `kid` that Simple JWT's tokens don't have. With a key pair, refresh tokens
/// are signed with an unpublished secret.
fn check_header(recorded: &Token, token: &str, site: &Site) -> Result<(), String> {
    let found = header(token);
    let mut wanted = recorded.header.clone();
    let is_refresh = claims(token)["token_type"] == "refresh";
    wanted["alg"] = if is_refresh { "HS256" } else { site.algorithm }.into();
    wanted.insert("kid".into(), found.get("kid").cloned().ok_or("there is no kid")?);
    same("the header", &found.to_string(), &Value::Object(wanted).to_string())
}

/// Checks that equal recorded ids are equal here, and different ones different.
fn check_id(recorded: &Value, found: &Value, wallet: &Wallet<'_>) -> Result<(), String> {
    let (recorded, found) =
        (recorded.as_str().expect("an id"), found.as_str().ok_or("an id that is no text")?);
    if let Some(known) = wallet.had(recorded) {
        return same("the id", &found, &claims(known)["jti"].as_str().expect("an id"));
    }
    let is_one =
        found.len() == 32 && found.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    match (is_one, wallet.has_given_out(found)) {
        (true, false) => Ok(()),
        (false, _) => Err(format!("the id {found} isn't 32 hex characters")),
        (true, true) => Err("the id is that of an earlier token".into()),
    }
}

fn names(claims: &Map<String, Value>) -> Vec<&str> {
    claims.keys().map(String::as_str).collect()
}
