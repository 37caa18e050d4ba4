//! Describes what the layers around handlers read and answer. `routes.rs` names each function where it adds the
//! layer.

use http::StatusCode;
use serde_json::json;

use super::ACCESS_TOKEN;
use super::operation::Operation;
use crate::error::code::Code;
use crate::middleware::errors::ErrorFormat;
use crate::middleware::wait_effective::WithEffective;

/// Errors in Simple JWT's format.
pub(crate) fn rendered_as_simple_jwt(operation: Operation) -> Operation {
    operation.rendered(ErrorFormat::SimpleJwt)
}

/// Errors as pages.
pub(crate) fn rendered_as_page(operation: Operation) -> Operation {
    operation.rendered(ErrorFormat::Page)
}

/// Content negotiation, as in Django REST framework.
pub(crate) fn negotiated(operation: Operation) -> Operation {
    let formats = json!({ "type": "string", "enum": ["json", "api"] });
    operation
        .query("format", formats, "The format of the response, which is JSON in any case.")
        .refuses(&[Code::NotFound, Code::NotAcceptable])
}

/// The guard, and the account of the token that it lets pass.
pub(crate) fn guarded(operation: Operation) -> Operation {
    operation.secured_by(ACCESS_TOKEN).refuses(&[
        Code::TokenNotValid,
        Code::NotAuthenticated,
        Code::BadAuthorizationHeader,
        Code::NoActiveAccount,
        Code::UserNotFound,
        Code::UserInactive,
        Code::PasswordChanged,
        Code::Unavailable,
    ])
}

/// The refusal of requests from pages of other sites.
pub(crate) fn same_site(operation: Operation) -> Operation {
    if operation.method().is_safe() { operation } else { operation.refuses(&[Code::CrossSite]) }
}

/// `Prefer: wait=effective`, for requests that end something.
pub(crate) fn effective(operation: Operation) -> Operation {
    if operation.method().is_safe() {
        return operation;
    }
    let applied = json!({
        "description": "`wait=effective`, if the request has asked for it.",
        "schema": { "type": "string" },
    });
    operation
        .header(
            "Prefer",
            json!({ "type": "string" }),
            "`wait=effective`: the response is sent once every verifier knows of the change or has lost its lease.",
        )
        .with_member::<WithEffective>("With `Prefer: wait=effective`.")
        .answers_header(StatusCode::OK, "Preference-Applied", applied)
        .refuses(&[Code::Unavailable])
}

/// The layers around the whole router.
pub(crate) fn everywhere(operation: Operation) -> Operation {
    operation
        // A connection's request may have no valid `Host`.
        .refuses(&[Code::InvalidRequest, Code::Unavailable])
        .rendered(ErrorFormat::Problem)
}

/// The refusal of requests from pages of other sites, where refresh tokens travel in a cookie.
pub(crate) fn same_site_with_cookies(operation: Operation) -> Operation {
    let format = if operation.follows_simple_jwt() { ErrorFormat::SimpleJwt } else { ErrorFormat::Problem };
    same_site(operation).rendered(format)
}
