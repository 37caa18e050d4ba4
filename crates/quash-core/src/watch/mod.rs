//! The state of a verifier: the set of revocations in memory, the feed that fills it, and the check of a
//! token against it.

mod revoked;

mod gate;

pub mod feed;

pub mod frame;

mod follower;

mod named;

pub use follower::{FeedError, Follower, Freshness, Lease};
pub use gate::{Live, Verdict, admit, admit_without_lease, refuse_unknown};
pub use named::{Named, NamedVerdict, admit_named, admit_named_without_lease};
pub use revoked::Revoked;
