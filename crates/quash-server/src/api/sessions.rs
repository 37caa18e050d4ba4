//! `/v1/me/sessions`: a user's sessions. `GET` lists them, `DELETE …/{sid}` ends one, `POST …/end-others`
//! ends all but the current one, which gets new tokens, `POST …/end-all` ends all.
//! `GET /admin/v1/accounts/{subject}/sessions` lists them for a client with the right `accounts`.

use std::sync::Arc;

use axum::Extension;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, Request, State};
use axum::response::Response;
use http::StatusCode;
use quash_core::model::{Account, AccountBy, Refusal, SessionId, Subject, Timestamp, limits};
use quash_core::watch::Live;
use quash_service::{SessionFilter, SessionInfo, rfc3339};
use serde::Serialize;
use serde_json::json as value;
use utoipa::ToSchema;

use super::accounts::unknown;
use super::{Empty, NewTokens, no_content, own_tokens};
use crate::error::code::Code;
use crate::error::http_error::HttpError;
use crate::openapi::operation::{Operation, Tag};
use crate::request::body_error::BodyError;
use crate::request::device_label::label;
use crate::request::fields::Fields;
use crate::request::query::{limit_schema, page_limit};
use crate::response::json;
use crate::state::AppState;

/// A page of sessions.
#[derive(Serialize, ToSchema)]
#[schema(as = SessionPage)]
struct Page<'a> {
    sessions: Vec<Seen<'a>>,
    /// The value of `after` for the next page.
    #[schema(required = true)]
    next: Option<String>,
}

/// A session.
#[derive(Serialize, ToSchema)]
#[schema(as = Session)]
struct Seen<'a> {
    sid: String,
    /// Derived from the user agent that has signed in.
    #[schema(required = true)]
    device: Option<String>,
    #[schema(required = true)]
    user_agent: Option<&'a str>,
    #[schema(required = true)]
    address: Option<&'a str>,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    last_used_at: String,
    #[schema(format = DateTime)]
    expires_at: String,
    /// Whether the token of the request belongs to it.
    current: bool,
    #[schema(required = true)]
    ended: Option<SessionEndInfo>,
}

/// The end of a session.
#[derive(Serialize, ToSchema)]
#[schema(as = SessionEnd)]
pub(super) struct SessionEndInfo {
    reason: &'static str,
    #[schema(format = DateTime)]
    at: String,
    /// `owner`, `operator`, `rule` or `client`; `null` for a session that has expired.
    #[schema(required = true)]
    by: Option<&'static str>,
}

/// The parameters of a list request.
struct ListParameters {
    filter: SessionFilter,
    after: Option<SessionId>,
    limit: u32,
}

pub(crate) async fn list(
    State(state): State<Arc<AppState>>,
    Extension(live): Extension<Live>,
    RawQuery(query): RawQuery,
) -> Result<Response, HttpError> {
    let parameters = ListParameters::read(query.as_deref().unwrap_or_default())?;
    let me = state.service.me(&live).await?;
    page(&state, &me.account, me.session, parameters).await
}

pub(crate) async fn list_of_account(
    State(state): State<Arc<AppState>>,
    subject: Result<Path<String>, PathRejection>,
    RawQuery(query): RawQuery,
) -> Result<Response, HttpError> {
    let parameters = ListParameters::read(query.as_deref().unwrap_or_default())?;
    let subject = subject.ok().and_then(|Path(subject)| Subject::parse(&subject).ok()).ok_or_else(unknown)?;
    let account = state.service.account_by(&AccountBy::Subject(subject)).await?.ok_or_else(unknown)?;
    page(&state, &account, None, parameters).await
}

pub(crate) async fn end_one(
    State(state): State<Arc<AppState>>,
    Extension(live): Extension<Live>,
    sid: Result<Path<String>, PathRejection>,
) -> Result<Response, HttpError> {
    // A malformed id is treated as an unknown session.
    let sid = sid.ok().and_then(|Path(sid)| sid.parse::<SessionId>().ok());
    let sid = sid.ok_or(Refusal::SessionNotFound)?;
    state.service.end_own_session(&live, sid).await?;
    let is_this = live.authentic().session_and_rsq().is_ok_and(|(own, _)| own == sid);
    Ok(if is_this { state.without_cookie(no_content()) } else { no_content() })
}

pub(crate) async fn end_others(
    State(state): State<Arc<AppState>>,
    Extension(live): Extension<Live>,
    request: Request,
) -> Result<Response, HttpError> {
    empty(request).await?;
    own_tokens(&state, state.service.end_other_sessions(&live).await?)
}

pub(crate) async fn end_all(
    State(state): State<Arc<AppState>>,
    Extension(live): Extension<Live>,
    request: Request,
) -> Result<Response, HttpError> {
    empty(request).await?;
    state.service.end_own_sessions(&live).await?;
    Ok(state.without_cookie(no_content()))
}

async fn page(
    state: &AppState,
    account: &Account,
    current: Option<SessionId>,
    ListParameters { filter, after, limit }: ListParameters,
) -> Result<Response, HttpError> {
    let page = state.service.sessions(account, filter, after, limit).await?;
    let sessions = page.sessions.iter().map(|seen| Seen::new(seen, current)).collect();
    Ok(json(StatusCode::OK, &Page { sessions, next: page.next.map(|sid| sid.to_string()) }))
}

/// Requires a request without fields: no body, or an empty object.
async fn empty(request: Request) -> Result<(), BodyError> {
    Fields::read_json(request).await?.done_with_all()
}

impl ListParameters {
    fn read(query: &str) -> Result<Self, HttpError> {
        let mut parameters = Self { filter: SessionFilter::Live, after: None, limit: limits::PAGE };
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match (&*name, &*value) {
                ("ended", "true") => parameters.filter = SessionFilter::Over,
                ("ended", "false") => parameters.filter = SessionFilter::Live,
                ("ended", _) => return Err(HttpError::of_field("ended", "Must be true or false.")),
                ("after", sid) => {
                    parameters.after =
                        Some(sid.parse().map_err(|_| HttpError::of_field("after", "Not a session id."))?)
                }
                ("limit", limit) => {
                    parameters.limit = page_limit(limit)?;
                }
                _ => {}
            }
        }
        Ok(parameters)
    }
}

impl<'a> Seen<'a> {
    fn new(seen: &'a SessionInfo, current: Option<SessionId>) -> Self {
        let session = &seen.session;
        let told = |at: Timestamp| rfc3339(at);
        Self {
            sid: session.id.to_string(),
            device: session.device.as_deref().and_then(label),
            user_agent: session.device.as_deref(),
            address: session.address.as_deref(),
            created_at: told(session.opened_at),
            last_used_at: told(session.rotated_at),
            expires_at: told(session.idle_until),
            current: current == Some(session.id),
            ended: SessionEndInfo::of(seen),
        }
    }
}

impl SessionEndInfo {
    /// The end of a session that isn't live.
    pub(super) fn of(seen: &SessionInfo) -> Option<Self> {
        match &seen.ending {
            Some(ending) => Some(Self {
                reason: ending.reason.as_str(),
                at: rfc3339(ending.at),
                by: Some(ending.actor.kind()),
            }),
            None if seen.live => None,
            None => Some(Self { reason: "expired", at: rfc3339(seen.session.idle_until), by: None }),
        }
    }
}

pub(crate) fn describe_list() -> Operation {
    listed(Operation::new(Tag::Account, "listOwnSessions", "Lists the account's sessions"))
}

pub(crate) fn describe_list_of_account() -> Operation {
    listed(Operation::new(Tag::Accounts, "listSessionsOfAccount", "Lists an account's sessions"))
        .in_path("subject", "The account's subject.")
        .refuses(&[Code::NotFound])
}

fn listed(operation: Operation) -> Operation {
    operation
        .query(
            "ended",
            value!({ "type": "boolean" }),
            "Lists ended and expired sessions instead of live ones.",
        )
        .query("limit", limit_schema(), "The most sessions of one page.")
        .query(
            "after",
            value!({ "type": "string", "pattern": "^[0-9a-f]{32}$" }),
            "The `next` of the previous page.",
        )
        .answers::<Page<'_>>(StatusCode::OK, "A page of sessions, oldest first.")
        .refuses(&[Code::InvalidRequest])
}

pub(crate) fn describe_end_one() -> Operation {
    Operation::new(Tag::Account, "endOwnSession", "Ends one of the account's sessions")
        .in_path("sid", "The session's id.")
        .answers_empty("The session has ended.")
        .refuses(&[Code::NotFound])
}

pub(crate) fn describe_end_others() -> Operation {
    Operation::new(Tag::Account, "endOtherSessions", "Ends all sessions but this one")
        .optional_json_body::<Empty>()
        .answers::<NewTokens>(StatusCode::OK, "New tokens for this session; its previous ones are revoked.")
        .refuses(&[Code::SessionRequired, Code::NoSigningKey])
}

pub(crate) fn describe_end_all() -> Operation {
    Operation::new(Tag::Account, "endAllSessions", "Ends all sessions of the account")
        .optional_json_body::<Empty>()
        .answers_empty("All sessions have ended.")
}
