//! The tests of the HTTP interface over a world in memory, as one program. `cargo xtask tidy` checks that no file is
//! missing.

mod accounts;
mod claims;
mod clients;
mod contract;
mod cookies;
mod cors;
mod devices;
#[path = "support/end_cause_triggers.rs"]
mod end_cause_triggers;
mod end_causes;
mod equal_responses;
mod faults;
mod feed;
mod foreign;
mod hostile;
mod imported;
mod keys;
mod lockout;
mod log_out;
mod login_fields;
mod mailed;
mod marks;
mod me;
mod negotiation;
mod networks;
mod node_settings;
mod nodes;
mod own;
mod paths;
mod refresh;
mod revocations;
mod sessions;
mod sign_in;
mod sliding;
mod support;
