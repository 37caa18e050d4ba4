//! Follows the issuer on a thread of its own, safe under servers that fork.
//!
//! `slot.rs` has a verifier's state in one process, and `follower.rs` the thread. The thread never touches a Python
//! object: `answers.rs` and `records.rs` hold its results until a call from Python takes them.

pub(crate) mod answers;
pub(crate) mod follower;
mod outbox;
pub(crate) mod records;
pub(crate) mod slot;
