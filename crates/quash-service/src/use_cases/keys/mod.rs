//! Signing keys: listing, rotation, retirement and revocation.

pub(crate) mod list;
pub(crate) mod rotation;
