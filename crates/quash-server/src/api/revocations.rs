//! `POST /v1/revocations`: another issuer revokes sessions, tokens and users of its own, in its namespace, by
//! their names. `POST /v1/revocations/query`: asks whether a name is revoked, for a verifier that can't tell.
//! Both require a credential with the right in that namespace, from `quash client add NAME --namespace`.
//!
//! The credential is checked before the body is read: only clients may send bodies of this length. An item
//! is read into at most a few texts, whatever the body contains.

use std::fmt;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use http::header::{AUTHORIZATION, HeaderName};
use http::{HeaderMap, StatusCode};
use quash_core::decide::{NameRevocation, RevokedName};
use quash_core::model::{Client, Namespace, Reason, Right, Timestamp, limits};
use quash_core::watch::Named;
use quash_verify::TokenHeader;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::{Map, json as value};

use crate::error::code::Code;
use crate::error::http_error::HttpError;
use crate::request::body::WholeRequest;
use crate::request::body_error::BodyError;
use crate::response::json;
use crate::state::AppState;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// The longest `Idempotency-Key`, in characters.
const KEY_CHARS: usize = 255;
/// The largest body, in bytes. It is charged to the memory budget like any other.
const REVOCATION_BYTES: usize = 512 * 1024;
/// The number of wrong items that an error describes.
const WRONG_ITEMS: usize = 20;
/// Times above this number of seconds are in another unit.
const LATEST_SECS: f64 = 1e11;

/// The body of a request that revokes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    namespace: String,
    revocations: Items,
}

/// The items, and how many there were.
struct Items {
    /// At most [`limits::REVOCATIONS`].
    items: Vec<Item>,
    total: usize,
}

/// An item as it was sent.
#[derive(Default)]
struct Item {
    session: Option<Scalar>,
    token: Option<Scalar>,
    subject: Option<Scalar>,
    everything: Option<Scalar>,
    before: Option<Scalar>,
    exp: Option<Scalar>,
    reason: Option<Scalar>,
    fault: Option<&'static str>,
}

/// A member's value. Lists and objects are skipped.
#[derive(PartialEq)]
enum Scalar {
    Text(String),
    Number(f64),
    True,
    Other,
}

#[derive(Serialize)]
struct Revoked {
    seq: u64,
    written: usize,
}

/// The body of a question.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    #[serde(default)]
    namespace: Option<String>,
    #[serde(default)]
    session: Option<String>,
    #[serde(default)]
    token: Option<String>,
    #[serde(default)]
    subject: Option<String>,
    #[serde(default)]
    position: Option<u64>,
    issued_at: i64,
    expires_at: i64,
}

#[derive(Serialize)]
struct QuestionAnswered {
    revoked: bool,
}

pub(crate) async fn revoke(
    State(state): State<Arc<AppState>>,
    request: Request,
) -> Result<Response, HttpError> {
    let client = client(&state, request.headers(), Right::Revoke).await?;
    let key = idempotency_key(request.headers())?;
    let body = WholeRequest::read_up_to(request, REVOCATION_BYTES).await?.into_json_text()?;
    let Body { namespace, revocations } = parse(&body, "`namespace` and `revocations`")?;
    let namespace = namespace_of(&state, &client, &namespace, Right::Revoke)?;
    let items = checked(&revocations, state.service.now())?;
    let revoked = state.service.revoke_names(&client, namespace, &items, key.as_deref()).await?;
    Ok(json(StatusCode::OK, &Revoked { seq: revoked.seq.as_u64(), written: revoked.written }))
}

pub(crate) async fn query(
    State(state): State<Arc<AppState>>,
    request: Request,
) -> Result<Response, HttpError> {
    let client = client(&state, request.headers(), Right::Introspect).await?;
    let body = WholeRequest::read(request).await?.into_json_text()?;
    let question: Question = parse(&body, "`issued_at` and `expires_at`")?;
    match &question.namespace {
        Some(namespace) => drop(namespace_of(&state, &client, namespace, Right::Introspect)?),
        None if client.may_in(None, Right::Introspect) => {}
        None => return Err(another_namespace()),
    }
    let named = Named {
        namespace: question.namespace.as_deref(),
        session: question.session.as_deref(),
        token: question.token.as_deref(),
        subject: question.subject.as_deref(),
        position: question.position,
        issued_at: question.issued_at,
        expires_at: question.expires_at,
    };
    let revoked = state.service.is_name_revoked(&named).await?;
    Ok(json(StatusCode::OK, &QuestionAnswered { revoked }))
}

/// Returns the requesting client, which must have this right in some namespace.
async fn client(state: &AppState, headers: &HeaderMap, right: Right) -> Result<Client, HttpError> {
    let header = TokenHeader { name: AUTHORIZATION, ..TokenHeader::default() };
    let not_valid = || {
        let detail = "The credential is missing or not valid. Create one with `quash client add NAME --namespace NAMESPACE`.";
        HttpError::new(Code::CredentialNotValid, detail)
    };
    let secret = header.token(headers).map_err(|_| not_valid())?;
    let client = state.service.client(secret).await?;
    let client = client.ok_or_else(not_valid)?;
    if client.may(right) { Ok(client) } else { Err(HttpError::missing_right(right)) }
}

/// Returns the namespace, in which the client must have this right.
fn namespace_of<'a>(
    state: &'a AppState,
    client: &Client,
    name: &str,
    right: Right,
) -> Result<&'a Namespace, HttpError> {
    if !client.may_in(Some(name), right) {
        return Err(another_namespace());
    }
    state.service.namespace(name).ok_or_else(|| {
        let fault = "The settings have no such namespace: write it into a section [foreign.<name>].";
        HttpError::of_field("namespace", fault)
    })
}

fn another_namespace() -> HttpError {
    let detail = "This credential is for another namespace. Create one with `quash client add NAME --namespace NAMESPACE`.";
    HttpError::new(Code::RightRequired, detail)
}

/// Returns the key under which the first answer is remembered.
fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, HttpError> {
    let mut values = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let is_key = |key: &&str| {
        (1..=KEY_CHARS).contains(&key.len()) && key.bytes().all(|byte| (0x20..0x7f).contains(&byte))
    };
    let key = value.to_str().ok().filter(is_key).filter(|_| values.next().is_none());
    key.map(|key| Some(key.to_owned())).ok_or_else(|| {
        let detail = "The header Idempotency-Key must have 1 to 255 ASCII characters, and be sent once.";
        HttpError::new(Code::InvalidRequest, detail)
    })
}

/// Parses a body. An error says where it is, and quotes nothing.
fn parse<'a, T: Deserialize<'a>>(bytes: &'a [u8], needed: &'static str) -> Result<T, BodyError> {
    serde_json::from_slice(bytes).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        if error.is_data() {
            BodyError::Members { line, column, needed }
        } else {
            BodyError::Json(format!("Unexpected input: line {line} column {column}"))
        }
    })
}

/// Checks all items, so that one response reports their errors.
fn checked(Items { items, total }: &Items, now: Timestamp) -> Result<Vec<NameRevocation>, HttpError> {
    if !(1..=limits::REVOCATIONS).contains(total) {
        let fault = format!("Send 1 to {} revocations, not {total}.", limits::REVOCATIONS);
        return Err(HttpError::of_field("revocations", &fault));
    }
    let mut faults = Map::new();
    let mut read = Vec::with_capacity(items.len());
    for (index, item) in items.iter().enumerate() {
        match item.check(now) {
            Ok(item) => read.push(item),
            Err((member, fault)) if faults.len() < WRONG_ITEMS => {
                faults.insert(index.to_string(), value!({ member: [fault] }));
            }
            Err(_) => {}
        }
    }
    if faults.is_empty() {
        Ok(read)
    } else {
        Err(HttpError::of_fields(Map::from_iter([("revocations".to_owned(), faults.into())])))
    }
}

impl Item {
    /// Returns the revocation, or the wrong member and its fault.
    fn check(&self, now: Timestamp) -> Result<NameRevocation, (&'static str, String)> {
        const WHOLE: &str = "non_field_errors";
        if let Some(fault) = self.fault {
            return Err((WHOLE, fault.to_owned()));
        }
        let name = match (&self.session, &self.token, &self.subject, &self.everything) {
            (Some(name), None, None, None) => RevokedName::Session(text("session", name)?),
            (None, Some(name), None, None) => RevokedName::Token(text("token", name)?),
            (None, None, Some(name), None) => RevokedName::Subject(text("subject", name)?),
            (None, None, None, Some(Scalar::True)) => RevokedName::Everything,
            (None, None, None, Some(_)) => return Err(("everything", "Must be `true`.".to_owned())),
            _ => {
                let fault = "Give exactly one of `session`, `token`, `subject` and `everything`.";
                return Err((WHOLE, fault.to_owned()));
            }
        };
        let before = self.before.as_ref().map(|before| moment("before", before)).transpose()?;
        // The clocks of the issuer and of quash may differ.
        if before.is_some_and(|before| before > now + limits::LEEWAY) {
            return Err(("before", "Must not be in the future.".to_owned()));
        }
        let expires_at = self.exp.as_ref().map(|exp| moment("exp", exp)).transpose()?;
        let reason = match &self.reason {
            None => Reason::Revoked,
            Some(Scalar::Text(word)) => Reason::parse(word).ok_or_else(|| {
                ("reason", "Not a reason, such as `log_out` or `password_changed`.".to_owned())
            })?,
            Some(_) => return Err(("reason", "Must be a text.".to_owned())),
        };
        Ok(NameRevocation { name, before, expires_at, reason })
    }
}

fn text(member: &'static str, sent: &Scalar) -> Result<String, (&'static str, String)> {
    match sent {
        Scalar::Text(text) if (1..=limits::REVOKED_NAME_BYTES).contains(&text.len()) => Ok(text.clone()),
        _ => Err((member, format!("Must be a text of 1 to {} bytes.", limits::REVOKED_NAME_BYTES))),
    }
}

/// Reads seconds since 1970, to the millisecond.
fn moment(member: &'static str, sent: &Scalar) -> Result<Timestamp, (&'static str, String)> {
    match sent {
        Scalar::Number(secs) if (0.0..LATEST_SECS).contains(secs) => {
            #[expect(clippy::cast_possible_truncation, reason = "checked to be below 1e14")]
            let millis = (secs * 1000.0).round() as i64;
            Ok(Timestamp::from_millis(millis))
        }
        _ => Err((member, "Must be a number of seconds since 1970.".to_owned())),
    }
}

impl<'de> Deserialize<'de> for Items {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List;
        impl<'de> Visitor<'de> for List {
            type Value = Items;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Items, A::Error> {
                let mut read = Items { items: Vec::new(), total: 0 };
                while read.total < limits::REVOCATIONS {
                    let Some(item) = list.next_element()? else { return Ok(read) };
                    read.items.push(item);
                    read.total += 1;
                }
                while list.next_element::<IgnoredAny>()?.is_some() {
                    read.total += 1;
                }
                Ok(read)
            }
        }
        deserializer.deserialize_seq(List)
    }
}

impl<'de> Deserialize<'de> for Item {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Item;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Item, A::Error> {
                let mut item = Item::default();
                while let Some(name) = members.next_key::<String>()? {
                    let sent = members.next_value::<Scalar>()?;
                    let member = match name.as_str() {
                        "session" => &mut item.session,
                        "token" => &mut item.token,
                        "subject" => &mut item.subject,
                        "everything" => &mut item.everything,
                        "before" => &mut item.before,
                        "exp" => &mut item.exp,
                        "reason" => &mut item.reason,
                        _ => {
                            item.fault = Some("A member is unknown.");
                            continue;
                        }
                    };
                    if member.replace(sent).is_some() {
                        item.fault = Some("A member occurs twice.");
                    }
                }
                Ok(item)
            }
        }
        deserializer.deserialize_map(Object)
    }
}

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Scalar;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }
            fn visit_str<E>(self, text: &str) -> Result<Scalar, E> {
                Ok(Scalar::Text(text.to_owned()))
            }
            fn visit_f64<E>(self, number: f64) -> Result<Scalar, E> {
                Ok(Scalar::Number(number))
            }
            #[expect(clippy::cast_precision_loss, reason = "times are below 2^53")]
            fn visit_u64<E>(self, number: u64) -> Result<Scalar, E> {
                Ok(Scalar::Number(number as f64))
            }
            #[expect(clippy::cast_precision_loss, reason = "negative times are refused")]
            fn visit_i64<E>(self, number: i64) -> Result<Scalar, E> {
                Ok(Scalar::Number(number as f64))
            }
            fn visit_bool<E>(self, is_true: bool) -> Result<Scalar, E> {
                Ok(if is_true { Scalar::True } else { Scalar::Other })
            }
            fn visit_unit<E>(self) -> Result<Scalar, E> {
                Ok(Scalar::Other)
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Scalar, A::Error> {
                while list.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Scalar::Other)
            }
            fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Scalar, A::Error> {
                while members.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Scalar::Other)
            }
        }
        deserializer.deserialize_any(Any)
    }
}
