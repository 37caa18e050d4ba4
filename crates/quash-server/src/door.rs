//! What every handler can reach.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::response::Response;
use http::header::SET_COOKIE;
use http::{HeaderMap, HeaderName, StatusCode};
use quash_core::model::{Invalid, LoginFields};
use quash_core::token::{Issued, TokenType};
use quash_service::{Allowance, Failure, Service};
use quash_verify::HeaderFault;

use crate::answer::with_header;
use crate::body::{BodyFault, Fields, Take};
use crate::cookie::{self, RefreshCookie};
use crate::cors::Cors;
use crate::error::{Fault, whole_seconds};
use crate::metrics::{DroppedLines, Metrics};
use crate::settings::DoorSettings;

// draft-ietf-httpapi-ratelimit-headers-10.
const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// What every handler can reach.
pub(crate) struct Door {
    pub(crate) service: Service,
    pub(crate) settings: DoorSettings,
    pub(crate) metrics: Metrics,
    pub(crate) cors: Cors,
    /// Whether it was said that forwarding headers aren't believed.
    told_of_forwarding: AtomicBool,
}

impl Door {
    pub(crate) fn new(service: Service, settings: DoorSettings, dropped: &DroppedLines) -> Self {
        let metrics = Metrics::new(&service, dropped);
        let cors = Cors::new(&settings);
        Self { service, settings, metrics, cors, told_of_forwarding: AtomicBool::new(false) }
    }

    /// Warns, once, that whoever forwards requests isn't believed.
    pub(crate) fn tell_of_forwarding(&self) {
        if !self.told_of_forwarding.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "requests come with forwarding headers from a loopback, private or shared address that isn't believed: failed sign-ins aren't \
                 limited by network; name the proxy in http.trusted_proxies, and its header in http.forwarding_header"
            );
        }
    }

    /// Says in an answer what the network may still fail, where that is limited.
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

    /// Takes what a user signs in with, from the field that the settings name. Where accounts sign in with their addresses
    /// alone, `email` and `username` stand for it too.
    pub(crate) fn login_name(&self, fields: &mut Fields) -> String {
        let also: &[&str] = match self.service.policy().accounts.login_fields {
            LoginFields::Email => &["email", "username"],
            LoginFields::Name | LoginFields::NameOrEmail => &[],
        };
        let own = self.settings.username_field.as_str();
        let sent =
            std::iter::once(own).chain(also.iter().copied()).find(|name| fields.has(name)).unwrap_or(own);
        fields.text(sent, Take::Trimmed, usize::MAX)
    }

    /// What a use case failed with.
    pub(crate) fn fault(&self, failure: &Failure) -> Fault {
        Fault::of(failure, &self.service.policy().tokens.names)
    }

    /// What a token in the header was refused with, as Simple JWT's authentication tells it. The token's type is known
    /// where it was good but for being revoked.
    pub(crate) fn access_fault(&self, failure: &Failure, token_type: Option<TokenType>) -> Fault {
        self.fault(failure).of_access(failure, &self.service.policy().tokens.accepted, token_type)
    }

    /// What is wrong with the header that carries the token.
    pub(crate) fn header_fault(&self, fault: HeaderFault) -> Fault {
        match fault {
            // There is a token, and it is none.
            HeaderFault::NotText => self.access_fault(&Failure::Refused(Invalid::Malformed.into()), None),
            HeaderFault::Missing | HeaderFault::Malformed => fault.into(),
        }
    }

    /// The answer to a body that can't be taken, on any path that doesn't follow Simple JWT.
    pub(crate) fn problem(&self, fault: BodyFault) -> Response {
        Fault::from(fault).into_problem(&self.settings)
    }

    /// The answer to a request that isn't granted, on a path that follows Simple JWT.
    pub(crate) fn answer(&self, fault: Fault) -> Response {
        fault.into_token_answer(&self.settings)
    }

    /// The refresh token in the cookie, where they travel there.
    pub(crate) fn sent_cookie<'a>(&self, headers: &'a HeaderMap) -> Result<Option<&'a str>, Fault> {
        match self.settings.refresh_cookie {
            RefreshCookie::Off => Ok(None),
            RefreshCookie::On => cookie::sent(headers).map_err(|cookie::Twice| Fault::two_tokens()),
        }
    }

    /// An answer with tokens, the refresh token among them in the cookie.
    pub(crate) fn with_cookie(&self, tokens: &Issued, answer: impl Fn(&Issued) -> Response) -> Response {
        let Issued::Both { access, refresh } = tokens else { return answer(tokens) };
        let Some(cookie) = cookie::set(refresh, self.service.policy().tokens.refresh_lifetime) else {
            tracing::error!(
                "a refresh token is too long for a cookie: the account's claims, or those of an adopted token, are too long"
            );
            return Fault::too_long_for_a_cookie().into_problem(&self.settings);
        };
        let mut answer = answer(&Issued::Access { access: access.clone() });
        answer.headers_mut().append(SET_COOKIE, cookie);
        answer
    }

    /// An answer after which there is no refresh token any more.
    pub(crate) fn without_cookie(&self, mut answer: Response) -> Response {
        if self.settings.refresh_cookie == RefreshCookie::On {
            answer.headers_mut().append(SET_COOKIE, cookie::cleared());
        }
        answer
    }

    /// An answer about the refresh token that a request has brought. A 401 means that it is of no use any more: the cookie
    /// goes with it, else browsers send it for as long as it would have lived.
    pub(crate) fn without_dead_cookie(&self, answer: Response) -> Response {
        if answer.status() == StatusCode::UNAUTHORIZED { self.without_cookie(answer) } else { answer }
    }
}
