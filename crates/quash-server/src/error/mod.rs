//! Errors: their codes and their forms on the wire.

pub(crate) mod body_error;

pub(crate) mod code;

pub(crate) mod http_error;

pub(crate) mod oauth_error;

pub(crate) mod presentation;

pub(crate) mod shapes;
