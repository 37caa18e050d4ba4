//! The nouns of the law. No rule lives here beyond what keeps a value well-formed; rules are in `decide`.

mod account;
mod change;
mod entropy;
mod id;
mod key;
mod loaded;
mod policy;
mod refusal;
mod revocation;
mod session;
mod time;

pub use account::{Account, AccountState, Email, Name, NameFault, PasswordHash, Standing, fold};
pub use change::{Change, Receipt, SessionEnd, Survivor};
pub use entropy::{Entropy, Seeded, draw};
pub use id::{Generation, IdFault, Jti, Kid, SessionId, Subject};
pub use key::{KeyRecord, KeyState, Sealed};
pub use loaded::{AccountLoaded, Head, SessionLoaded};
pub use policy::{ClaimNames, Policy, RotationPolicy, SessionPolicy, TokenPolicy, limits};
pub use refusal::{Invalid, Refusal};
pub use revocation::{Actor, Chain, Entry, Keep, NewEntry, Reason, Scope, ScopeHasher, ScopeKey, ScopeKind, Seq};
pub use session::{Ending, Session, SessionState};
pub use time::{Clock, Timestamp};
