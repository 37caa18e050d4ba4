//! Sessions and their tokens, from the sign-in to the end.

pub(crate) mod end;
pub(crate) mod end_named;
pub(crate) mod inspect;
pub(crate) mod introspect;
pub(crate) mod list;
pub(crate) mod lock;
pub(crate) mod names;
pub(crate) mod prove;
pub(crate) mod refresh;
pub(crate) mod revoke;
mod search;
pub(crate) mod sign_in;
pub(crate) mod target;
pub(crate) mod verify;
