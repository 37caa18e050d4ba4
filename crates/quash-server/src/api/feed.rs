//! The feed, for verifiers. `GET /v1/feed/snapshot`: every entry that the log retains, as JSON lines. `GET
//! /v1/feed?after=`: the entries after a cursor, as server-sent events, or one batch per request with
//! `Accept: application/json`. `GET /v1/feed/lease?cursor=&instance=&nonce=`: a signed proof of how far the
//! log reaches. All three require a credential from `quash verifier add`, and accept no other.
//!
//! A reader holds a position and no backlog: no event is built until the verifier takes it from its socket.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream::{self, Stream, StreamExt};
use http::header::{ACCEPT, AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, StatusCode};
use quash_core::model::Right;
use quash_core::watch::frame::{Cursor, FeedPolicy, Frame, LeaseNonce, Wanted};
use quash_service::{
    Binding, Credential, Delivery, FeedReader, FeedRefused, InstanceId, LeaseAsked, SnapshotFeed,
};
use quash_verify::TokenHeader;
use serde::Serialize;
use serde_json::json as value;

use crate::answer::json;
use crate::code::Code;
use crate::door::Door;
use crate::error::Fault;

/// The media type of server-sent events (HTML, 9.2).
const EVENTS: HeaderValue = HeaderValue::from_static("text/event-stream");
/// JSON lines.
const LINES: HeaderValue = HeaderValue::from_static("application/x-ndjson");
/// The longest time that a polling request waits for the next entry.
const POLL: Duration = Duration::from_secs(20);

/// The response to a polling request.
#[derive(Serialize)]
struct Polled {
    policy: FeedPolicy,
    frame: Option<Frame>,
    wanted: Option<Wanted>,
}

pub(crate) async fn snapshot(State(door): State<Arc<Door>>, headers: HeaderMap) -> Response {
    let begun = async {
        let credential = verifier(&door, &headers).await?;
        let snapshot =
            door.service.feed_snapshot(credential).await.map_err(|refused| refusal(&door, refused))?;
        Ok::<_, Fault>(of_body(LINES, Body::from_stream(lines(snapshot))))
    };
    begun.await.unwrap_or_else(|fault: Fault| fault.into_problem(&door.settings))
}

pub(crate) async fn stream(
    State(door): State<Arc<Door>>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Response {
    let opened = async {
        let credential = verifier(&door, &headers).await?;
        let after = cursor(&asked(query.as_deref(), "after")?, "after")?;
        let reader =
            door.service.feed_stream(&after, credential).await.map_err(|refused| refusal(&door, refused))?;
        if takes_events(&headers) {
            return Ok(events(Arc::clone(&door), reader));
        }
        let polled = polled(&door, reader).await?;
        // The credential may have been removed while the request waited.
        verifier(&door, &headers).await?;
        Ok(polled)
    };
    opened.await.unwrap_or_else(|fault: Fault| fault.into_problem(&door.settings))
}

pub(crate) async fn lease(
    State(door): State<Arc<Door>>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Response {
    let granted = async {
        let Credential { client, .. } = verifier(&door, &headers).await?;
        let query = query.as_deref();
        let cursor = cursor(&asked(query, "cursor")?, "cursor")?;
        let number = instance(&asked(query, "instance")?)?;
        let nonce = LeaseNonce::parse(&asked(query, "nonce")?).map_err(|_| {
            wrong("nonce", "must be 22 characters of base64url, chosen at random for each request")
        })?;
        let binding = match asked(query, "policy")?.as_str() {
            "deny" => Binding::Bound,
            "allow" => Binding::NotBound,
            _ => {
                return Err(wrong(
                    "policy",
                    "must be `deny` if tokens are refused without a lease, otherwise `allow`",
                ));
            }
        };
        let asked =
            LeaseAsked { id: InstanceId { name: client.name.to_string(), number }, cursor, nonce, binding };
        let grant = door.service.lease(&asked).await.map_err(|refused| refusal(&door, refused))?;
        Ok(json(StatusCode::OK, &grant))
    };
    granted.await.unwrap_or_else(|fault: Fault| fault.into_problem(&door.settings))
}

/// Returns the requesting verifier's credential if it may read the feed.
async fn verifier(door: &Door, headers: &HeaderMap) -> Result<Credential, Fault> {
    let header = TokenHeader { name: AUTHORIZATION, ..TokenHeader::default() };
    let secret = header.token(headers).map_err(Fault::from)?;
    match door.service.credential(secret).await.map_err(|failure| door.fault(&failure))? {
        Some(credential) if credential.client.may(Right::Feed) => Ok(credential),
        Some(_) => Err(Fault::new(
            Code::RightRequired,
            "This credential may not read the feed. Create one with `quash verifier add`.",
        )),
        None => Err(not_valid()),
    }
}

fn not_valid() -> Fault {
    Fault::new(
        Code::CredentialNotValid,
        "The credential for the feed is missing or not valid. Create one with `quash verifier add`.",
    )
}

fn refusal(door: &Door, refused: FeedRefused) -> Fault {
    match refused {
        FeedRefused::SnapshotRequired => Fault::new(
            Code::SnapshotRequired,
            "The log cannot continue from this cursor. Take a snapshot, and follow from its cursor.",
        ),
        FeedRefused::TooMany => Fault::busy("Too many verifiers, or too many snapshots at once."),
        FeedRefused::TooManyWithCredential => {
            Fault::busy("Too many verifiers use this credential. Create others with `quash verifier add`.")
        }
        FeedRefused::Removed => not_valid(),
        FeedRefused::Failed(failure) => door.fault(&failure),
    }
}

/// Streams the lines of a snapshot as fast as the verifier takes them. After an error the response is
/// aborted, so that the verifier doesn't mistake the part for the whole.
fn lines(snapshot: SnapshotFeed) -> impl Stream<Item = io::Result<Bytes>> {
    stream::unfold(snapshot, |mut snapshot| async move {
        let next = snapshot.next().await?.map(Bytes::from).map_err(|refused| {
            tracing::warn!(?refused, "a snapshot response was aborted");
            io::Error::other("the snapshot was aborted")
        });
        Some((next, snapshot))
    })
}

/// Streams server-sent events, built as fast as the reader takes them.
fn events(door: Arc<Door>, reader: FeedReader) -> Response {
    let first = event("policy", &door.service.feed_policy());
    let first = stream::once(async { Ok::<_, Infallible>(first) });
    let later = stream::unfold(Some((door, reader)), |state| async move {
        let (door, mut reader) = state?;
        let told = match reader.next().await? {
            Delivery::Policy => event("policy", &door.service.feed_policy()),
            Delivery::Entries(frame) => event("entries", &frame),
            Delivery::Wanted(wanted) => event("wanted", &wanted),
            Delivery::Nothing => Bytes::from_static(b":\n\n"),
            // No further event can follow.
            Delivery::Resync => return Some((Ok(event("resync", &value!({}))), None)),
        };
        Some((Ok(told), Some((door, reader))))
    });
    of_body(EVENTS, Body::from_stream(first.chain(later)))
}

fn of_body(media_type: HeaderValue, body: Body) -> Response {
    ([(CONTENT_TYPE, media_type), (CACHE_CONTROL, HeaderValue::from_static("no-store"))], body)
        .into_response()
}

/// One response: the next entries, or none after the timeout.
async fn polled(door: &Door, mut reader: FeedReader) -> Result<Response, Fault> {
    let (mut frame, mut wanted) = (None, None);
    match tokio::time::timeout(POLL, reader.next()).await {
        Ok(Some(Delivery::Entries(entries))) => frame = Some(entries),
        Ok(Some(Delivery::Wanted(number))) => wanted = Some(number),
        Ok(Some(Delivery::Resync)) => return Err(refusal(door, FeedRefused::SnapshotRequired)),
        Ok(Some(Delivery::Policy | Delivery::Nothing) | None) | Err(_) => {}
    }
    Ok(json(StatusCode::OK, &Polled { policy: door.service.feed_policy(), frame, wanted }))
}

pub(crate) fn event(name: &str, data: &impl Serialize) -> Bytes {
    // JSON contains line breaks only in escaped form.
    let data = serde_json::to_string(data).unwrap_or_default();
    Bytes::from(format!("event: {name}\ndata: {data}\n\n"))
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

/// Returns a required query parameter that must occur exactly once.
fn asked(query: Option<&str>, name: &str) -> Result<String, Fault> {
    let mut values =
        form_urlencoded::parse(query.unwrap_or_default().as_bytes()).filter(|(key, _)| key == name);
    match (values.next(), values.next()) {
        (Some((_, value)), None) => Ok(value.into_owned()),
        (None, _) => Err(wrong(name, "is missing")),
        (Some(_), Some(_)) => Err(wrong(name, "occurs twice")),
    }
}

fn cursor(text: &str, name: &str) -> Result<Cursor, Fault> {
    Cursor::parse(text)
        .map_err(|_| wrong(name, "must be a cursor from the feed: a number, a dot and 22 characters"))
}

fn instance(text: &str) -> Result<[u8; 16], Fault> {
    let wrong = || {
        wrong("instance", "must be 32 characters from 0 to 9 and a to f, chosen at random by each process")
    };
    let digits: Vec<u8> = text
        .chars()
        .map_while(|c| if c.is_ascii_uppercase() { None } else { c.to_digit(16) })
        .filter_map(|d| u8::try_from(d).ok())
        .collect();
    if text.len() != 32 || digits.len() != 32 {
        return Err(wrong());
    }
    let bytes: Vec<u8> = digits.chunks_exact(2).map(|pair| pair[0] * 16 + pair[1]).collect();
    bytes.try_into().map_err(|_| wrong())
}

fn wrong(name: &str, fault: &str) -> Fault {
    let mut errors = serde_json::Map::new();
    errors.insert(name.into(), value!([format!("The parameter {fault}.")]));
    Fault::new(Code::InvalidRequest, format!("The parameter `{name}` {fault}.")).with_body(errors.into())
}
