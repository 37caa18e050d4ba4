//! The issuer's side: the guard of the process that holds the log.
//!
//! Every revocation passes through that process before any other learns of it, so a [`Guard`] never lacks
//! one and needs no lease. [`guard`] makes it together with its [`Publisher`], the only place that builds the
//! state that the guard reads. [`GuardLayer`] guards routes.
//!
//! Where several processes share the log, each is a *node*: [`guard_of_node`] makes a guard that decides only with
//! a state that [`Publisher::prove`] has proven after the request arrived.
//!
//! This module is for quash's own server. Its API has types of quash-core and may change in any version.
//!
//! ```
//! use std::sync::Arc;
//! use std::time::Duration;
//!
//! use quash_core::model::{Clock, ScopeHasher, Seq, Timestamp, TokenPolicy};
//! use quash_core::token::{KeyRing, TokenType};
//! use quash_core::watch::{Revoked, feed};
//! use quash_verify::issuer::{GuardSetup, guard};
//!
//! struct Stopped;
//!
//! impl Clock for Stopped {
//!     fn now(&self) -> Timestamp {
//!         Timestamp::from_secs(1_800_000_000)
//!     }
//!
//!     fn uptime(&self) -> Duration {
//!         Duration::ZERO
//!     }
//! }
//!
//! let setup = GuardSetup {
//!     policy: TokenPolicy::default(),
//!     scopes: ScopeHasher::ours([1; 16]),
//!     clock: Arc::new(Stopped),
//!     cache_key: [2; 16],
//!     key_fetcher: None,
//! };
//! let empty_log = Revoked::empty(Seq::start_of(1), feed::EMPTY);
//! let (guard, publisher) = guard(setup, empty_log, KeyRing::default());
//! assert_eq!(guard.cursor(), publisher.cursor());
//! assert!(guard.check_now("x.y.z", &[TokenType::Access]).is_err());
//! ```

mod guard;
mod guard_layer;
mod proofs;

pub use self::guard::{Guard, GuardSetup, guard, guard_of_node};
pub use self::guard_layer::{GuardLayer, Guarded};
pub(crate) use self::proofs::Proofs;
pub use crate::shared::key_fetcher::{KeyFetch, KeyFetcher};
pub use crate::shared::publisher::Publisher;
