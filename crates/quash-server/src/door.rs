//! What every handler can reach.

use axum::response::Response;
use http::HeaderMap;
use http::header::SET_COOKIE;
use quash_core::model::Invalid;
use quash_core::token::{Issued, TokenType};
use quash_service::{Failure, Service};
use quash_verify::HeaderFault;

use crate::cookie::{self, RefreshCookie};
use crate::error::Fault;
use crate::settings::DoorSettings;

/// What every handler can reach.
pub(crate) struct Door {
    pub(crate) service: Service,
    pub(crate) settings: DoorSettings,
}

impl Door {
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
            tracing::error!("a refresh token is too long for a cookie: the account's claims, or those of an adopted token, are too long");
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
}
