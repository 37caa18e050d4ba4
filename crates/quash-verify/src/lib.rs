//! The guard: decides on a token without asking anybody, and knows when it can't vouch for its answer.
//!
//! A [`Verifier`] is for applications. It is told of every revocation by the issuer, within milliseconds, and holds all
//! that matter in one immutable value: a check takes one look at it and does no I/O; for a token that was seen before
//! it takes no lock and allocates nothing (HMACs apart, which are verified each time). As a [tower
//! layer](Verifier::layer) it guards routes; with the feature `axum`, `Auth` extracts what the token says.
//!
//! ```
//! use axum::{Router, body::Body, http::Request, routing::get};
//! use quash_verify::{Auth, test::TestIssuer};
//! use tower::ServiceExt;
//!
//! #[derive(serde::Deserialize)]
//! struct Who { user_id: String, role: String }
//!
//! async fn orders(Auth(who): Auth<Who>) -> String {
//!     format!("{} is {}", who.user_id, who.role)
//! }
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() {
//! let issuer = TestIssuer::new(); // in an application: Verifier::builder("https://id.example.org")…start().await?
//! let app = Router::new().route("/orders", get(orders)).layer(issuer.verifier().layer().require("role", "clerk"));
//!
//! let token = issuer.token("dana").claim("role", "clerk").mint();
//! let request = || Request::get("/orders").header("Authorization", token.bearer()).body(Body::empty()).unwrap();
//! assert_eq!(app.clone().oneshot(request()).await.unwrap().status(), 200);
//!
//! issuer.revoke_session(token.session());
//! assert_eq!(app.oneshot(request()).await.unwrap().status(), 401);
//! # }
//! ```
//!
//! A [`Guard`] is for the process that every revocation passes through, and a [`Keeper`] the one place that builds what
//! it sees.
//!
//! Features: `follow` (on by default) brings `Verifier::builder` and with it an HTTP client; `axum` the extractors; `test`
//! an issuer in memory for an application's tests.

#![warn(missing_docs)]

mod denied;

mod guard;

mod verifier;

mod shared;

mod keeper;

mod catch_up;

mod known;

mod trust;

mod more_keys;

mod accepted;

mod stale;

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
pub use denied::Denied;
#[cfg(feature = "axum")]
pub use extract::{Auth, AuthRejection, OptionalAuth};
#[cfg(feature = "follow")]
pub use follow::{Carrier, Connection, Fault, Pieces, Soon, StartError, VerifierBuilder};
pub use guard::{Guard, GuardSetup};
pub use header::{HeaderFault, SchemeCase, TokenHeader};
pub use keeper::{Keeper, guard};
pub use layer::{Barred, GuardLayer, Guarded};
pub use more_keys::{Looked, MoreKeys};
pub use problem::Problem;
pub use stale::WhenStale;
pub use token_guard::TokenGuard;
pub use verifier::{Verifier, VerifierMetrics, VerifierState};
pub use verifier_layer::{Verified, VerifierLayer};
