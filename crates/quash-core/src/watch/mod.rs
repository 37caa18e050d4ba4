//! What a verifier knows: the set of revocations in memory, the feed that fills it, and the gate that asks it.

mod revoked;

mod gate;

pub mod feed;

pub mod frame;

mod follower;

pub use follower::{Astray, Follower, Freshness, Lease};
pub use gate::{Live, Verdict, admit, admit_unvouched};
pub use revoked::Revoked;
