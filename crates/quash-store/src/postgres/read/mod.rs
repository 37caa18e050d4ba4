//! Reads rows and the newest entries of the log. `statements/reads.rs` contains the SQL.

pub(super) mod newest;
pub(super) mod queue;
pub(super) mod reader;
pub(super) mod recent_entries;
pub(super) mod search;
