//! Tokens in HTTP requests: the header, the layer and the extractors that read them, and the answers to
//! rejected requests.

#[cfg(feature = "axum")]
pub mod extract;
pub(crate) mod header;
pub mod layer;
pub(crate) mod problem;
