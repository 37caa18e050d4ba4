//! The use cases: each loads, decides with `quash-core`, commits with a guard, and announces.
//!
//! A use case may import the context and every part of this crate. No part imports a use case or the context.

pub(crate) mod account;
pub(crate) mod feed;
pub(crate) mod keys;
pub(crate) mod mail;
pub(crate) mod operation;
pub(crate) mod session;
