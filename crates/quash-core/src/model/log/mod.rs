//! The log of revocations: its entries, their causes and its epochs.

pub(super) mod end_cause;
pub(super) mod epoch;
pub(super) mod loaded;
pub(super) mod namespace;
pub(super) mod revocation;
