//! Extractors for axum: the claims of a request's token, in the application's own type.
//!
//! The route must be under a [`VerifierLayer`](crate::VerifierLayer). [`TokenGuard`] is an extractor, too.
//!
//! ```
//! use axum::{Router, body::Body, http::Request, routing::get};
//! use quash_verify::{Claims, extract::OptionalAuth, test::TestIssuer};
//! use tower::ServiceExt;
//!
//! async fn greet(OptionalAuth(claims): OptionalAuth<Claims>) -> String {
//!     claims.map_or("hello".into(), |claims| format!("hello, {}", claims.user_id))
//! }
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() {
//! let issuer = TestIssuer::new();
//! let app = Router::new().route("/", get(greet)).layer(issuer.verifier().layer().optional());
//!
//! let token = issuer.token("dana").mint();
//! let with_token = Request::get("/").header("Authorization", token.bearer()).body(Body::empty()).unwrap();
//! let response = app.oneshot(with_token).await.unwrap();
//! let body = axum::body::to_bytes(response.into_body(), 100).await.unwrap();
//! assert_eq!(body, "hello, dana");
//! # }
//! ```

use std::fmt;
use std::sync::Arc;

use axum_core::body::Body;
use axum_core::extract::FromRequestParts;
use axum_core::response::{IntoResponse, Response};
use http::request::Parts;
use serde::de::DeserializeOwned;

use crate::accepted::Claims;
use crate::http::header::{HeaderFault, TokenHeader};
use crate::http::layer::LayerMarker;
use crate::http::problem::{Problem, Rejection};
use crate::token_guard::TokenGuard;

/// Extractor for the claims of a request's token.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Auth<C = Claims>(pub C);

/// Extractor for the claims of a request's token, or `None` without a token. The layer must be
/// [optional](crate::VerifierLayer::optional); it refuses invalid tokens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OptionalAuth<C = Claims>(pub Option<C>);

/// Rejection of a request whose token is missing, or whose claims don't fit the type.
pub struct AuthRejection {
    problem: Problem,
    header: Arc<TokenHeader>,
}

impl<S: Sync, C: DeserializeOwned> FromRequestParts<S> for Auth<C> {
    type Rejection = AuthRejection;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, AuthRejection> {
        match claims(parts)? {
            Some(claims) => Ok(Self(claims)),
            None => Err(rejection(Problem::of(Rejection::Header(HeaderFault::Missing)), parts)),
        }
    }
}

impl<S: Sync, C: DeserializeOwned> FromRequestParts<S> for OptionalAuth<C> {
    type Rejection = AuthRejection;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, AuthRejection> {
        claims(parts).map(Self)
    }
}

impl<S: Sync> FromRequestParts<S> for TokenGuard {
    type Rejection = AuthRejection;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, AuthRejection> {
        guarded(parts)?;
        let missing = || rejection(Problem::of(Rejection::Header(HeaderFault::Missing)), parts);
        parts.extensions.get::<Self>().cloned().ok_or_else(missing)
    }
}

fn claims<C: DeserializeOwned>(parts: &Parts) -> Result<Option<C>, AuthRejection> {
    guarded(parts)?;
    let Some(guard) = parts.extensions.get::<TokenGuard>() else { return Ok(None) };
    let claims = guard.accepted().claims();
    // Claims may be personal data, so the log has only the position of the error.
    claims.map(Some).map_err(|error| {
        tracing::debug!(
            column = error.column(),
            "the token's claims do not fit the type that the route asks for"
        );
        rejection(Problem::CLAIM_MISSING, parts)
    })
}

fn guarded(parts: &Parts) -> Result<(), AuthRejection> {
    if parts.extensions.get::<LayerMarker>().is_some() {
        return Ok(());
    }
    tracing::error!(path = parts.uri.path(), "a route extracts a token but has no verifier layer");
    Err(rejection(Problem::INTERNAL_ERROR, parts))
}

fn rejection(problem: Problem, parts: &Parts) -> AuthRejection {
    let header = parts
        .extensions
        .get::<LayerMarker>()
        .map(|LayerMarker(header)| Arc::clone(header))
        .unwrap_or_default();
    AuthRejection { problem, header }
}

impl IntoResponse for AuthRejection {
    fn into_response(self) -> Response {
        self.problem.answer(&self.header).map(Body::from)
    }
}

impl fmt::Debug for AuthRejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AuthRejection").field(&self.problem).finish()
    }
}
