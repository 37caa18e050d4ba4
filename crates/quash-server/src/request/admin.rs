//! The right that an operation of the admin API needs. `routes.rs` declares it with the operation; it is checked
//! before the body is read, and the OpenAPI document names it.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use quash_core::model::Right;

use crate::error::code::Code;
use crate::error::http_error::HttpError;
use crate::openapi::CREDENTIAL;
use crate::openapi::operation::Operation;
use crate::request::credential::credential;
use crate::state::AppState;

/// The errors of each operation that needs a right.
const CODES: [Code; 3] = [Code::CredentialNotValid, Code::RightRequired, Code::Unavailable];

/// Passes a request on if its credential has the right, and adds the [`Client`](quash_core::model::Client) to its
/// extensions.
pub(crate) async fn require_right(
    State((state, right)): State<(Arc<AppState>, Right)>,
    mut request: Request,
    next: Next,
) -> Result<Response, HttpError> {
    let client = credential(&state, request.headers()).await?.client;
    if !client.may_administer(right) {
        return Err(HttpError::missing_right(right));
    }
    request.extensions_mut().insert(client);
    Ok(next.run(request).await)
}

/// Describes [`require_right`].
pub(crate) fn describe_right(operation: Operation, right: Right) -> Operation {
    operation.needs_right(CREDENTIAL, right.as_str()).refuses(&CODES)
}
