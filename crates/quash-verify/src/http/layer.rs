//! The verifier as a tower layer: passes a request on with a [`TokenGuard`] in its extensions, or answers it.
//!
//! ```
//! use http::{Request, Response};
//! use quash_verify::{TokenGuard, test::TestIssuer};
//! use tower::{ServiceBuilder, ServiceExt};
//!
//! async fn greet(request: Request<()>) -> Result<Response<Vec<u8>>, std::convert::Infallible> {
//!     let guard = request.extensions().get::<TokenGuard>().expect("the layer has checked the token");
//!     Ok(Response::new(format!("hello, {}", guard.accepted().user_id()).into_bytes()))
//! }
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() {
//! let issuer = TestIssuer::new();
//! let service = ServiceBuilder::new().layer(issuer.verifier().layer()).service_fn(greet);
//!
//! let without_token = Request::new(());
//! let refused = service.clone().oneshot(without_token).await.unwrap();
//! assert_eq!(refused.status(), 401);
//!
//! let token = issuer.token("dana").mint();
//! let with_token = Request::get("/").header("Authorization", token.bearer()).body(()).unwrap();
//! let response = service.oneshot(with_token).await.unwrap();
//! assert_eq!(response.body(), b"hello, dana");
//! # }
//! ```

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use serde_json::Value;

use crate::http::header::{HeaderFault, TokenHeader};
use crate::http::problem::{Problem, Rejection};
use crate::stale::WhenStale;
use crate::token_guard::TokenGuard;
use crate::verifier::Verifier;

/// Layer that passes on requests with a valid token. Works with every body that can be made from bytes, such
/// as axum's.
#[derive(Clone)]
pub struct VerifierLayer {
    verifier: Verifier,
    header: Arc<TokenHeader>,
    when_stale: WhenStale,
    required: Arc<[(String, Value)]>,
    without_token: WithoutToken,
}

/// The treatment of requests without a token.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum WithoutToken {
    Reject,
    Passes,
}

/// Service that [`VerifierLayer`] guards.
#[derive(Clone)]
pub struct Verified<S> {
    inner: S,
    layer: VerifierLayer,
}

/// The extension that marks a request as having passed a layer, with or without a token. Extractors take the
/// challenge's header from it.
#[derive(Clone)]
pub(crate) struct LayerMarker(
    #[cfg_attr(not(feature = "axum"), expect(dead_code, reason = "only extractors read it"))]
    pub(crate)  Arc<TokenHeader>,
);

impl Verifier {
    /// Returns a layer that passes on only requests with a valid token in `Authorization: Bearer`.
    pub fn layer(&self) -> VerifierLayer {
        VerifierLayer {
            verifier: self.clone(),
            header: Arc::default(),
            when_stale: self.inner.when_stale,
            required: Arc::default(),
            without_token: WithoutToken::Reject,
        }
    }
}

impl VerifierLayer {
    /// Sets the policy for the time while the verifier is stale.
    #[must_use]
    pub fn when_stale(self, when_stale: WhenStale) -> Self {
        self.verifier.report_unbound(when_stale);
        Self { when_stale, ..self }
    }

    /// Requires a claim that has this value, or is a list that contains it; other tokens are answered 403.
    /// Further calls add further requirements.
    #[must_use]
    pub fn require(self, claim: impl Into<String>, value: impl Into<Value>) -> Self {
        let required = self.required.iter().cloned().chain([(claim.into(), value.into())]).collect();
        Self { required, ..self }
    }

    /// Passes on requests without a token, too. Requests with an invalid token are still refused.
    #[must_use]
    pub fn optional(self) -> Self {
        Self { without_token: WithoutToken::Passes, ..self }
    }

    /// Sets the header and the schemes that tokens are taken from.
    #[must_use]
    pub fn header(self, header: TokenHeader) -> Self {
        Self { header: Arc::new(header), ..self }
    }

    /// Returns the guard of a request's token, or `None` if a token is optional and absent.
    async fn check(&self, token: Result<&str, HeaderFault>) -> Result<Option<TokenGuard>, Problem> {
        let token = match token {
            Ok(token) => token,
            Err(HeaderFault::Missing) if self.without_token == WithoutToken::Passes => return Ok(None),
            Err(fault) => return Err(Problem::of(Rejection::Header(fault))),
        };
        let checked = self.verifier.check_when_stale(token, self.when_stale).await;
        let accepted = checked.map_err(|denied| Problem::of(Rejection::Token(denied)))?;
        if self.required.iter().all(|(claim, value)| accepted.has_claim(claim, value)) {
            Ok(Some(TokenGuard::new(accepted, token, self.verifier.clone(), self.when_stale)))
        } else {
            Err(Problem::CLAIM_MISSING)
        }
    }
}

impl<S> tower_layer::Layer<S> for VerifierLayer {
    type Service = Verified<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Verified { inner, layer: self.clone() }
    }
}

impl<S, In, Out> tower_service::Service<Request<In>> for Verified<S>
where
    S: tower_service::Service<Request<In>, Response = Response<Out>> + Clone + Send + 'static,
    S::Future: Send,
    In: Send + 'static,
    Out: From<Vec<u8>> + 'static,
{
    type Response = Response<Out>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<In>) -> Self::Future {
        let layer = self.layer.clone();
        // `self.inner` is the service that was polled ready, so call that one and leave its clone here.
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        Box::pin(async move {
            // The future doesn't hold the request while it waits, so the body needn't be `Sync`.
            let token =
                layer.header.token(request.headers()).map(|token| zeroize::Zeroizing::new(token.to_owned()));
            match layer.check(token.as_ref().map(|token| token.as_str()).map_err(|fault| *fault)).await {
                Ok(guard) => {
                    request.extensions_mut().insert(LayerMarker(Arc::clone(&layer.header)));
                    // A guard that an outer layer left must not count as this layer's.
                    request.extensions_mut().remove::<TokenGuard>();
                    if let Some(guard) = guard {
                        request.extensions_mut().insert(guard);
                    }
                    inner.call(request).await
                }
                Err(problem) => Ok(problem.answer(&layer.header).map(Out::from)),
            }
        })
    }
}
