//! The guard: decides on a token without asking anybody.
//!
//! A [`Guard`] holds one immutable value, the set of revocations and the key ring, and checks tokens against it
//! without I/O, and, for a token it has seen before, without an allocation. A [`Keeper`] is the one place that builds the
//! next value. Where entries come from is not this crate's business.

mod guard;

mod shared;

mod keeper;

mod known;

mod accepted;

mod header;

mod layer;

pub use accepted::{Accepted, Claims, TextOrNumber};
pub use guard::{Denied, Guard, GuardSetup, Looked, MoreKeys};
pub use header::{HeaderFault, SchemeCase, TokenHeader};
pub use keeper::{Keeper, guard};
pub use layer::{Barred, GuardLayer, Guarded};
