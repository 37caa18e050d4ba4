//! `/admin/v1/keys`: lists the signing keys for a client with the right `read`; rotates and revokes them for one with
//! the right `keys`, as `quash key rotate` and `quash revoke key` do.

use std::sync::Arc;

use axum::Extension;
use axum::body::Bytes;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, Request, State};
use axum::response::Response;
use http::StatusCode;
use quash_core::decide::{KeyRefusal, RevokedKeySessions};
use quash_core::model::{Actor, Client, KeyState, Kid, Right};
use quash_service::{KeyChangeFault, KeyInfo, Takeover, rfc3339};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::error::code::Code;
use crate::error::http_error::HttpError;
use crate::openapi::operation::{Operation, Tag};
use crate::request::body::WholeRequest;
use crate::request::idempotency::{describe_key, idempotency_key, once};
use crate::request::items::parse;
use crate::request::query::Query;
use crate::response::json;
use crate::state::AppState;

/// The signing keys of this server.
#[derive(Serialize, ToSchema)]
#[schema(as = KeyList)]
struct KeysShown {
    items: Vec<KeyShown>,
    /// All keys are on one page.
    next: Option<String>,
}

/// A signing key. Nothing of it is secret.
#[derive(Serialize, ToSchema)]
#[schema(as = SigningKey)]
struct KeyShown {
    kid: String,
    algorithm: &'static str,
    /// `next`, `current`, `retiring` or `revoked`.
    state: &'static str,
    /// The time since which the next key is published, until which a retiring key verifies, or at which a key was
    /// revoked.
    #[schema(format = DateTime, required = true)]
    state_at: Option<String>,
    /// `made` or `settings`.
    source: &'static str,
    #[schema(format = DateTime)]
    created_at: String,
}

/// The rotation of a key.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = KeyRotation)]
struct RotationSent {
    /// Whether the next key signs at once, before verifiers know it.
    #[serde(default)]
    now: bool,
}

/// A key that was rotated.
#[derive(Serialize, ToSchema)]
#[schema(as = KeyRotated)]
struct RotatedShown {
    kid: String,
    /// `next` or `current`.
    state: &'static str,
}

/// The revocation of a key.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = KeyRevocation)]
struct RevocationSent {
    /// Whether all sessions end, too. Requires the right `revoke`, too.
    #[serde(default)]
    end_sessions: bool,
}

/// A key that was revoked.
#[derive(Serialize, ToSchema)]
#[schema(as = KeyRevoked)]
struct RevokedShown {
    kid: String,
    /// The number of the log entry.
    #[schema(required = true)]
    seq: Option<u64>,
    /// The key that signs now; `null` if none does until the settings name another.
    #[schema(required = true)]
    signs: Option<String>,
}

pub(crate) async fn list(
    State(state): State<Arc<AppState>>,
    RawQuery(query): RawQuery,
) -> Result<Response, HttpError> {
    Query::read(query.as_deref(), &[])?;
    let keys = state.service.keys().await?.own;
    Ok(json(StatusCode::OK, &KeysShown { items: keys.iter().map(KeyShown::new).collect(), next: None }))
}

pub(crate) async fn rotate(
    State(state): State<Arc<AppState>>,
    Extension(client): Extension<Client>,
    request: Request,
) -> Result<Response, HttpError> {
    let key = idempotency_key(request.headers())?;
    let body = body(request).await?;
    let RotationSent { now } = parse(&body, "an object that may have `now`")?;
    let takeover = if now { Takeover::Now } else { Takeover::Announced };
    once(&state, &client, key, "POST /admin/v1/keys/rotate", async {
        let actor = Actor::Client(client.name.clone());
        let changed = state.service.rotate_key(takeover, actor).await.map_err(not_changed)?;
        let state = changed.state.map_or("next", word);
        Ok((StatusCode::OK, RotatedShown { kid: changed.kid.to_string(), state }))
    })
    .await
}

pub(crate) async fn revoke(
    State(state): State<Arc<AppState>>,
    Extension(client): Extension<Client>,
    kid: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Response, HttpError> {
    let key = idempotency_key(request.headers())?;
    let body = body(request).await?;
    let RevocationSent { end_sessions } = parse(&body, "an object that may have `end_sessions`")?;
    if end_sessions && !client.may_administer(Right::Revoke) {
        return Err(HttpError::missing_right(Right::Revoke));
    }
    let sessions = if end_sessions { RevokedKeySessions::End } else { RevokedKeySessions::Continue };
    let kid = kid.ok().and_then(|Path(kid)| Kid::parse(&kid).ok()).ok_or_else(unknown)?;
    once(&state, &client, key, &format!("POST /admin/v1/keys/{kid}/revoke"), async {
        let actor = Actor::Client(client.name.clone());
        let revoked = state.service.revoke_key(&kid, sessions, actor).await.map_err(not_changed)?;
        let (seq, signs) = (revoked.seq.map(|seq| seq.as_u64()), revoked.signs.map(|kid| kid.to_string()));
        Ok((StatusCode::OK, RevokedShown { kid: kid.to_string(), seq, signs }))
    })
    .await
}

/// Reads an object in JSON; no body is an empty one.
async fn body(request: Request) -> Result<Bytes, HttpError> {
    let body = WholeRequest::read(request).await?.into_json_text()?;
    Ok(if body.is_empty() { Bytes::from_static(b"{}") } else { body })
}

fn unknown() -> HttpError {
    HttpError::new(Code::NotFound, "This server has no such key.")
}

/// The response to a change that is refused.
fn not_changed(fault: KeyChangeFault) -> HttpError {
    let conflict = |detail| HttpError::new(Code::KeyNotChanged, detail);
    match fault {
        KeyChangeFault::Failed(failure) => failure.into(),
        KeyChangeFault::Refused(KeyRefusal::Unknown) => unknown(),
        KeyChangeFault::Refused(KeyRefusal::NamedBySettings) => {
            conflict("The settings name the signing key: set another there, and restart the server.")
        }
        KeyChangeFault::Refused(KeyRefusal::TooMany) => {
            conflict("There are too many keys: wait until the last tokens of the oldest one have expired.")
        }
        KeyChangeFault::Refused(KeyRefusal::Signs | KeyRefusal::StillVerifies { .. }) => {
            conflict("The key is still needed.")
        }
        KeyChangeFault::Refused(KeyRefusal::Revoked { .. }) => conflict("The key is revoked already."),
    }
}

/// The word for a state of a key.
const fn word(state: KeyState) -> &'static str {
    match state {
        KeyState::Next { .. } => "next",
        KeyState::Current => "current",
        KeyState::Retiring { .. } => "retiring",
        KeyState::Revoked { .. } => "revoked",
    }
}

impl KeyShown {
    fn new(key: &KeyInfo) -> Self {
        let at = match key.state {
            KeyState::Current => None,
            KeyState::Next { since } => Some(since),
            KeyState::Retiring { until } => Some(until),
            KeyState::Revoked { at } => Some(at),
        };
        Self {
            kid: key.kid.to_string(),
            algorithm: key.algorithm.as_str(),
            state: word(key.state),
            state_at: at.map(rfc3339),
            source: key.source.as_str(),
            created_at: rfc3339(key.created_at),
        }
    }
}

pub(crate) fn describe_list() -> Operation {
    Operation::new(Tag::Keys, "listKeys", "Lists the signing keys")
        .refuses(&[Code::InvalidRequest])
        .answers::<KeysShown>(StatusCode::OK, "The keys, oldest first.")
}

pub(crate) fn describe_rotate() -> Operation {
    let operation = Operation::new(Tag::Keys, "rotateKey", "Makes another key sign")
        .text("The next key is published, and signs ten minutes later, so that verifiers know it.")
        .optional_json_body::<RotationSent>()
        .answers::<RotatedShown>(StatusCode::OK, "The key that signs now or next.")
        .refuses(&[Code::KeyNotChanged]);
    describe_key(operation)
}

pub(crate) fn describe_revoke() -> Operation {
    let operation = Operation::new(Tag::Keys, "revokeKey", "Revokes a signing key in an emergency")
        .text("Tokens that the key has signed are refused at once, except refresh tokens with genuine ids.")
        .in_path("kid", "The key's id.")
        .optional_json_body::<RevocationSent>()
        .answers::<RevokedShown>(StatusCode::OK, "The key is revoked.")
        .refuses(&[Code::NotFound, Code::KeyNotChanged]);
    describe_key(operation)
}
