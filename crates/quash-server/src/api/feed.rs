//! The feed, for verifiers. `GET /v1/feed/snapshot`: every entry that the log retains, as JSON lines. `GET
//! /v1/feed?after=`: the entries after a cursor, as server-sent events, or one batch per request with
//! `Accept: application/json`. `GET /v1/feed/lease?cursor=&instance=&nonce=`: a signed proof of how far the
//! log reaches, and `DELETE` with `instance=` to give it back. All
//! require a credential from `quash verifier add` and accept no other; all but the last name the version of
//! the feed in `v`.
//!
//! A reader holds a position and no backlog: no event is built until the verifier takes it from its socket.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream::{self, Stream, StreamExt};
use http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, StatusCode};
use quash_core::hex;
use quash_core::model::{Binding, InstanceId, LabelFault, ProcessLabel, Right};
use quash_core::watch::frame::{Cursor, FeedPolicy, Frame, FrameFault, LeaseNonce, VERSION, Wanted};
use quash_service::{Credential, FeedEvent, FeedReader, FeedRefused, LeaseRequest, SnapshotFeed};
use serde::Serialize;
use serde_json::{Value, json as value};
use utoipa::ToSchema;

use crate::api::no_content;
use crate::error::code::Code;
use crate::error::http_error::HttpError;
use crate::openapi::CREDENTIAL;
use crate::openapi::operation::{Operation, Tag};
use crate::request::credential::credential_with;
use crate::response::json;
use crate::state::AppState;

/// The media type of server-sent events (HTML, 9.2).
const EVENTS: HeaderValue = HeaderValue::from_static("text/event-stream");
/// JSON lines.
const LINES: HeaderValue = HeaderValue::from_static("application/x-ndjson");
/// The longest time that a polling request waits for the next entry.
const POLL: Duration = Duration::from_secs(20);

/// The response to a polling request.
#[derive(Serialize, ToSchema)]
#[schema(as = FeedPoll)]
struct Polled {
    /// Describes the issuer's tokens. May have other members, too.
    #[schema(value_type = std::collections::BTreeMap<String, Value>)]
    policy: FeedPolicy,
    #[schema(value_type = Option<FrameShown>, required = true)]
    frame: Option<Frame>,
    #[schema(value_type = Option<WantedShown>, required = true)]
    wanted: Option<Wanted>,
}

pub(crate) async fn snapshot(
    State(state): State<Arc<AppState>>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, HttpError> {
    let credential = verifier(&state, &headers).await?;
    version(query.as_deref())?;
    let snapshot = state.service.feed_snapshot(credential).await.map_err(refusal)?;
    Ok(of_body(LINES, Body::from_stream(lines(snapshot))))
}

pub(crate) async fn stream(
    State(state): State<Arc<AppState>>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, HttpError> {
    let credential = verifier(&state, &headers).await?;
    version(query.as_deref())?;
    let after = cursor(&query_param(query.as_deref(), "after")?, "after")?;
    let reader = state.service.feed_stream(&after, credential).await.map_err(refusal)?;
    if takes_events(&headers) {
        return Ok(events(Arc::clone(&state), reader));
    }
    let polled = polled(&state, reader).await?;
    // The credential may have been removed while the request waited.
    verifier(&state, &headers).await?;
    Ok(polled)
}

pub(crate) async fn lease(
    State(state): State<Arc<AppState>>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, HttpError> {
    let Credential { client, .. } = verifier(&state, &headers).await?;
    let query = query.as_deref();
    version(query)?;
    let cursor = cursor(&query_param(query, "cursor")?, "cursor")?;
    let number = instance(&query_param(query, "instance")?)?;
    let nonce = LeaseNonce::parse(&query_param(query, "nonce")?).map_err(|_| {
        wrong("nonce", "must be 22 characters of base64url, chosen at random for each request")
    })?;
    let binding = match query_param(query, "policy")?.as_str() {
        "deny" => Binding::Bound,
        "allow" => Binding::NotBound,
        _ => {
            return Err(wrong(
                "policy",
                "must be `deny` if tokens are refused without a lease, otherwise `allow`",
            ));
        }
    };
    let (host, pid) = (given(query, "host")?, given(query, "pid")?);
    let label = ProcessLabel::parse(host.as_deref(), pid.as_deref())
        .map_err(|LabelFault { field, text }| wrong(field, text))?;
    let id = InstanceId { name: client.name.to_string(), number };
    let asked = LeaseRequest { id, cursor, nonce, binding, label };
    let grant = state.service.lease(&asked).await.map_err(refusal)?;
    Ok(json(StatusCode::OK, &grant))
}

/// Gives a lease back: the process accepts no token any more. Works without a lease, too, since the answer to
/// an earlier request may have been lost.
pub(crate) async fn give_back(
    State(state): State<Arc<AppState>>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, HttpError> {
    let Credential { client, .. } = verifier(&state, &headers).await?;
    let number = instance(&query_param(query.as_deref(), "instance")?)?;
    state.service.give_lease_back(&InstanceId { name: client.name.to_string(), number }).await?;
    Ok(no_content())
}

/// Returns the requesting verifier's credential if it may read the feed.
async fn verifier(state: &AppState, headers: &HeaderMap) -> Result<Credential, HttpError> {
    credential_with(state, headers, Right::Feed).await
}

fn refusal(refused: FeedRefused) -> HttpError {
    match refused {
        FeedRefused::SnapshotRequired => HttpError::new(
            Code::SnapshotRequired,
            "The log cannot continue from this cursor. Take a snapshot, and follow from its cursor.",
        ),
        FeedRefused::TooMany => HttpError::busy("Too many verifiers, or too many snapshots at once."),
        FeedRefused::TooManyWithCredential => HttpError::busy(
            "Too many verifiers use this credential. Create others with `quash verifier add`.",
        ),
        FeedRefused::Left => wrong(
            "instance",
            "names a process that has given its lease back; each process must choose a number of its own",
        ),
        FeedRefused::Removed => HttpError::credential_not_valid(),
        FeedRefused::Failed(failure) => failure.into(),
        FeedRefused::Unwritable(fault) => unwritable(fault),
    }
}

fn unwritable(fault: FrameFault) -> HttpError {
    HttpError::internal(format!("failed to write the feed's policy: {fault}"))
}

/// Streams the lines of a snapshot as fast as the verifier takes them. After an error the response is
/// aborted, so that the verifier doesn't mistake the part for the whole.
fn lines(snapshot: SnapshotFeed) -> impl Stream<Item = io::Result<Bytes>> {
    stream::unfold(snapshot, |mut snapshot| async move {
        let next = snapshot.next().await?.map(Bytes::from).map_err(|refused| {
            tracing::warn!(%refused, "a snapshot response was aborted");
            io::Error::other("the snapshot was aborted")
        });
        Some((next, snapshot))
    })
}

/// Streams server-sent events, built as fast as the reader takes them.
fn events(state: Arc<AppState>, reader: FeedReader) -> Response {
    let first = policy(&state);
    let first = stream::once(async { first });
    let later = stream::unfold(Some((state, reader)), |state| async move {
        let (state, mut reader) = state?;
        let told = match reader.next().await? {
            FeedEvent::Policy => policy(&state),
            FeedEvent::Entries(frame) => event("entries", &frame),
            FeedEvent::Wanted(wanted) => event("wanted", &wanted),
            FeedEvent::Nothing => Ok(Bytes::from_static(b":\n\n")),
            // No further event can follow.
            FeedEvent::Resync => return Some((event("resync", &value!({})), None)),
        };
        Some((told, Some((state, reader))))
    });
    of_body(EVENTS, Body::from_stream(first.chain(later)))
}

fn of_body(media_type: HeaderValue, body: Body) -> Response {
    ([(CONTENT_TYPE, media_type), (CACHE_CONTROL, HeaderValue::from_static("no-store"))], body)
        .into_response()
}

/// One response: the next entries, or none after the timeout.
async fn polled(state: &AppState, mut reader: FeedReader) -> Result<Response, HttpError> {
    let (mut frame, mut wanted) = (None, None);
    match tokio::time::timeout(POLL, reader.next()).await {
        Ok(Some(FeedEvent::Entries(entries))) => frame = Some(entries),
        Ok(Some(FeedEvent::Wanted(number))) => wanted = Some(number),
        Ok(Some(FeedEvent::Resync)) => return Err(refusal(FeedRefused::SnapshotRequired)),
        Ok(Some(FeedEvent::Policy | FeedEvent::Nothing) | None) | Err(_) => {}
    }
    let policy = state.service.feed_policy().map_err(unwritable)?;
    Ok(json(StatusCode::OK, &Polled { policy, frame, wanted }))
}

fn policy(state: &AppState) -> io::Result<Bytes> {
    event("policy", &state.service.feed_policy().map_err(|fault| aborted("policy", &fault))?)
}

/// Formats an event. After an error the stream is aborted, and the verifier connects again.
pub(crate) fn event(name: &str, data: &impl Serialize) -> io::Result<Bytes> {
    // JSON contains line breaks only in escaped form.
    let data = serde_json::to_string(data).map_err(|error| aborted(name, &error))?;
    Ok(Bytes::from(format!("event: {name}\ndata: {data}\n\n")))
}

fn aborted(name: &str, error: &dyn std::error::Error) -> io::Error {
    tracing::error!(%error, name, "failed to serialize an event of the feed; the stream is aborted");
    io::Error::other("an event could not be serialized")
}

fn takes_events(headers: &HeaderMap) -> bool {
    let accepts = |media: &str| {
        let mut parts =
            headers.get_all(ACCEPT).iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
        let media = media.as_bytes();
        parts.any(|part| {
            part.split(|byte| *byte == b';')
                .next()
                .is_some_and(|part| part.trim_ascii().eq_ignore_ascii_case(media))
        })
    };
    accepts("text/event-stream") || !accepts("application/json")
}

/// Checks that the request is for the version of the feed that this server speaks.
fn version(query: Option<&str>) -> Result<(), HttpError> {
    let version = given(query, "v")?;
    if version.as_ref().is_some_and(|version| *version == VERSION.to_string()) {
        return Ok(());
    }
    Err(HttpError::feed_version(version.is_some()))
}

/// Returns a required query parameter that must occur exactly once.
fn query_param(query: Option<&str>, name: &str) -> Result<String, HttpError> {
    given(query, name)?.ok_or_else(|| wrong(name, "is missing"))
}

/// Returns a query parameter that may occur once.
fn given(query: Option<&str>, name: &str) -> Result<Option<String>, HttpError> {
    let mut values =
        form_urlencoded::parse(query.unwrap_or_default().as_bytes()).filter(|(key, _)| key == name);
    match (values.next(), values.next()) {
        (value, None) => Ok(value.map(|(_, value)| value.into_owned())),
        (_, Some(_)) => Err(wrong(name, "occurs twice")),
    }
}

fn cursor(text: &str, name: &str) -> Result<Cursor, HttpError> {
    Cursor::parse(text)
        .map_err(|_| wrong(name, "must be a cursor from the feed: a number, a dot and 22 characters"))
}

fn instance(text: &str) -> Result<[u8; 16], HttpError> {
    let wrong = || {
        wrong("instance", "must be 32 characters from 0 to 9 and a to f, chosen at random by each process")
    };
    hex::decode(text).ok_or_else(wrong)
}

fn wrong(name: &str, fault: &str) -> HttpError {
    HttpError::of_parameter(name, fault)
}

/// The next entries of the log.
#[derive(ToSchema)]
#[schema(as = FeedFrame)]
#[expect(dead_code, reason = "describes a type of a crate that knows no schemas")]
struct FrameShown {
    /// The end of the log after these entries.
    cursor: String,
    entries: Vec<EntryShown>,
}

/// An entry of the log.
#[derive(ToSchema)]
#[schema(as = FeedEntry)]
#[expect(dead_code, reason = "describes a type of a crate that knows no schemas")]
struct EntryShown {
    seq: u64,
    kind: u8,
    key: String,
    #[schema(required = true)]
    drop_after: Option<i64>,
    reason: String,
    at: i64,
    #[schema(value_type = i64, required = false)]
    until: Option<i64>,
    actor: String,
    chain: String,
}

/// The number that a request waits for.
#[derive(ToSchema)]
#[schema(as = FeedWanted)]
#[expect(dead_code, reason = "describes a type of a crate that knows no schemas")]
struct WantedShown {
    seq: u64,
}

/// The end of the log, for as long as the lease is valid.
#[derive(ToSchema)]
#[schema(as = FeedLease)]
#[expect(dead_code, reason = "describes a type of a crate that knows no schemas")]
struct LeaseShown {
    nonce: String,
    cursor: String,
    chain: String,
    term_ms: u64,
    /// In milliseconds since 1970.
    server_time: i64,
    digest: String,
}

pub(crate) fn describe_snapshot() -> Operation {
    let lines = value!({ "type": "string", "description": "Lines of JSON." });
    versioned("getFeedSnapshot", "Returns every entry that the log retains").answers_with(
        StatusCode::OK,
        "The entries.",
        "application/x-ndjson",
        lines,
    )
}

pub(crate) fn describe_stream() -> Operation {
    let events = value!({ "type": "string", "description": "Server-sent events: `policy`, `entries`, `wanted` and `resync`." });
    versioned("followFeed", "Returns the entries after a cursor, as they are written")
        .required_query("after", cursor_schema(), "The cursor of the snapshot or of the last entries.")
        .answers::<Polled>(
            StatusCode::OK,
            "Events; with `Accept: application/json`, the next entries or none.",
        )
        .answers_with(StatusCode::OK, "", "text/event-stream", events)
        .refuses(&[Code::SnapshotRequired])
}

pub(crate) fn describe_lease() -> Operation {
    let nonce = value!({ "type": "string", "pattern": "^[A-Za-z0-9_-]{22}$" });
    let policy = value!({ "type": "string", "enum": ["deny", "allow"] });
    let text = || value!({ "type": "string" });
    versioned("renewLease", "Proves how far the log reaches")
        .required_query("cursor", cursor_schema(), "The end of the log as the verifier knows it.")
        .required_query("instance", instance_schema(), "A number that each process chooses at random.")
        .required_query("nonce", nonce, "A number that each request chooses at random.")
        .required_query("policy", policy, "`deny` if the verifier refuses tokens without a lease.")
        .query("host", text(), "The machine of the process.")
        .query("pid", text(), "The number of the process.")
        .answers::<LeaseShown>(StatusCode::OK, "The lease.")
        .refuses(&[Code::SnapshotRequired])
}

pub(crate) fn describe_give_back() -> Operation {
    of_feed("giveLeaseBack", "Gives a lease back: the process ends")
        .required_query("instance", instance_schema(), "The number of the process.")
        .answers_empty("The process has no lease.")
}

fn versioned(id: &'static str, summary: &'static str) -> Operation {
    let version = value!({ "type": "integer", "enum": [VERSION] });
    of_feed(id, summary)
        .required_query("v", version, "The version of the feed that the verifier speaks.")
        .refuses(&[Code::FeedVersion])
}

fn of_feed(id: &'static str, summary: &'static str) -> Operation {
    Operation::new(Tag::Feed, id, summary)
        .text("Requires the right `feed`.")
        .secured_by(CREDENTIAL)
        .refuses(&[Code::InvalidRequest, Code::CredentialNotValid, Code::RightRequired, Code::Unavailable])
}

fn cursor_schema() -> Value {
    value!({ "type": "string", "pattern": "^[0-9]+\\.[A-Za-z0-9_-]{22}$" })
}

fn instance_schema() -> Value {
    value!({ "type": "string", "pattern": "^[0-9a-f]{32}$" })
}
