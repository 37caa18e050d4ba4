//! The wire format: compact JWS, keys, claims, and the way from text to belief.
//!
//! [`Unverified`] is text of the right form. [`Authentic`] is what one of our keys has signed. Whether it also holds
//! now is asked in [`crate::watch`], which makes a `Live`. Nothing but `token.rs` makes an [`Authentic`].

mod jws;

mod keys;

mod json;

mod claims;

#[expect(
    clippy::module_inception,
    reason = "the room is named after what it makes: the way from text to belief"
)]
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
pub use token::{Authentic, Minted, Origin, authenticate};
