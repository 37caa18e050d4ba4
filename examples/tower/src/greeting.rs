//! The service: a function under a tower layer, for any server.

use std::convert::Infallible;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use quash_verify::{StartError, TokenGuard, Verified, Verifier};
use tower::{ServiceBuilder, service_fn};

type Answer = Response<Full<Bytes>>;

/// Returns the service: it greets users with a valid token, and the layer answers all other requests.
pub(crate) async fn service<B: Send + 'static>(
    issuer: &str,
    credential: &str,
) -> Result<
    Verified<
        impl tower::Service<Request<B>, Response = Answer, Error = Infallible, Future: Send>
        + Clone
        + Send
        + 'static,
    >,
    StartError,
> {
    let verifier = Verifier::builder(issuer).credential(credential).start().await?;
    Ok(ServiceBuilder::new().layer(verifier.layer()).service(service_fn(greet)))
}

async fn greet<B>(request: Request<B>) -> Result<Answer, Infallible> {
    let name = request.extensions().get::<TokenGuard>().map_or("nobody", |guard| guard.accepted().user_id());
    Ok(Response::new(Full::from(format!("hello {name}"))))
}
