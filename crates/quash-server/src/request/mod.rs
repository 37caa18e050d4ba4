//! Reads requests: bodies, cookies, and what the headers reveal about the client.

pub(crate) mod account_tag;

pub(crate) mod admin;

pub(crate) mod body;

pub(crate) mod body_error;

pub(crate) mod charset;

pub(crate) mod client_info;

pub(crate) mod cookie;

pub(crate) mod credential;

pub(crate) mod device;

pub(crate) mod device_label;

pub(crate) mod fetch_metadata;

pub(crate) mod fields;

pub(crate) mod form;

pub(crate) mod forwarding;

pub(crate) mod idempotency;

pub(crate) mod if_match;

pub(crate) mod items;

pub(crate) mod query;

pub(crate) mod surrogates;
