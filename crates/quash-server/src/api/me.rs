//! `GET /v1/me`: the account that the access token belongs to. The guard in front of it reads no database.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use quash_core::watch::Live;
use quash_service::Me;
use serde::Serialize;
use utoipa::ToSchema;

use crate::error::http_error::HttpError;
use crate::openapi::operation::{Operation, Tag};
use crate::response::json;
use crate::state::AppState;

/// An account, as its owner sees it.
#[derive(Serialize, ToSchema)]
#[schema(as = OwnAccount)]
pub(crate) struct MeSeen<'a> {
    subject: &'a str,
    username: &'a str,
    #[schema(required = true)]
    email: Option<&'a str>,
    email_verified: bool,
    /// `null` for a token of another issuer.
    #[schema(required = true)]
    session: Option<String>,
}

pub(crate) async fn me(
    State(state): State<Arc<AppState>>,
    Extension(live): Extension<Live>,
) -> Result<Response, HttpError> {
    Ok(me_response(&state.service.me(&live).await?))
}

/// An account as its owner sees it.
pub(crate) fn me_response(me: &Me) -> Response {
    let email = me.account.email.as_ref();
    let seen = MeSeen {
        subject: me.account.subject.as_str(),
        username: me.account.username.shown(),
        email: email.map(|email| email.shown.as_str()),
        email_verified: email.is_some_and(|email| email.verified_at.is_some()),
        session: me.session.map(|session| session.to_string()),
    };
    json(StatusCode::OK, &seen)
}

pub(crate) fn describe_me() -> Operation {
    Operation::new(Tag::Account, "getOwnAccount", "Returns the account that the access token belongs to")
        .answers::<MeSeen<'_>>(StatusCode::OK, "The account.")
}
