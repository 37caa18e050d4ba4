//! The layers around endpoints. `routes.rs` puts them in order.

pub(crate) mod cors;

pub(crate) mod cross_site;

pub(crate) mod errors;

pub(crate) mod host_header;

pub(crate) mod layers;

pub(crate) mod negotiation;

pub(crate) mod token_rejection;

pub(crate) mod wait_effective;
