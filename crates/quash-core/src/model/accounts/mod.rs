//! An account, and what belongs to it: names, claims, devices, and the flows and mails of its user.

pub(super) mod account;
pub(super) mod custom;
pub(super) mod device;
pub(super) mod flow;
pub(super) mod fold;
pub(super) mod mail;
pub(super) mod new_name;
