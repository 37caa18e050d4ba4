//! `GET /admin/v1/audit`: the audit, newest first, for a client with the right `audit`.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;
use quash_core::model::{
    Actor, Audit, AuditFilter, Event, NewAudit, PersonalData, Reason, Subject, Timestamp, limits,
};
use quash_service::{parse_rfc3339, rfc3339};
use serde::Serialize;
use serde_json::json as value;
use utoipa::ToSchema;

use crate::error::code::Code;
use crate::error::http_error::HttpError;
use crate::openapi::operation::{Operation, Tag};
use crate::request::query::{Query, limit_schema, page_limit};
use crate::response::json;
use crate::state::AppState;

/// A page of the audit.
#[derive(Serialize, ToSchema)]
#[schema(as = AuditPage)]
struct AuditShown {
    /// Newest first.
    items: Vec<EntryShown>,
    /// The value of `cursor` for the next page.
    #[schema(required = true)]
    next: Option<String>,
}

/// An entry of the audit.
#[derive(Serialize, ToSchema)]
#[schema(as = AuditEntry)]
struct EntryShown {
    /// Its number.
    id: u64,
    #[schema(format = DateTime)]
    at: String,
    event: &'static str,
    /// `owner`, `operator`, `rule`, or `client:` and a client's name.
    actor: String,
    /// The reason, if the event ended something.
    #[schema(required = true)]
    reason: Option<&'static str>,
    /// The account's subject.
    #[schema(required = true)]
    subject: Option<String>,
    #[schema(required = true)]
    sid: Option<String>,
    #[schema(required = true)]
    kid: Option<String>,
    /// The number of its entry in the log.
    #[schema(required = true)]
    seq: Option<u64>,
    /// The name of the account at that time, of the client or of the namespace.
    #[schema(required = true)]
    name: Option<String>,
    /// The address that opened the session.
    #[schema(required = true)]
    address: Option<String>,
    /// The user agent that opened the session.
    #[schema(required = true)]
    user_agent: Option<String>,
    /// The system user that ran the command.
    #[schema(required = true)]
    author: Option<String>,
    /// The reason that the operator gave.
    #[schema(required = true)]
    note: Option<String>,
    /// Whether a seal covers it already.
    sealed: bool,
}

/// The parameters of a request.
const KNOWN: [&str; 7] = ["account", "event", "actor", "from", "until", "cursor", "limit"];

struct Parameters {
    filter: AuditFilter,
    after: Option<(Timestamp, u64)>,
    limit: u32,
}

pub(crate) async fn list(
    State(state): State<Arc<AppState>>,
    RawQuery(query): RawQuery,
) -> Result<Response, HttpError> {
    let Parameters { filter, after, limit } = Parameters::read(query.as_deref())?;
    let found = state.service.audit_before(after, &filter, limit).await?;
    let is_full = u32::try_from(found.len()).is_ok_and(|found| found == limit);
    let next = found.last().filter(|_| is_full).map(|last| cursor(last.new.at, last.id));
    Ok(json(StatusCode::OK, &AuditShown { items: found.into_iter().map(EntryShown::new).collect(), next }))
}

impl Parameters {
    fn read(query: Option<&str>) -> Result<Self, HttpError> {
        let mut parameters = Self { filter: AuditFilter::default(), after: None, limit: limits::PAGE };
        for (name, value) in Query::read(query, &KNOWN)?.into_pairs() {
            let filter = &mut parameters.filter;
            match &*name {
                "account" => {
                    let fault = |_| HttpError::of_field("account", "Not a subject.");
                    filter.subject = Some(Subject::parse(&value).map_err(fault)?);
                }
                "event" => {
                    let fault = || HttpError::of_field("event", "Not an event, such as `signed_in`.");
                    filter.event = Some(Event::parse(&value).ok_or_else(fault)?);
                }
                "actor" => {
                    const TEXT: &str =
                        "Must be `owner`, `operator`, `rule`, or `client:` and a client's name.";
                    let fault = || HttpError::of_field("actor", TEXT);
                    filter.actor = Some(Actor::parse(&value).ok_or_else(fault)?);
                }
                "from" => filter.from = Some(time("from", &value)?),
                "until" => filter.until = Some(time("until", &value)?),
                "cursor" => {
                    let fault = || HttpError::of_field("cursor", "Not the `next` of a page.");
                    parameters.after = Some(place(&value).ok_or_else(fault)?);
                }
                "limit" => parameters.limit = page_limit(&value)?,
                _ => {}
            }
        }
        Ok(parameters)
    }
}

fn time(name: &'static str, text: &str) -> Result<Timestamp, HttpError> {
    const TEXT: &str = "Must be a time as in RFC 3339, such as `2027-01-31T12:00:00Z`.";
    parse_rfc3339(text).ok_or_else(|| HttpError::of_field(name, TEXT))
}

/// Returns the place of an entry in a form that clients don't interpret.
fn cursor(at: Timestamp, id: u64) -> String {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&at.as_millis().to_be_bytes());
    bytes[8..].copy_from_slice(&id.to_be_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

fn place(cursor: &str) -> Option<(Timestamp, u64)> {
    let bytes: [u8; 16] = URL_SAFE_NO_PAD.decode(cursor).ok()?.try_into().ok()?;
    let (at, id) = bytes.split_at(8);
    let at = i64::from_be_bytes(at.try_into().ok()?);
    Some((Timestamp::from_millis(at), u64::from_be_bytes(id.try_into().ok()?)))
}

impl EntryShown {
    fn new(Audit { id, new, seq, sealing }: Audit) -> Self {
        let NewAudit { at, event, actor, reason, subject, session, kid, person } = new;
        let PersonalData { name, address, device, note } = person.unwrap_or_default();
        let note = note.unwrap_or_default();
        Self {
            id,
            at: rfc3339(at),
            event: event.as_str(),
            actor: actor.as_str().to_owned(),
            reason: reason.map(Reason::as_str),
            subject: subject.map(|subject| subject.to_string()),
            sid: session.map(|session| session.to_string()),
            kid,
            seq: seq.map(|seq| seq.as_u64()),
            name,
            address,
            user_agent: device,
            author: note.author,
            note: note.text,
            sealed: sealing.is_some(),
        }
    }
}

pub(crate) fn describe_list() -> Operation {
    let (text, time) = (value!({ "type": "string" }), value!({ "type": "string", "format": "date-time" }));
    Operation::new(Tag::Audit, "listAudit", "Lists what happened, newest first")
        .text("It contains personal data. Entries are kept for the time in `audit.keep`.")
        .query("account", text.clone(), "The entries about the account with this subject.")
        .query("event", text.clone(), "The entries of this event, such as `signed_in`.")
        .query(
            "actor",
            text.clone(),
            "The entries of `owner`, `operator`, `rule`, or `client:` and a client's name.",
        )
        .query("from", time.clone(), "The entries of this time or later.")
        .query("until", time, "The entries before this time.")
        .query("limit", limit_schema(), "The most entries of one page.")
        .query("cursor", text, "The `next` of the page before, with the same parameters.")
        .answers::<AuditShown>(StatusCode::OK, "A page of entries.")
        .refuses(&[Code::InvalidRequest])
}
