//! The state that every handler can reach.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::response::Response;
use http::header::SET_COOKIE;
use http::{HeaderMap, HeaderName, StatusCode};
use quash_core::model::{Invalid, LoginFields};
use quash_core::token::{Issued, TokenType};
use quash_service::{Allowance, Failure, Service};
use quash_verify::HeaderFault;

use crate::error::http_error::{HttpError, whole_seconds};
use crate::metrics::{DroppedLines, Metrics};
use crate::request::body_error::BodyError;
use crate::request::cookie;
use crate::request::fields::{Fields, Whitespace};
use crate::response::with_header;
use crate::settings::{HttpSettings, RefreshCookie};

// draft-ietf-httpapi-ratelimit-headers-10.
const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// The state that every handler can reach.
pub(crate) struct AppState {
    pub(crate) service: Service,
    pub(crate) settings: HttpSettings,
    pub(crate) metrics: Metrics,
    /// Set once the warning about untrusted forwarding headers was logged.
    warned_of_forwarding: AtomicBool,
}

impl AppState {
    pub(crate) fn new(service: Service, settings: HttpSettings, dropped: &DroppedLines) -> Self {
        let metrics = Metrics::new(&service, dropped);
        Self { service, settings, metrics, warned_of_forwarding: AtomicBool::new(false) }
    }

    /// Warns, once, that a proxy's forwarding headers aren't trusted.
    pub(crate) fn warn_of_forwarding(&self) {
        if !self.warned_of_forwarding.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "ignoring forwarding headers from a loopback, private or shared address that isn't a trusted proxy; failed sign-ins aren't \
                 limited by network; name the proxy in http.trusted_proxies, and its header in http.forwarding_header"
            );
        }
    }

    /// Adds the network's remaining allowance of failed attempts to a response, if there is a limit.
    pub(crate) fn with_allowance(&self, answer: Response, network: Option<IpAddr>) -> Response {
        let Some(Allowance { most, window, left, more_after }) =
            network.and_then(|network| self.service.allowance(network))
        else {
            return answer;
        };
        let policy = format!("\"network\";q={most};w={}", window.as_secs());
        let now = format!("\"network\";r={left};t={}", whole_seconds(more_after));
        with_header(with_header(answer, RATE_LIMIT_POLICY, &policy), RATE_LIMIT, &now)
    }

    /// Takes the name that a user signs in with, from the field that the settings name. Where accounts sign
    /// in with their addresses alone, `email` and `username` work too.
    pub(crate) fn login_name(&self, fields: &mut Fields) -> String {
        let also: &[&str] = match self.service.policy().accounts.login_fields {
            LoginFields::Email => &["email", "username"],
            LoginFields::Name | LoginFields::NameOrEmail => &[],
        };
        let own = self.settings.username_field.as_str();
        let sent =
            std::iter::once(own).chain(also.iter().copied()).find(|name| fields.has(name)).unwrap_or(own);
        fields.text(sent, Whitespace::Trimmed, usize::MAX)
    }

    /// Converts a use case's failure.
    pub(crate) fn fault(&self, failure: &Failure) -> HttpError {
        HttpError::of(failure, &self.service.policy().tokens.names)
    }

    /// Converts the refusal of a token in the header, in the words of Simple JWT's authentication. The
    /// token's type is known if the token was valid but revoked.
    pub(crate) fn access_fault(&self, failure: &Failure, token_type: Option<TokenType>) -> HttpError {
        self.fault(failure).for_access_token(failure, &self.service.policy().tokens.accepted, token_type)
    }

    /// Converts an error in the header that carries the token.
    pub(crate) fn header_fault(&self, fault: HeaderFault) -> HttpError {
        match fault {
            // The header carries a token, but a malformed one.
            HeaderFault::NotText => self.access_fault(&Failure::Refused(Invalid::Malformed.into()), None),
            HeaderFault::Missing | HeaderFault::Malformed => fault.into(),
        }
    }

    /// The response to an invalid body, on a path that doesn't follow Simple JWT.
    pub(crate) fn problem(&self, fault: BodyError) -> Response {
        HttpError::from(fault).into_problem_response(&self.settings)
    }

    /// The response to a failed request, on a path that follows Simple JWT.
    pub(crate) fn answer(&self, fault: HttpError) -> Response {
        fault.into_simple_jwt_response(&self.settings)
    }

    /// Returns the refresh token in the cookie, where refresh tokens travel in cookies.
    pub(crate) fn sent_cookie<'a>(&self, headers: &'a HeaderMap) -> Result<Option<&'a str>, HttpError> {
        match self.settings.refresh_cookie {
            RefreshCookie::Off => Ok(None),
            RefreshCookie::On => cookie::sent(headers).map_err(|cookie::Duplicated| HttpError::two_tokens()),
        }
    }

    /// Builds a response with tokens, and moves the refresh token into the cookie.
    pub(crate) fn with_cookie(&self, tokens: &Issued, answer: impl Fn(&Issued) -> Response) -> Response {
        let Issued::Both { access, refresh } = tokens else { return answer(tokens) };
        let Some(cookie) = cookie::set(refresh, self.service.policy().tokens.refresh_lifetime) else {
            tracing::error!(
                "a refresh token is too long for a cookie; shorten the account's claims, or those of the adopted token"
            );
            return HttpError::too_long_for_a_cookie().into_problem_response(&self.settings);
        };
        let mut answer = answer(&Issued::Access { access: access.clone() });
        answer.headers_mut().append(SET_COOKIE, cookie);
        answer
    }

    /// Deletes the cookie, in a response after which the refresh token no longer exists.
    pub(crate) fn without_cookie(&self, mut answer: Response) -> Response {
        if self.settings.refresh_cookie == RefreshCookie::On {
            answer.headers_mut().append(SET_COOKIE, cookie::cleared());
        }
        answer
    }

    /// Deletes the cookie if the response is a 401: its refresh token is no longer usable, and browsers would
    /// otherwise send it for the rest of its lifetime.
    pub(crate) fn without_dead_cookie(&self, answer: Response) -> Response {
        if answer.status() == StatusCode::UNAUTHORIZED { self.without_cookie(answer) } else { answer }
    }
}
