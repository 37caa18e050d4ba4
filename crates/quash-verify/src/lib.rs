//! Verifies the tokens of a quash server in an application, and refuses revoked ones.
//!
//! quash issues JSON Web Tokens that end when you say so: after a log-out, the access token is refused at the
//! next request. A [`Verifier`] learns of every revocation within milliseconds, because the issuer sends it,
//! and keeps everything that a check needs in memory. A check sends no request, and a check of a token seen
//! before takes no lock and allocates nothing, except that HMACs are verified each time. A verifier knows when
//! its data may be out of date, and [`WhenStale`] says what happens then.
//!
//! # Example
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
//! # Modules
//!
//! - [`layer`]: a tower layer that guards routes.
//! - `extract`: extractors for axum, with the token's claims in a type of your own.
//! - [`token_guard`]: tokens that are watched for longer than a request, for streams and WebSockets.
//! - [`named`]: sessions and tokens that another system issues and quash revokes.
//! - `transport`: other connections to the issuer than the operating system's.
//! - `test`: an issuer in memory, for your tests.
//!
//! # Features
//!
//! | feature | adds |
//! |---|---|
//! | `follow` (default) | `Verifier::builder` and an HTTP client that follows the issuer |
//! | `axum` | `extract` |
//! | `test` | `test`, and hooks for simulations |
//! | `clock` | `SystemClock`; part of `follow` |
//! | `issuer` | `issuer`: the guard of quash's own server, without a promise of stability |
//!
//! Types of quash-core that occur in this API are re-exported here. quash-core is internal: don't depend on it.

#![warn(missing_docs)]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![cfg_attr(
    not(feature = "issuer"),
    expect(dead_code, unreachable_pub, reason = "some code only serves the issuer's side")
)]

mod accepted;
#[cfg(feature = "follow")]
mod builder;
#[cfg(feature = "clock")]
mod clock;
#[cfg(feature = "follow")]
mod follow;
mod http;
#[cfg(feature = "follow")]
mod introspection;
#[cfg(feature = "issuer")]
pub mod issuer;
pub mod named;
mod revocation;
#[cfg(feature = "follow")]
mod revoke;
mod shared;
mod stale;
mod state;
#[cfg(feature = "test")]
pub mod test;
pub mod token_guard;
mod verifier;
mod verify_error;

pub use quash_core::model::{Clock, Invalid, Reason, Refusal, SessionId, Timestamp};
pub use quash_core::token::KeyFault;
pub use quash_core::watch::frame::FrameFault;

pub use accepted::{Accepted, Claims, TextOrNumber, claim_says};
#[cfg(feature = "follow")]
pub use builder::VerifierBuilder;
#[cfg(feature = "clock")]
pub use clock::SystemClock;
#[cfg(feature = "follow")]
pub use follow::fault::StartError;
#[cfg(feature = "follow")]
pub use follow::transport::{self, BodyStream, BoxFuture, Connection, IssuerError, Transport};
#[cfg(feature = "axum")]
pub use http::extract::{self, Auth, AuthRejection, OptionalAuth};
pub use http::header::{HeaderFault, SchemeCase, TokenHeader};
pub use http::layer::{self, Verified, VerifierLayer};
pub use http::problem::{Problem, Rejection};
pub use named::{AskError, Named};
pub use revocation::{Receipt, Revocation};
#[cfg(feature = "follow")]
pub use revoke::RevokeError;
pub use stale::WhenStale;
pub use state::{VerifierMetrics, VerifierState};
pub use token_guard::TokenGuard;
pub use verifier::Verifier;
pub use verify_error::VerifyError;

#[cfg(all(doctest, feature = "axum", feature = "follow", feature = "test"))]
#[doc = include_str!("../README.md")]
struct Readme;
