//! `POST /oauth2/introspect`: the claims of a valid token, or `{"active":false}` (RFC 7662). The response
//! about an invalid token contains nothing else, not even the reason (RFC 7662 2.2).

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use http::StatusCode;
use quash_core::model::Right;
use quash_core::token::{Audience, TokenType};
use quash_service::Introspected;
use serde::Serialize;
use serde_json::{Value, json as value};
use utoipa::ToSchema;

use super::{ClientRequest, client_request, described};
use crate::error::oauth_error::{OAuthError, describe_errors};
use crate::openapi::operation::{Operation, Tag};
use crate::openapi::reference;
use crate::response::json;
use crate::state::AppState;

/// The response about a valid token.
#[derive(Serialize, ToSchema)]
struct ActiveToken<'a> {
    active: bool,
    /// The way to present the token (RFC 6749 7.1). Absent for tokens that grant no access.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    token_type: Option<&'a str>,
    /// The token's type.
    token_use: &'a str,
    #[schema(required = true)]
    exp: Option<i64>,
    #[schema(required = true)]
    iat: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = i64, required = false)]
    nbf: Option<i64>,
    /// The account's subject. Absent if the token belongs to none of our accounts.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    sub: Option<&'a str>,
    /// The user id that the token carries.
    #[schema(required = true)]
    user_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    username: Option<&'a str>,
    #[schema(required = true)]
    jti: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    sid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = u64, required = false)]
    rsq: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    iss: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = AudienceShown<'static>, required = false)]
    aud: Option<AudienceShown<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    client_id: Option<&'a str>,
    /// The token's custom claims, except those that share the name of a member above.
    #[serde(flatten)]
    #[schema(value_type = BTreeMap<String, Value>)]
    custom: BTreeMap<&'a str, &'a Value>,
}

/// The names that no custom claim can take, even where the member is absent.
const MEMBERS: [&str; 15] = [
    "active",
    "token_type",
    "token_use",
    "exp",
    "iat",
    "nbf",
    "sub",
    "user_id",
    "username",
    "jti",
    "sid",
    "rsq",
    "iss",
    "aud",
    "client_id",
];

/// The audience of a token.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[schema(as = Audience)]
enum AudienceShown<'a> {
    One(&'a str),
    Any(Vec<&'a str>),
}

/// The response about any other token.
#[derive(Serialize, ToSchema)]
#[schema(as = InactiveToken)]
struct Inactive {
    active: bool,
}

pub(crate) async fn introspect(
    State(state): State<Arc<AppState>>,
    request: Request,
) -> Result<Response, OAuthError> {
    let ClientRequest { client, token } = client_request(&state, request, Right::Introspect).await?;
    let introspected = state.service.introspect(&client, &token).await;
    Ok(match introspected.map_err(|failure| OAuthError::of(&state, &failure))? {
        Some(introspected) => json(StatusCode::OK, &ActiveToken::new(&introspected)),
        None => json(StatusCode::OK, &Inactive { active: false }),
    })
}

impl<'a> ActiveToken<'a> {
    fn new(introspected: &'a Introspected) -> Self {
        let Introspected { token_type, claims, account, client } = introspected;
        Self {
            active: true,
            token_type: (*token_type != TokenType::Refresh).then_some("Bearer"),
            token_use: token_type.as_str(),
            exp: claims.exp,
            iat: claims.iat,
            nbf: claims.nbf,
            sub: account.as_ref().map(|account| account.subject.as_str()),
            user_id: claims.user_id.as_deref(),
            username: account.as_ref().map(|account| account.username.shown()),
            jti: claims.jti.as_deref(),
            sid: claims.sid.map(|sid| sid.to_string()),
            rsq: claims.rsq.map(|rsq| rsq.as_u64()),
            iss: claims.iss.as_deref(),
            aud: claims.aud.as_ref().map(|audience| match audience {
                Audience::One(audience) => AudienceShown::One(audience),
                Audience::Any(_) => AudienceShown::Any(audience.each().collect()),
            }),
            client_id: client.as_ref().map(|name| name.as_str()),
            custom: claims
                .custom
                .iter()
                .filter(|(name, _)| !MEMBERS.contains(&name.as_str()))
                .map(|(name, value)| (name.as_str(), value))
                .collect(),
        }
    }
}

pub(crate) fn describe_introspect() -> Operation {
    let either = value!({ "oneOf": [reference("ActiveToken"), reference("InactiveToken")] });
    let operation =
        Operation::new(Tag::OAuth, "introspectToken", "Returns the content of a valid token (RFC 7662)")
            .text("Requires the right `introspect`.")
            .needs::<ActiveToken<'_>>()
            .needs::<Inactive>()
            .answers_with(
                StatusCode::OK,
                "The content, or `{\"active\":false}`.",
                "application/json",
                either,
            );
    describe_errors(described(operation), &[])
}
