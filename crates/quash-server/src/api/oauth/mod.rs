//! The OAuth 2.0 endpoints for other services: introspection (RFC 7662), revocation (RFC 7009), and metadata
//! (RFC 8414). Bodies are forms, and errors have OAuth's format. Client authentication is in this file.

pub(crate) mod introspect;

pub(crate) mod revoke;

pub(crate) mod metadata;

use axum::extract::Request;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use quash_core::model::{Client, Right};
use utoipa::ToSchema;

use crate::error::oauth_error::OAuthError;
use crate::openapi::operation::Operation;
use crate::openapi::{CLIENT, CREDENTIAL};
use crate::request::charset::Charset;
use crate::request::form::FormParameters;
use crate::state::AppState;

/// A client's request about a token.
struct ClientRequest {
    client: Client,
    token: String,
}

/// A client's credentials.
#[derive(Default)]
struct Credentials {
    name: Option<String>,
    secret: Option<String>,
}

/// Reads a request about a token, from a client that has this right. Ignores `token_type_hint`: the token
/// itself reveals its type (RFC 7009 2.1).
async fn client_request(
    state: &AppState,
    request: Request,
    right: Right,
) -> Result<ClientRequest, OAuthError> {
    let headers = request.headers().clone();
    let mut form = FormParameters::read(request).await?;
    let client = client(state, &headers, &mut form, right).await?;
    let token =
        form.take("token")?.ok_or_else(|| OAuthError::invalid_request("The parameter token is missing."))?;
    Ok(ClientRequest { client, token })
}

/// Returns the requesting client, which must have this right. It authenticates with the Authorization header
/// or the body, but not with both (RFC 6749 2.3). A public client gives its name alone, and may only revoke
/// (RFC 7009 2.1).
async fn client(
    state: &AppState,
    headers: &HeaderMap,
    form: &mut FormParameters,
    right: Right,
) -> Result<Client, OAuthError> {
    let Credentials { name, secret } = in_header(headers)?.unwrap_or_default();
    let (name_in_body, secret_in_body) = (form.take("client_id")?, form.take("client_secret")?);
    if secret.is_some() && secret_in_body.is_some() {
        return Err(OAuthError::invalid_request("The client authenticates in two ways at once."));
    }
    let names = [name, name_in_body];
    let is_named = |client: &Client| names.iter().flatten().all(|name| *name == client.name.as_str());
    // An empty secret counts as none (RFC 6749 2.3.1).
    let (found, needed) = match (
        secret.or(secret_in_body).filter(|secret| !secret.is_empty()),
        names.iter().flatten().next(),
    ) {
        (Some(secret), _) => (state.service.client(&secret).await, right),
        (None, Some(name)) if right == Right::Revoke => {
            (state.service.public_client(name).await, Right::RevokeAsPublic)
        }
        (None, _) => return Err(OAuthError::invalid_client()),
    };
    let found = found.map_err(|failure| OAuthError::of(state, &failure))?;
    let client = found.filter(is_named).ok_or_else(OAuthError::invalid_client)?;
    // A client of a namespace has no right to quash's own tokens.
    if client.may_in(None, needed) { Ok(client) } else { Err(OAuthError::missing_right(needed)) }
}

/// Returns the credentials in the header: `Basic`, or `Bearer` with the secret alone. `None` if there is no
/// header.
fn in_header(headers: &HeaderMap) -> Result<Option<Credentials>, OAuthError> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let found = value.to_str().ok().filter(|_| values.next().is_none()).and_then(read_header);
    found.map(Some).ok_or_else(OAuthError::invalid_client)
}

fn read_header(value: &str) -> Option<Credentials> {
    let (scheme, rest) = value.split_once(' ')?;
    let rest = rest.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(Credentials { name: None, secret: Some(rest.to_owned()) });
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let pair = String::from_utf8(STANDARD.decode(rest).ok()?).ok()?;
    let (name, secret) = pair.split_once(':')?;
    Some(Credentials { name: Some(decoded(name)?), secret: Some(decoded(secret)?) })
}

/// Decodes a form-encoded value (RFC 6749 2.3.1). `None` if it isn't UTF-8.
fn decoded(text: &str) -> Option<String> {
    let form = Charset::Utf8.decode_form(format!("a={}", text.replace('&', "%26")).as_bytes()).ok()?;
    form.into_iter().next().map(|(_, value)| value)
}

/// A token, and the client's name and secret unless they are in the header.
#[derive(ToSchema)]
#[schema(as = TokenOfClient)]
#[expect(dead_code, reason = "describes a form whose parameters are read one by one")]
struct TokenForm {
    token: String,
    /// Has no effect: the token itself contains its type.
    token_type_hint: Option<String>,
    client_id: Option<String>,
    #[schema(format = Password)]
    client_secret: Option<String>,
}

/// Describes the form, and the ways to authenticate. The credentials may be in the form.
fn described(operation: Operation) -> Operation {
    operation.secured_by(CLIENT).secured_by(CREDENTIAL).or_unsecured().oauth_form::<TokenForm>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn client_credentials_are_parsed_from_headers() {
        let of = |value: &str| {
            read_header(value).map(|Credentials { name, secret }| (name, secret.expect("a secret")))
        };
        let basic = |pair: &str| format!("Basic {}", STANDARD.encode(pair));
        let named = |name: &str, secret: &str| Some((Some(name.to_owned()), secret.to_owned()));
        assert_eq!(of(&basic("shop:qc_a-b")), named("shop", "qc_a-b"));
        assert_eq!(of(&basic("a%2Eb+c:x%3Ay&z=1")), named("a.b c", "x:y&z=1"));
        assert_eq!(of(&basic("shop:")), named("shop", ""));
        assert_eq!(of(&basic(":x:y")), named("", "x:y"));
        assert_eq!(of("bearer  qc_a "), Some((None, "qc_a".to_owned())));
        for none in
            ["", "Basic", "Basic ?", &basic("shop"), "Digest x", "Bearer", "Basic /w==", &basic("shop:%ff")]
        {
            assert_eq!(of(none), None, "{none}");
        }
    }
}
