//! Renders the errors that handlers and layers return, in the format of their path.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::CONTENT_LENGTH;
use hyper::body::Body as _;

use crate::error::http_error::HttpError;
use crate::pages;
use crate::state::AppState;

/// The format of a path's errors. The OAuth endpoints have their own (`error/oauth_error.rs`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum ErrorFormat {
    /// Simple JWT's bodies.
    SimpleJwt,
    /// Problem documents (RFC 9457).
    Problem,
    /// HTML, for a user who followed a link.
    Page,
}

/// Renders the error in a response's extensions, if there is one.
pub(crate) async fn render_errors(
    State((state, format)): State<(Arc<AppState>, ErrorFormat)>,
    request: Request,
    next: Next,
) -> Response {
    rendered(&state, next.run(request).await, format)
}

/// Renders an error at once, for a layer that knows its path's format.
pub(crate) fn render(state: &AppState, error: HttpError, format: ErrorFormat) -> Response {
    rendered(state, error.into_response(), format)
}

fn rendered(state: &AppState, mut answer: Response, format: ErrorFormat) -> Response {
    let Some(error) = answer.extensions_mut().remove::<HttpError>() else { return answer };
    let shown = state.presentation(&error);
    let mut rendered = match format {
        ErrorFormat::SimpleJwt if !error.is_always_a_problem() => {
            shown.into_simple_jwt_response(&state.settings)
        }
        ErrorFormat::SimpleJwt | ErrorFormat::Problem => shown.into_problem_response(&state.settings),
        ErrorFormat::Page => pages::refused(&shown),
    };
    if error.ends_cookie() && rendered.status() == StatusCode::UNAUTHORIZED {
        rendered = state.without_cookie(rendered);
    }
    // The headers and extensions that were added to the error on its way here.
    let (mut head, _) = answer.into_parts();
    if let Some(length) = head.headers.get_mut(CONTENT_LENGTH) {
        // A router has noted the length of the empty body.
        *length = rendered.body().size_hint().lower().into();
    }
    rendered.headers_mut().extend(head.headers);
    rendered.extensions_mut().extend(head.extensions);
    rendered
}
