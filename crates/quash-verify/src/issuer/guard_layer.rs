//! The guard as a tower layer: passes a request on with a [`Live`](quash_core::watch::Live) in its
//! extensions, or answers it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};

use super::guard::Guard;
use crate::http::header::TokenHeader;
use crate::http::problem::Rejection;

/// Layer that passes on requests with a token of a type that the policy accepts. A function of the caller
/// answers rejected requests.
#[derive(Clone)]
pub struct GuardLayer<F> {
    guard: Guard,
    header: Arc<TokenHeader>,
    answer: F,
}

/// Service that [`GuardLayer`] guards.
#[derive(Clone)]
pub struct Guarded<S, F> {
    inner: S,
    layer: GuardLayer<F>,
}

impl<F> GuardLayer<F> {
    /// Creates a layer that takes tokens from this header and answers rejected requests with `answer`.
    pub fn new(guard: Guard, header: Arc<TokenHeader>, answer: F) -> Self {
        Self { guard, header, answer }
    }
}

impl<S, F: Clone> tower_layer::Layer<S> for GuardLayer<F> {
    type Service = Guarded<S, F>;

    fn layer(&self, inner: S) -> Self::Service {
        Guarded { inner, layer: self.clone() }
    }
}

impl<S, F, In, Out> tower_service::Service<Request<In>> for Guarded<S, F>
where
    S: tower_service::Service<Request<In>, Response = Response<Out>> + Clone + Send + 'static,
    S::Future: Send,
    F: Fn(Rejection, &http::HeaderMap) -> Response<Out> + Clone + Send + 'static,
    In: Send + 'static,
    Out: 'static,
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
            let checked = match layer.header.token(request.headers()) {
                Ok(token) => {
                    layer.guard.check(token, &layer.guard.policy().accepted).await.map_err(Rejection::Token)
                }
                Err(fault) => Err(Rejection::Header(fault)),
            };
            match checked {
                Ok(live) => {
                    request.extensions_mut().insert(live);
                    inner.call(request).await
                }
                Err(barred) => Ok((layer.answer)(barred, request.headers())),
            }
        })
    }
}
