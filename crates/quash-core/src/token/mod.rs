//! The wire format of tokens: compact JWS, keys and claims, and their verification.
//!
//! [`Unverified`] is text of the right form. [`Authentic`] is a token signed by a trusted key; only
//! `token.rs` makes it. [`crate::watch`] checks whether it is valid now, and makes a `Live`.

mod jws;

mod keys;

mod json;

mod claims;

#[expect(clippy::module_inception, reason = "the file is named after its subject, like its siblings")]
mod token;

mod issue;

pub use claims::{Audience, Claims, TokenType};
pub use issue::{Bearer, Grant, Issued, Minting, RefreshStamp, SlidingStamp, Tokens, mint};
pub use json::{Duplicates, parse_json};
pub use jws::{Header, Unverified};
pub use keys::{
    Algorithm, Expected, Family, FlowKey, ForeignKey, Issuer, Jwk, JwkSet, KeyFault, KeyRing, KeySet,
    KeySetFault, RefreshKey, SetKey, SigningKey, Unsigned, VerifyingKey, read_secret,
};
pub(crate) use token::authenticate_former;
pub use token::{Authentic, Minted, Origin, Purposes, authenticate};
