//! Connects to a server of PostgreSQL, and checks which one it is.

pub(super) mod about;
pub(super) mod connect;
pub(super) mod hosts;
pub(super) mod identity;
pub(super) mod prepared;
pub(super) mod requirements;
pub(super) mod url;
