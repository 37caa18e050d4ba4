//! The state that every handler can reach.

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use axum::response::Response;
use http::header::SET_COOKIE;
use http::{HeaderMap, HeaderName};
use quash_core::model::LoginFields;
use quash_core::token::Issued;
use quash_service::{Allowance, Repeated, Service};
use serde_json::Value;

use crate::error::code::Code;
use crate::error::http_error::HttpError;
use crate::error::presentation::{Presentation, whole_seconds};
use crate::metrics::{Metrics, ProgramMetrics};
use crate::outage::Outage;
use crate::request::cookie;
use crate::request::fields::{Fields, Whitespace};
use crate::response::{FirstAnswer, with_header};
use crate::settings::{HttpSettings, RefreshCookie};

// draft-ietf-httpapi-ratelimit-headers-10.
const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// The state that every handler can reach.
pub(crate) struct AppState {
    pub(crate) service: Service,
    pub(crate) settings: HttpSettings,
    pub(crate) metrics: Metrics,
    pub(crate) outage: Outage,
    /// The first answers to requests with an `Idempotency-Key`.
    pub(crate) answers: Repeated<FirstAnswer>,
    /// Describes the endpoints.
    describe: fn(&Arc<Self>) -> Value,
    /// The description of the endpoints, once it was requested.
    document: OnceLock<Value>,
}

impl AppState {
    pub(crate) fn new(
        service: Service,
        settings: HttpSettings,
        program: &ProgramMetrics,
        describe: fn(&Arc<Self>) -> Value,
    ) -> Self {
        let metrics = Metrics::new(&service, program);
        Self {
            service,
            settings,
            metrics,
            outage: Outage::default(),
            answers: Repeated::default(),
            describe,
            document: OnceLock::new(),
        }
    }

    /// Returns the OpenAPI document about the endpoints with these settings.
    pub(crate) fn document(self: &Arc<Self>) -> &Value {
        self.document.get_or_init(|| (self.describe)(self))
    }

    /// Warns, once, that a proxy's forwarding headers aren't trusted.
    pub(crate) fn warn_of_forwarding(&self) {
        if self.service.note_untrusted_forwarding() {
            tracing::warn!(
                "ignoring forwarding headers from a loopback, private or shared address that isn't a trusted proxy; failed sign-ins aren't \
                 limited by network; name the proxy in http.trusted_proxies, and its header in http.forwarding_header"
            );
        }
    }

    /// Adds the network's remaining allowance of failed attempts to a response, if there is a limit.
    pub(crate) async fn with_allowance(&self, answer: Response, network: Option<IpAddr>) -> Response {
        let Some(network) = network else { return answer };
        let Some(Allowance { most, window, left, more_after }) = self.service.allowance(network).await else {
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

    /// Returns what a client sees of an error.
    pub(crate) fn presentation(&self, error: &HttpError) -> Presentation {
        let shown = Presentation::of(error, &self.service.policy().tokens);
        // Until it is restarted, that is the cause of every failure.
        if shown.code() == Code::Unavailable && self.service.guard().is_fenced() {
            return Presentation::settings_changed();
        }
        shown
    }

    /// Returns the refresh token in the cookie, where refresh tokens travel in cookies.
    pub(crate) fn sent_cookie<'a>(&self, headers: &'a HeaderMap) -> Result<Option<&'a str>, HttpError> {
        match self.settings.refresh_cookie {
            RefreshCookie::Off => Ok(None),
            RefreshCookie::On => cookie::sent(headers).map_err(|cookie::Duplicated| HttpError::two_tokens()),
        }
    }

    /// Builds a response with tokens, and moves the refresh token into the cookie.
    pub(crate) fn with_cookie(
        &self,
        tokens: &Issued,
        answer: impl Fn(&Issued) -> Response,
    ) -> Result<Response, HttpError> {
        let Issued::Both { access, refresh } = tokens else { return Ok(answer(tokens)) };
        let Some(cookie) = cookie::set(refresh, self.service.policy().tokens.refresh_lifetime) else {
            tracing::error!(
                "a refresh token is too long for a cookie; shorten the account's claims, or those of the adopted token"
            );
            return Err(HttpError::too_long_for_a_cookie());
        };
        let mut answer = answer(&Issued::Access { access: access.clone() });
        answer.headers_mut().append(SET_COOKIE, cookie);
        Ok(answer)
    }

    /// Deletes the cookie, in a response after which the refresh token no longer exists.
    pub(crate) fn without_cookie(&self, mut answer: Response) -> Response {
        if self.settings.refresh_cookie == RefreshCookie::On {
            answer.headers_mut().append(SET_COOKIE, cookie::cleared());
        }
        answer
    }
}
