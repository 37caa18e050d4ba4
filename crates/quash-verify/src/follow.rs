//! The tasks that follow an issuer over HTTP, and what they share. `builder.rs` starts them; `quash-core`
//! interprets the entries.

pub(crate) mod backoff;
pub(crate) mod fault;
pub(crate) mod following;
pub(crate) mod http;
pub(crate) mod introspect;
pub(crate) mod keys;
pub(crate) mod lease;
pub(crate) mod process;
pub(crate) mod publisher_task;
mod sse;
pub(crate) mod stream;
pub mod transport;
