//! `GET /admin/v1/sessions`: the live sessions of all accounts, newest first. `GET` and `DELETE
//! /admin/v1/sessions/{sid}`: shows one, or ends it. `POST /admin/v1/accounts/{subject}/sessions/end-all`: ends all
//! of an account.

use std::sync::Arc;

use axum::Extension;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, Request, State};
use axum::response::Response;
use http::StatusCode;
use quash_core::model::{Account, Actor, Client, ClientName, EndCause, Reason, Refusal, SessionId, Subject};
use quash_service::{Failure, SessionInfo, SessionSearch, rfc3339};
use serde::Serialize;
use utoipa::ToSchema;

use super::{account_of, subject_of};
use crate::api::accounts::unknown;
use crate::api::sessions::SessionEndInfo;
use crate::api::{Empty, no_content};
use crate::error::code::Code;
use crate::error::http_error::HttpError;
use crate::openapi::operation::{Operation, Tag};
use crate::request::device_label::label;
use crate::request::fields::Fields;
use crate::request::query::{self, Order, Query, cursor_after};
use crate::response::json;
use crate::state::AppState;

/// A page of sessions.
#[derive(Serialize, ToSchema)]
#[schema(as = SessionList)]
struct List {
    items: Vec<SessionDetails>,
    /// The `cursor` of the next page.
    #[schema(required = true)]
    next: Option<String>,
}

/// A session as operators see it.
#[derive(Serialize, ToSchema)]
struct SessionDetails {
    sid: String,
    /// The account's subject.
    subject: String,
    username: String,
    /// The client that opened it, if it wasn't the user.
    #[schema(required = true)]
    client: Option<String>,
    /// Derived from the user agent that has signed in.
    #[schema(required = true)]
    device: Option<String>,
    #[schema(required = true)]
    user_agent: Option<String>,
    #[schema(required = true)]
    address: Option<String>,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    last_used_at: String,
    #[schema(format = DateTime)]
    expires_at: String,
    #[schema(required = true)]
    ended: Option<SessionEndInfo>,
}

/// The account whose sessions have ended.
#[derive(Serialize, ToSchema)]
struct SessionsEnded<'a> {
    subject: &'a str,
    username: &'a str,
    /// The number of the log entry.
    #[schema(required = true)]
    seq: Option<u64>,
}

pub(crate) async fn list(
    State(state): State<Arc<AppState>>,
    RawQuery(query): RawQuery,
) -> Result<Response, HttpError> {
    let query = Query::read(query.as_deref(), &["subject", "client", "limit", "cursor"])?;
    let search = match (query.get("subject"), query.get("client")) {
        (Some(_), Some(_)) => return Err(HttpError::of_field("client", "Send it without `subject`.")),
        (Some(text), None) => {
            let subject =
                Subject::parse(text).map_err(|_| HttpError::of_field("subject", "Not a subject."))?;
            SessionSearch::OfAccount(subject)
        }
        (None, Some(text)) => {
            let fault = "Not a client's name: 1 to 64 characters from a to z, 0 to 9, '.', '_' and '-'.";
            SessionSearch::OfClient(
                ClientName::parse(text).map_err(|_| HttpError::of_field("client", fault))?,
            )
        }
        (None, None) => SessionSearch::All,
    };
    let before = match query.cursor(Order::Session)? {
        None => None,
        Some(sid) => {
            Some(sid.parse().map_err(|_| HttpError::of_field("cursor", "Not a `next` of this list."))?)
        }
    };
    let page = state.service.live_sessions(&search, before, query.limit()?).await?;
    let live = |session| SessionInfo { session, live: true, ending: None };
    let items =
        page.sessions.into_iter().map(|(session, account)| SessionDetails::of(&live(session), &account));
    let next = page.next.map(|sid| cursor_after(Order::Session, &sid.to_string()));
    Ok(json(StatusCode::OK, &List { items: items.collect(), next }))
}

pub(crate) async fn show(
    State(state): State<Arc<AppState>>,
    sid: Result<Path<String>, PathRejection>,
) -> Result<Response, HttpError> {
    let found = state.service.session_by_id(sid_of(sid)?).await?;
    let (info, account) = found.ok_or(Refusal::SessionNotFound)?;
    Ok(json(StatusCode::OK, &SessionDetails::of(&info, &account)))
}

pub(crate) async fn end(
    State(state): State<Arc<AppState>>,
    Extension(client): Extension<Client>,
    sid: Result<Path<String>, PathRejection>,
) -> Result<Response, HttpError> {
    let ended = state.service.end_session(sid_of(sid)?, Reason::Ended, Actor::Client(client.name)).await;
    match ended {
        // This process refuses its tokens already.
        Ok(_) | Err(Failure::Refused(Refusal::TokenRevoked(_))) => Ok(no_content()),
        Err(Failure::Refused(_)) => Err(Refusal::SessionNotFound.into()),
        Err(failure) => Err(failure.into()),
    }
}

pub(crate) async fn end_all(
    State(state): State<Arc<AppState>>,
    Extension(client): Extension<Client>,
    subject: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Response, HttpError> {
    Fields::read_json(request).await?.done_with_all()?;
    let subject = subject_of(subject)?;
    let account = account_of(&state, &subject).await?;
    let actor = Actor::Client(client.name);
    let ended = state.service.end_account(&subject, EndCause::LogOutEverywhere, actor).await;
    let ended = ended.map_err(|failure| match failure {
        // It was deleted meanwhile.
        Failure::Refused(_) => unknown(),
        failure => failure.into(),
    })?;
    let shown = SessionsEnded {
        subject: subject.as_str(),
        username: account.username.shown(),
        seq: ended.seq.map(|seq| seq.as_u64()),
    };
    Ok(json(StatusCode::OK, &shown))
}

/// A path's session. A text that can't be an id is treated as an unknown session.
fn sid_of(path: Result<Path<String>, PathRejection>) -> Result<SessionId, HttpError> {
    path.ok().and_then(|Path(sid)| sid.parse().ok()).ok_or_else(|| Refusal::SessionNotFound.into())
}

impl SessionDetails {
    fn of(info: &SessionInfo, account: &Account) -> Self {
        let session = &info.session;
        Self {
            sid: session.id.to_string(),
            subject: session.subject.to_string(),
            username: account.username.shown().to_owned(),
            client: session.client.as_ref().map(ToString::to_string),
            device: session.device.as_deref().and_then(label),
            user_agent: session.device.clone(),
            address: session.address.clone(),
            created_at: rfc3339(session.opened_at),
            last_used_at: rfc3339(session.rotated_at),
            expires_at: rfc3339(session.idle_until),
            ended: SessionEndInfo::of(info),
        }
    }
}

pub(crate) fn describe_list() -> Operation {
    let operation = Operation::new(Tag::Accounts, "listSessions", "Lists the live sessions of all accounts")
        .text("A page may be short, or empty, although `next` names another.")
        .query("subject", query::text(), "Only the sessions of this account.")
        .query("client", query::text(), "Only the sessions that this client has opened.")
        .answers::<List>(StatusCode::OK, "A page of sessions, newest first.")
        .refuses(&[Code::InvalidRequest]);
    query::describe_page(operation)
}

pub(crate) fn describe_show() -> Operation {
    Operation::new(Tag::Accounts, "showSession", "Shows a session, also one that has ended")
        .in_path("sid", "The session's id.")
        .answers::<SessionDetails>(StatusCode::OK, "The session.")
        .refuses(&[Code::NotFound])
}

pub(crate) fn describe_end() -> Operation {
    Operation::new(Tag::Accounts, "endSession", "Ends a session")
        .in_path("sid", "The session's id.")
        .answers_empty("The session has ended.")
        .refuses(&[Code::NotFound])
}

pub(crate) fn describe_end_all() -> Operation {
    Operation::new(Tag::Accounts, "endSessionsOfAccount", "Ends all sessions of an account")
        .in_path("subject", "The account's subject.")
        .optional_json_body::<Empty>()
        .answers::<SessionsEnded<'_>>(StatusCode::OK, "All its sessions have ended.")
        .refuses(&[Code::NotFound])
}
