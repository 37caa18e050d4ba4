//! `POST /v1/revocations`: another issuer revokes sessions, tokens and users of its own, in its namespace, by
//! their names. Without a namespace, a client ends sessions of quash's own. `POST /v1/revocations/query`: asks
//! whether a name is revoked, for a verifier that can't tell. Both require a credential with the right in that
//! namespace, from `quash client add NAME --namespace`, or with a right that isn't limited to one.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use http::StatusCode;
use quash_core::decide::{NameRevocation, RevokedName};
use quash_core::model::{Client, EndCause, Namespace, Reason, Right, Timestamp, limits};
use quash_core::watch::Named;
use quash_service::NamedEnd;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::error::code::Code;
use crate::error::http_error::HttpError;
use crate::openapi::CREDENTIAL;
use crate::openapi::operation::{Operation, Tag};
use crate::request::body::WholeRequest;
use crate::request::credential::credential_with;
use crate::request::idempotency::{describe_key, idempotency_key};
use crate::request::items::{ITEM_BYTES, ItemError, Items, Member, parse};
use crate::response::json;
use crate::state::AppState;

/// Times above this number of seconds are in another unit.
const LATEST_SECS: f64 = 1e11;

/// Names to revoke.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Revocations)]
struct Body<'a> {
    /// That of another issuer. Without it, sessions of quash's own end.
    #[serde(default)]
    namespace: Option<String>,
    #[schema(value_type = Vec<Item<'static>>, min_items = 1, max_items = 1000)]
    #[serde(borrow)]
    revocations: Items<'a, { limits::REVOCATIONS }>,
}

/// One of `session`, `token`, `subject` and `everything`.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Revocation)]
struct Item<'a> {
    #[schema(value_type = Option<String>, min_length = 1, max_length = 255)]
    #[serde(borrow, default)]
    session: Member<'a>,
    #[schema(value_type = Option<String>, min_length = 1, max_length = 255)]
    #[serde(borrow, default)]
    token: Member<'a>,
    #[schema(value_type = Option<String>, min_length = 1, max_length = 255)]
    #[serde(borrow, default)]
    subject: Member<'a>,
    /// `true`.
    #[schema(value_type = Option<bool>)]
    #[serde(borrow, default)]
    everything: Member<'a>,
    /// The time of an event that is reported late, in seconds since 1970.
    #[schema(value_type = Option<f64>, minimum = 0)]
    #[serde(borrow, default)]
    before: Member<'a>,
    /// The expiry of the session or token, in seconds since 1970.
    #[schema(value_type = Option<f64>, minimum = 0)]
    #[serde(borrow, default)]
    exp: Member<'a>,
    /// A word of the audit.
    #[schema(value_type = Option<String>)]
    #[serde(borrow, default)]
    reason: Member<'a>,
}

/// The entry of the log after which the names are revoked.
#[derive(Serialize, ToSchema)]
struct Revoked {
    seq: u64,
    written: usize,
}

/// The names of a token.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = RevocationQuery)]
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

#[derive(Serialize, ToSchema)]
#[schema(as = RevocationQueryResult)]
struct QuestionAnswered {
    revoked: bool,
}

pub(crate) async fn revoke(
    State(state): State<Arc<AppState>>,
    request: Request,
) -> Result<Response, HttpError> {
    let client = credential_with(&state, request.headers(), Right::Revoke).await?.client;
    let key = idempotency_key(request.headers())?;
    let body = WholeRequest::read_up_to(request, ITEM_BYTES).await?.into_json_text()?;
    let Body { namespace, revocations } = parse(&body, "`revocations`")?;
    let (service, key, now) = (&state.service, key.as_deref(), state.service.now());
    let revoked = match namespace_of(&state, &client, namespace.as_deref(), Right::Revoke)? {
        Some(namespace) => {
            let items = revocations.checked("revocations", |item: Item<'_>| item.check(now))?;
            service.revoke_names(&client, namespace, &items, key).await?
        }
        None => {
            let ends = |item: Item<'_>| item.check(now).and_then(named_end);
            service.end_named(&client, &revocations.checked("revocations", ends)?, key).await?
        }
    };
    Ok(json(StatusCode::OK, &Revoked { seq: revoked.seq.as_u64(), written: revoked.written }))
}

pub(crate) async fn query(
    State(state): State<Arc<AppState>>,
    request: Request,
) -> Result<Response, HttpError> {
    let client = credential_with(&state, request.headers(), Right::Introspect).await?.client;
    let body = WholeRequest::read(request).await?.into_json_text()?;
    let question: Question = parse(&body, "`issued_at` and `expires_at`")?;
    namespace_of(&state, &client, question.namespace.as_deref(), Right::Introspect)?;
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

/// Returns the namespace, in which the client must have this right; `None` is that of quash's own sessions.
fn namespace_of<'a>(
    state: &'a AppState,
    client: &Client,
    name: Option<&str>,
    right: Right,
) -> Result<Option<&'a Namespace>, HttpError> {
    if !client.may_in(name, right) {
        let detail = "This credential is for another namespace. Create one with `quash client add NAME --namespace NAMESPACE`, or, for quash's own sessions, with `--right`.";
        return Err(HttpError::new(Code::RightRequired, detail));
    }
    let Some(name) = name else { return Ok(None) };
    let namespace = state.service.namespace(name).ok_or_else(|| {
        let fault = "The settings have no such namespace: write it into a section [foreign.<name>].";
        HttpError::of_field("namespace", fault)
    })?;
    Ok(Some(namespace))
}

/// Returns the end of sessions of quash's own.
fn named_end(NameRevocation { name, before, reason, .. }: NameRevocation) -> Result<NamedEnd, ItemError> {
    match name {
        RevokedName::Session(session) => {
            let fault = |_| wrong("session", "Must be the `sid` of a session: 32 hexadecimal digits.");
            Ok(NamedEnd::Session { session: session.parse().map_err(fault)?, reason })
        }
        RevokedName::Subject(user_id) => {
            let cause = match reason {
                Reason::Revoked => EndCause::AccountRevoked,
                Reason::LogOutEverywhere => EndCause::LogOutEverywhere,
                _ => {
                    let fault = "Without a namespace, must be `revoked` or `log_out_everywhere`.";
                    return Err(wrong("reason", fault));
                }
            };
            Ok(NamedEnd::Account { user_id, cause, before })
        }
        RevokedName::Token(_) | RevokedName::Everything => {
            Err(ItemError::of_item("Without a namespace, give exactly one of `session` and `subject`."))
        }
    }
}

impl Item<'_> {
    fn check(self, now: Timestamp) -> Result<NameRevocation, ItemError> {
        let name = match (
            self.session.is_given(),
            self.token.is_given(),
            self.subject.is_given(),
            self.everything.given(),
        ) {
            (true, false, false, None) => RevokedName::Session(name("session", self.session)?),
            (false, true, false, None) => RevokedName::Token(name("token", self.token)?),
            (false, false, true, None) => RevokedName::Subject(name("subject", self.subject)?),
            (false, false, false, Some("true")) => RevokedName::Everything,
            (false, false, false, Some(_)) => return Err(wrong("everything", "Must be `true`.")),
            _ => {
                let fault = "Give exactly one of `session`, `token`, `subject` and `everything`.";
                return Err(ItemError::of_item(fault));
            }
        };
        let before = moment("before", self.before)?;
        // The clocks of the issuer and of quash may differ.
        if before.is_some_and(|before| before > now + limits::LEEWAY) {
            return Err(wrong("before", "Must not be in the future."));
        }
        let expires_at = moment("exp", self.exp)?;
        let reason = match self.reason.read::<String>("reason", "a text")? {
            None => name.cause().row().reason,
            Some(word) => Reason::parse(&word)
                .ok_or_else(|| wrong("reason", "Not a reason, such as `log_out` or `password_changed`."))?,
        };
        Ok(NameRevocation { name, before, expires_at, reason })
    }
}

fn name(member: &'static str, sent: Member<'_>) -> Result<String, ItemError> {
    let kind = format!("a text of 1 to {} bytes", limits::REVOKED_NAME_BYTES);
    let name = sent.read::<String>(member, &kind)?.unwrap_or_default();
    match (1..=limits::REVOKED_NAME_BYTES).contains(&name.len()) {
        true => Ok(name),
        false => Err(wrong(member, &format!("Must be {kind}."))),
    }
}

/// Reads seconds since 1970, to the millisecond.
fn moment(member: &'static str, sent: Member<'_>) -> Result<Option<Timestamp>, ItemError> {
    const KIND: &str = "a number of seconds since 1970";
    match sent.read::<f64>(member, KIND)? {
        None => Ok(None),
        Some(secs) if (0.0..LATEST_SECS).contains(&secs) => {
            #[expect(clippy::cast_possible_truncation, reason = "checked to be below 1e14")]
            let millis = (secs * 1000.0).round() as i64;
            Ok(Some(Timestamp::from_millis(millis)))
        }
        Some(_) => Err(wrong(member, &format!("Must be {KIND}."))),
    }
}

fn wrong(member: &'static str, text: &str) -> ItemError {
    ItemError { member, text: text.to_owned() }
}

pub(crate) fn describe_revoke() -> Operation {
    let operation =
        Operation::new(Tag::Revocations, "revokeNames", "Revokes sessions, tokens and users by name")
            .text("Requires the right `revoke`, in the namespace if there is one.")
            .secured_by(CREDENTIAL);
    describe_key(operation)
        .json_body::<Body<'_>>()
        .answers::<Revoked>(StatusCode::OK, "The names are revoked here.")
        .refuses(&[Code::CredentialNotValid, Code::RightRequired])
}

pub(crate) fn describe_query() -> Operation {
    Operation::new(Tag::Revocations, "queryRevocation", "Tells whether a token is revoked")
        .text("Requires the right `introspect`, in the namespace if there is one.")
        .secured_by(CREDENTIAL)
        .json_body::<Question>()
        .answers::<QuestionAnswered>(StatusCode::OK, "The answer from the store.")
        .refuses(&[Code::CredentialNotValid, Code::RightRequired])
}
