//! Signature keys: parsing, checks, signing and verification. Each has one algorithm. quash-service decides
//! when they are created, rotated or revoked. The keys in `refresh.rs` and `flow.rs` sign nothing: the ids of
//! refresh tokens and the links in mails are derived with them.

mod algorithm;

mod fault;

mod signing;

mod verifying;

mod refresh;

mod flow;

mod ring;

mod secret;

mod public;

mod jwk;

mod pem;

mod der;

mod rsa;

pub use algorithm::{Algorithm, Family};
pub use fault::{KeyFault, KeySetFault};
pub use flow::FlowKey;
pub use jwk::{Jwk, JwkSet};
pub use public::{KeySet, SetKey};
pub use refresh::RefreshKey;
pub(super) use ring::Candidate;
pub use ring::{Expected, ForeignKey, Issuer, KeyRing};
pub use secret::read_secret;
pub use signing::{SigningKey, Unsigned};
pub use verifying::VerifyingKey;
