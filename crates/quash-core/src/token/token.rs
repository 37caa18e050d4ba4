//! From text to belief. The only place that makes an [`Authentic`].

use super::claims::{Audience, Claims, TokenType};
use super::jws::Unverified;
use super::keys::KeyRing;
use crate::model::{ClaimNames, Invalid, Kid, Refusal, Scope, ScopeHasher, ScopeKey, ScopeKind, Seq, SessionId, Timestamp, TokenPolicy};

/// A token that one of our keys has signed. It may be expired, of the wrong type or revoked: that is asked of it
/// with [`Authentic::check`] and at the gate.
#[derive(Clone, PartialEq, Debug)]
pub struct Authentic {
    claims: Claims,
    kid: Kid,
    scopes: Box<[ScopeKey]>,
}

/// Verifies a text with the keys of a ring and reads its claims. The scopes that could cover it are worked out here,
/// once, so that asking whether it is revoked is a matter of looking them up.
///
/// # Errors
/// It isn't a token that a key of this ring signed, or its claims can't be read.
pub fn authenticate(text: &str, ring: &KeyRing, names: &ClaimNames, hasher: &ScopeHasher) -> Result<Authentic, Invalid> {
    let unverified = Unverified::parse(text)?;
    let (payload, key) = unverified.verify(ring)?;
    let claims = Claims::parse(&payload, names)?;
    let scopes = scopes_of(&claims, key.kid(), hasher);
    Ok(Authentic { claims, kid: key.kid().clone(), scopes })
}

impl Authentic {
    /// What it says.
    pub fn claims(&self) -> &Claims {
        &self.claims
    }

    /// The key that verified it, whatever its header says.
    pub fn kid(&self) -> &Kid {
        &self.kid
    }

    /// The scopes that could cover it, `everything` excepted.
    pub fn scopes(&self) -> &[ScopeKey] {
        &self.scopes
    }

    /// Checks that it holds at `now` for a purpose: its times, issuer and audience, that it is complete, and its
    /// type, in the order in which Simple JWT looks at them. Nothing is said about revocation.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check(&self, purpose: TokenType, policy: &TokenPolicy, now: Timestamp) -> Result<(), Refusal> {
        self.check_times_and_names(policy, now)?;
        self.check_completeness(policy)?;
        self.check_type(purpose)
    }

    /// As [`Authentic::check`], for any purpose.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check_for_any_purpose(&self, policy: &TokenPolicy, now: Timestamp) -> Result<(), Refusal> {
        self.check_times_and_names(policy, now)?;
        self.check_completeness(policy)
    }

    /// As [`Authentic::check`], but it may have expired: logging out with an old access token must work.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check_even_expired(&self, purpose: TokenType, policy: &TokenPolicy, now: Timestamp) -> Result<(), Refusal> {
        match self.check_times_and_names(policy, now) {
            Ok(()) | Err(Refusal::TokenExpired) => {}
            Err(refusal) => return Err(refusal),
        }
        self.check_completeness(policy)?;
        self.check_type(purpose)
    }

    /// Its session and head; both are there once it has been checked.
    ///
    /// # Errors
    /// One of them isn't there.
    pub fn place(&self) -> Result<(SessionId, Seq), Invalid> {
        self.claims.sid.zip(self.claims.rsq).ok_or(Invalid::Claim)
    }

    fn check_times_and_names(&self, policy: &TokenPolicy, now: Timestamp) -> Result<(), Refusal> {
        let (latest, earliest) = ((now + policy.leeway).as_secs(), (now - policy.leeway).as_secs());
        let not_yet = |moment: Option<i64>| moment.is_some_and(|moment| moment > latest);
        if not_yet(self.claims.nbf) || not_yet(self.claims.iat) {
            return Err(Invalid::NotYet.into());
        }
        // RFC 7519 4.1.4: on or after `exp` it must not be accepted.
        if self.claims.exp.is_some_and(|exp| exp <= earliest) {
            return Err(Refusal::TokenExpired);
        }
        if policy.issuer.is_some() && self.claims.iss != policy.issuer {
            return Err(Invalid::Issuer.into());
        }
        if !policy.audience.is_empty() && !self.claims.aud.as_ref().is_some_and(|audience| audience.meets(&policy.audience)) {
            return Err(Invalid::Audience.into());
        }
        Ok(())
    }

    fn check_completeness(&self, policy: &TokenPolicy) -> Result<(), Refusal> {
        let claims = &self.claims;
        let exp = claims.exp.ok_or(Refusal::TokenWithoutExp)?;
        if claims.jti.is_none() {
            return Err(Refusal::TokenWithoutId);
        }
        if claims.token_type.is_none() && !claims.other_type {
            return Err(Refusal::TokenWithoutType);
        }
        if claims.user_id.is_none() {
            return Err(Refusal::TokenWithoutUser);
        }
        let iat = claims.iat.ok_or(Invalid::Claim)?;
        if claims.sid.is_none() || claims.rsq.is_none() {
            return Err(Invalid::Claim.into());
        }
        // A token of ours that would hold longer than any is none: its `exp` is in another unit, or forged.
        if exp.saturating_sub(iat) > i64::try_from(policy.longest_lifetime_ever.as_secs()).unwrap_or(i64::MAX) {
            return Err(Invalid::Lifetime.into());
        }
        Ok(())
    }

    fn check_type(&self, purpose: TokenType) -> Result<(), Refusal> {
        if self.claims.token_type == Some(purpose) { Ok(()) } else { Err(Refusal::TokenOfWrongType) }
    }
}

fn scopes_of(claims: &Claims, kid: &Kid, hasher: &ScopeHasher) -> Box<[ScopeKey]> {
    let mut scopes = Vec::with_capacity(6);
    scopes.push(hasher.key_of(ScopeKind::Key, kid.as_str()));
    scopes.extend(claims.sid.map(|sid| hasher.key(&Scope::Session(sid))));
    scopes.extend(claims.user_id.as_deref().map(|user_id| hasher.key_of(ScopeKind::Subject, user_id)));
    scopes.extend(claims.jti.as_deref().map(|jti| hasher.key_of(ScopeKind::Token, jti)));
    scopes.extend(claims.aud.iter().flat_map(Audience::each).map(|audience| hasher.key_of(ScopeKind::Audience, audience)));
    scopes.into_boxed_slice()
}
