//! Connections: listening, TLS, deadlines, memory and the progress of responses. Nothing here knows an endpoint.

pub(crate) mod accept;

pub(crate) mod connection;

pub(crate) mod drain_body;

pub(crate) mod keep_alive;

pub(crate) mod listen;

pub(crate) mod memory;

pub(crate) mod metered;

pub(crate) mod sending;

pub(crate) mod tls;
