//! Why a token isn't let in: what a check answers. The words of it are in `problem.rs`.

use quash_core::model::Refusal;

/// Why a token isn't let in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Denied {
    /// It is refused.
    Refused(Refusal),
    /// Nobody can vouch for an answer now: what is known may not be all.
    Stale,
    /// The keys of an issuer can't be had: the token may be one of its.
    KeysAway,
}
