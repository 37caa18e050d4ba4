//! What every handler can reach.

use axum::response::Response;
use quash_core::model::Invalid;
use quash_core::token::TokenType;
use quash_service::{Failure, Service};
use quash_verify::HeaderFault;

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
}
