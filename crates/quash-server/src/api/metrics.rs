//! `GET /metrics`: the metrics, as OpenMetrics text. Requires the credential of a client or a verifier.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue};
use quash_verify::TokenHeader;

use crate::code::Code;
use crate::door::Door;
use crate::error::Fault;

const OPEN_METRICS: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");

pub(crate) async fn metrics(State(door): State<Arc<Door>>, headers: HeaderMap) -> Response {
    let read = async {
        let header = TokenHeader { name: AUTHORIZATION, ..TokenHeader::default() };
        let secret = header.token(&headers).map_err(Fault::from)?;
        let client = door.service.client(secret).await.map_err(|failure| door.fault(&failure))?;
        client.ok_or_else(|| {
            Fault::new(
                Code::CredentialNotValid,
                "The credential is missing or not valid. Create one with `quash client add`.",
            )
        })
    };
    if let Err(fault) = read.await {
        return fault.into_problem(&door.settings);
    }
    let mut answer = Response::new(Body::from(door.metrics.text(&door.service)));
    answer.headers_mut().insert(CONTENT_TYPE, OPEN_METRICS);
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}
