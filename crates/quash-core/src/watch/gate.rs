//! The gate: the last question before a token is believed. The only place that makes a [`Live`].

use std::sync::Arc;

use super::revoked::Revoked;
use crate::model::{Refusal, Seq, Timestamp, TokenPolicy};
use crate::token::{Authentic, Claims, Minted, TokenType};

/// A token that a key of ours signed, that holds now, and that nobody has revoked as far as the set knows.
#[derive(Clone, Debug)]
pub struct Live(Arc<Authentic>);

/// Why a token isn't live.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// It is refused.
    Refused(Refusal),
    /// It was minted after a revocation that the set doesn't know yet: whoever asks must catch up with `rsq` first.
    Behind {
        /// The number to catch up with.
        rsq: Seq,
    },
}

/// Admits a token for one of these purposes, or says why not. A covered token is refused even by a set that is behind.
///
/// # Errors
/// It doesn't hold, it is revoked, or the set is behind it.
pub fn admit(
    token: Arc<Authentic>,
    purposes: &[TokenType],
    policy: &TokenPolicy,
    revoked: &Revoked,
    now: Timestamp,
) -> Result<Live, Verdict> {
    match holds(&token, purposes, policy, revoked, now).map_err(Verdict::Refused)? {
        Minted::At(rsq) if rsq > revoked.cursor() => Err(Verdict::Behind { rsq }),
        Minted::At(_) | Minted::In { .. } => Ok(Live(token)),
    }
}

/// As [`admit`], where somebody else vouches for what the set may lack, or nobody does and that is accepted. What the
/// set knows holds all the same.
///
/// # Errors
/// It doesn't hold, or it is revoked.
pub fn admit_unvouched(
    token: Arc<Authentic>,
    purposes: &[TokenType],
    policy: &TokenPolicy,
    revoked: &Revoked,
    now: Timestamp,
) -> Result<Live, Refusal> {
    holds(&token, purposes, policy, revoked, now).map(|_| Live(token))
}

fn holds(
    token: &Authentic,
    purposes: &[TokenType],
    policy: &TokenPolicy,
    revoked: &Revoked,
    now: Timestamp,
) -> Result<Minted, Refusal> {
    token.check(purposes, policy, now)?;
    let minted = token.minted()?;
    if revoked.covers(minted, token.scopes()) { Err(Refusal::TokenRevoked(None)) } else { Ok(minted) }
}

impl Live {
    /// What it says.
    pub fn claims(&self) -> &Claims {
        self.0.claims()
    }

    /// The token as it was verified.
    pub fn authentic(&self) -> &Authentic {
        &self.0
    }

    /// The token as it was verified, to be asked about again: being live is true for a moment.
    pub fn to_authentic(&self) -> Arc<Authentic> {
        Arc::clone(&self.0)
    }
}
