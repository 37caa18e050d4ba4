//! What every handler can reach.

use axum::response::Response;
use quash_service::Service;

use crate::error::Fault;
use crate::settings::DoorSettings;

/// What every handler can reach.
pub(crate) struct Door {
    pub(crate) service: Service,
    pub(crate) settings: DoorSettings,
}

impl Door {
    /// The answer to a request that isn't granted, on a path that follows Simple JWT.
    pub(crate) fn answer(&self, fault: Fault) -> Response {
        fault.into_token_answer(&self.settings)
    }
}
