//! Verifies tokens locally, without a request to the issuer, and knows when its answers may be out of date.
//!
//! A [`Verifier`] is for applications. The issuer sends it every revocation within milliseconds, and the
//! verifier keeps everything that a check needs in one immutable value. A check loads that value once and
//! does no I/O. For a token seen before, a check takes no lock and allocates nothing, except that HMACs are
//! verified each time. [`Verifier::layer`] is a tower layer that guards routes. With the feature `axum`,
//! `Auth` extracts the token's claims.
//!
//! ```
//! use axum::{Router, body::Body, http::Request, routing::get};
//! use quash_verify::{Auth, test::TestIssuer};
//! use tower::ServiceExt;
//!
//! #[derive(serde::Deserialize)]
//! struct User { user_id: String, role: String }
//!
//! async fn orders(Auth(who): Auth<User>) -> String {
//!     format!("{} is {}", who.user_id, who.role)
//! }
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() {
//! // In an application: Verifier::builder("https://id.example.org").credential("qv_…").start().await?
//! let issuer = TestIssuer::new();
//! let clerks = issuer.verifier().layer().require("role", "clerk");
//! let app = Router::new().route("/orders", get(orders)).layer(clerks);
//!
//! let token = issuer.token("dana").claim("role", "clerk").mint();
//! let request =
//!     || Request::get("/orders").header("Authorization", token.bearer()).body(Body::empty()).unwrap();
//! assert_eq!(app.clone().oneshot(request()).await.unwrap().status(), 200);
//!
//! issuer.revoke_session(token.session());
//! assert_eq!(app.oneshot(request()).await.unwrap().status(), 401);
//! # }
//! ```
//!
//! A [`Guard`] is for the issuer's own process, through which every revocation passes. A [`Publisher`] is the
//! only place that builds the state that a guard reads.
//!
//! Features: `follow` (on by default) adds `Verifier::builder` and an HTTP client, `axum` adds the
//! extractors, and `test` adds an in-memory issuer for an application's tests.

#![warn(missing_docs)]

mod verify_error;

mod guard;

mod verifier;

mod shared;

mod publisher;

mod catch_up;

mod token_cache;

mod trust;

mod key_fetcher;

mod accepted;

mod stale;

mod named;

mod revocation;

#[cfg(feature = "follow")]
mod introspection;

mod token_guard;

mod header;

mod layer;

mod verifier_layer;

mod problem;

#[cfg(feature = "axum")]
mod extract;

#[cfg(feature = "clock")]
mod clock;

#[cfg(feature = "follow")]
mod follow;

#[cfg(feature = "test")]
pub mod test;

pub use accepted::{Accepted, Claims, TextOrNumber};
#[cfg(feature = "clock")]
pub use clock::SystemClock;
#[cfg(feature = "axum")]
pub use extract::{Auth, AuthRejection, OptionalAuth};
#[cfg(feature = "follow")]
pub use follow::{
    BodyStream, BoxFuture, Connection, IssuerError, RevokeError, StartError, Transport, VerifierBuilder,
};
pub use guard::{Guard, GuardSetup};
pub use header::{HeaderFault, SchemeCase, TokenHeader};
pub use key_fetcher::{KeyFetch, KeyFetcher};
pub use layer::{GuardLayer, Guarded, Rejection};
pub use named::AskError;
pub use problem::Problem;
pub use publisher::{Publisher, guard};
pub use quash_core::watch::Named;
pub use revocation::{Receipt, Revocation};
pub use stale::WhenStale;
pub use token_guard::TokenGuard;
pub use verifier::{Verifier, VerifierMetrics, VerifierState};
pub use verifier_layer::{Verified, VerifierLayer};
pub use verify_error::VerifyError;
