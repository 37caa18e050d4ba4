//! The operation of one process: audit, backup, clients, epochs, readiness and upkeep.

pub(crate) mod audit;
pub(crate) mod backup;
pub(crate) mod client_changes;
pub(crate) mod client_secret;
pub(crate) mod clients;
pub(crate) mod doctor;
pub(crate) mod epoch;
pub(crate) mod fail_over;
mod leave;
mod nodes;
pub(crate) mod ready;
pub(crate) mod seal;
pub(crate) mod statistics;
pub(crate) mod upkeep;
