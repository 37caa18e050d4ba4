//! Token verification. The only module that makes an [`Authentic`].

use std::sync::Arc;
use std::time::Duration;

use super::claims::{Claims, TokenType};
use super::jws::Unverified;
use super::keys::{Algorithm, Candidate, Issuer, KeyRing, VerifyingKey};
use crate::model::{
    ClaimNames, Invalid, Kid, Namespace, Refusal, Scope, ScopeHasher, ScopeKey, ScopeKind, Seq, SessionId,
    Timestamp, TokenPolicy, limits,
};

/// A token signed by one of quash's keys, or by one of a trusted issuer. It may be expired, of the wrong type
/// or revoked: [`Authentic::check`] checks its claims, and the guard in `watch/` checks for revocations.
#[derive(Clone, Debug)]
pub struct Authentic {
    claims: Claims,
    kid: Kid,
    algorithm: Algorithm,
    /// The fingerprint of the key.
    fingerprint: [u8; 32],
    origin: Origin,
    scopes: Box<[ScopeKey]>,
}

/// The origin of a token.
#[derive(Clone, Debug)]
pub enum Origin {
    /// Issued by quash: it belongs to a session.
    Ours,
    /// Issued by another issuer: it has no session of quash.
    Foreign(Arc<Issuer>),
}

/// The purposes that a token may have.
#[derive(Clone, Copy, Debug)]
pub enum Purposes<'a> {
    /// The types that protected paths accept, by the policy or by the token's namespace.
    Accepted,
    /// One of these types.
    These(&'a [TokenType]),
}

/// The position of a token relative to revocations.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Minted {
    /// The head of the log at which the token was minted.
    At(Seq),
    /// The newest number of the log that another issuer knew when it minted the token, and the seconds as in
    /// [`Minted::In`].
    Placed { position: Seq, iat: i64, exp: i64 },
    /// The seconds in which the token was minted, by another issuer's clock, and in which it expires.
    In { iat: i64, exp: i64 },
}

/// Verifies a token's signature with the keys of a ring and reads its claims. Computes the token's scopes
/// once, so that a check for revocations only has to look them up.
///
/// # Errors
/// The text isn't a token signed by a key of the ring, or its claims can't be read.
pub fn authenticate(
    text: &str,
    ring: &KeyRing,
    names: &ClaimNames,
    hasher: &ScopeHasher,
) -> Result<Authentic, Invalid> {
    read(Unverified::parse(text)?.verify_candidate(ring)?, names, hasher)
}

/// Like [`authenticate`], with the keys that the ring keeps only to refuse their tokens.
pub(crate) fn authenticate_former(
    text: &str,
    ring: &KeyRing,
    names: &ClaimNames,
    hasher: &ScopeHasher,
    now: Timestamp,
) -> Result<Authentic, Invalid> {
    read(Unverified::parse(text)?.verify_former(ring, now)?, names, hasher)
}

fn read(
    (payload, found): (Vec<u8>, Candidate<'_>),
    names: &ClaimNames,
    hasher: &ScopeHasher,
) -> Result<Authentic, Invalid> {
    let own = if found.ours { Claims::parse(&payload, names) } else { Err(Invalid::Claim) };
    let (claims, origin) = match (own, found.issuer) {
        (own, None) => (own?, Origin::Ours),
        // If issuers share a key, quash's tokens are those with `sid` and `rsq`: each of them has both.
        (Ok(claims), Some(_)) if claims.sid.is_some() && claims.rsq.is_some() => (claims, Origin::Ours),
        (_, Some(issuer)) => {
            let claims = match &issuer.namespace {
                Some(namespace) => Claims::parse_in(&payload, names, &namespace.claims)?,
                None => Claims::parse_foreign(&payload, names)?,
            };
            (claims, Origin::Foreign(Arc::clone(issuer)))
        }
    };
    // quash signs nothing else with this key, so anything else signed with it must not be accepted.
    if found.refresh_only && claims.token_type != Some(TokenType::Refresh) {
        return Err(Invalid::Key);
    }
    let theirs = match &origin {
        Origin::Ours => hasher,
        Origin::Foreign(issuer) => &issuer.scopes,
    };
    if claims.names().any(|name| !theirs.is_ours() && name.len() > limits::REVOKED_NAME_BYTES) {
        // No revocation could name the token.
        return Err(Invalid::Claim);
    }
    let mut scopes = Vec::with_capacity(6);
    // One entry revokes a key for all issuers that sign with it.
    scopes.push(hasher.key_of(ScopeKind::Key, found.key.kid().as_str()));
    if !theirs.is_ours() {
        scopes.push(theirs.everything_in(theirs.namespace()));
    }
    add_scopes(&mut scopes, &claims, theirs);
    Ok(Authentic {
        claims,
        kid: found.key.kid().clone(),
        algorithm: found.key.algorithm(),
        fingerprint: *found.key.fingerprint(),
        origin,
        scopes: scopes.into_boxed_slice(),
    })
}

impl Authentic {
    pub fn claims(&self) -> &Claims {
        &self.claims
    }

    /// The key that verified the token, which the header needn't name.
    pub fn kid(&self) -> &Kid {
        &self.kid
    }

    /// Returns whether this key, with its algorithm, verified the token.
    pub fn is_signed_with(&self, key: &VerifyingKey) -> bool {
        (self.algorithm, &self.fingerprint) == (key.algorithm(), key.fingerprint())
    }

    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The namespace of the token; `None` if its user is an account of quash.
    pub fn namespace(&self) -> Option<&Namespace> {
        match &self.origin {
            Origin::Ours => None,
            Origin::Foreign(issuer) => issuer.namespace.as_ref(),
        }
    }

    /// The claims as compact JSON, under the names that they have in the token.
    pub fn claims_json(&self, names: &ClaimNames) -> Vec<u8> {
        match self.namespace() {
            Some(namespace) => self.claims.to_json_in(names, &namespace.claims),
            None => self.claims.to_json(names),
        }
    }

    /// The scopes that could cover the token, except `everything`. The key's scope comes first.
    pub fn scopes(&self) -> &[ScopeKey] {
        &self.scopes
    }

    /// Checks the token's claims at `now` for one of these purposes: times, issuer, audience, completeness
    /// and type, in the order in which Simple JWT checks them. Doesn't check for revocations.
    ///
    /// # Errors
    /// The first check that fails.
    pub fn check<'a>(
        &self,
        purposes: impl Into<Purposes<'a>>,
        policy: &TokenPolicy,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        self.check_for_any_purpose(policy, now)?;
        self.check_type(purposes.into(), policy)
    }

    /// Like [`Authentic::check`], but accepts any type.
    ///
    /// # Errors
    /// The first check that fails.
    pub fn check_for_any_purpose(&self, policy: &TokenPolicy, now: Timestamp) -> Result<(), Refusal> {
        self.check_times_and_names(policy, now)?;
        self.check_completeness(policy)
    }

    /// Like [`Authentic::check`], but accepts an expired token: logging out with an old access token must
    /// work.
    ///
    /// # Errors
    /// The first check that fails.
    pub fn check_even_expired<'a>(
        &self,
        purposes: impl Into<Purposes<'a>>,
        policy: &TokenPolicy,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        match self.check_times_and_names(policy, now) {
            Ok(()) | Err(Refusal::TokenExpired) => {}
            Err(refusal) => return Err(refusal),
        }
        self.check_completeness(policy)?;
        self.check_type(purposes.into(), policy)
    }

    /// Returns whether protected paths accept tokens of this type.
    pub fn is_of_accepted_type(&self, policy: &TokenPolicy) -> bool {
        self.check_type(Purposes::Accepted, policy).is_ok()
    }

    /// The session and the head of a token issued by quash. A checked token of quash has both.
    ///
    /// # Errors
    /// Another issuer issued the token.
    pub fn session_and_rsq(&self) -> Result<(SessionId, Seq), Invalid> {
        self.claims.sid.zip(self.claims.rsq).ok_or(Invalid::Claim)
    }

    /// The token's position relative to revocations. Every checked token has one.
    ///
    /// # Errors
    /// A claim is missing.
    pub fn minted(&self) -> Result<Minted, Invalid> {
        match self.origin {
            Origin::Ours => self.claims.rsq.map(Minted::At),
            Origin::Foreign(_) => {
                self.claims.iat.zip(self.claims.exp).map(|(iat, exp)| match self.claims.position {
                    Some(position) => Minted::Placed { position: Seq::from_u64(position), iat, exp },
                    None => Minted::In { iat, exp },
                })
            }
        }
        .ok_or(Invalid::Claim)
    }

    fn check_times_and_names(&self, policy: &TokenPolicy, now: Timestamp) -> Result<(), Refusal> {
        if matches!(self.origin, Origin::Foreign(_)) && !policy.foreign.are_accepted(now) {
            return Err(Invalid::Foreign.into());
        }
        let ahead = match self.origin {
            Origin::Ours => policy.leeway.max(policy.signers_ahead),
            Origin::Foreign(_) => policy.leeway,
        };
        let (latest, earliest) = ((now + ahead).as_secs(), (now - policy.leeway).as_secs());
        let not_yet = |moment: Option<i64>| moment.is_some_and(|moment| moment > latest);
        if not_yet(self.claims.nbf) || not_yet(self.claims.iat) {
            return Err(Invalid::NotYet.into());
        }
        // RFC 7519 4.1.4: a token must not be accepted on or after its `exp`.
        if self.claims.exp.is_some_and(|exp| exp <= earliest) {
            return Err(Refusal::TokenExpired);
        }
        let (iss, aud) = (self.claims.iss.as_ref(), self.claims.aud.as_ref());
        let (issuer_is_right, audience_is_right) = match &self.origin {
            Origin::Ours => (
                policy.issuer.is_none() || iss == policy.issuer.as_ref(),
                policy.audience.is_empty() || aud.is_some_and(|audience| audience.meets(&policy.audience)),
            ),
            Origin::Foreign(issuer) => (issuer.iss.allows(iss.map(String::as_str)), issuer.aud.allows(aud)),
        };
        match (issuer_is_right, audience_is_right) {
            (false, _) => Err(Invalid::Issuer.into()),
            (true, false) => Err(Invalid::Audience.into()),
            (true, true) => Ok(()),
        }
    }

    fn check_completeness(&self, policy: &TokenPolicy) -> Result<(), Refusal> {
        let claims = &self.claims;
        let exp = claims.exp.ok_or(Refusal::TokenWithoutExp)?;
        let has_id = self.namespace().is_none_or(|namespace| namespace.claims.token.is_some());
        if has_id && claims.jti.is_none() {
            return Err(Refusal::TokenWithoutId);
        }
        if claims.type_name().is_none() {
            return Err(Refusal::TokenWithoutType);
        }
        if claims.user_id.is_none() {
            return Err(Refusal::TokenWithoutUser);
        }
        let iat = claims.iat.ok_or(Invalid::Claim)?;
        let longest = match &self.origin {
            Origin::Ours if claims.sid.is_none() || claims.rsq.is_none() => return Err(Invalid::Claim.into()),
            Origin::Ours => policy.longest_lifetime_ever,
            Origin::Foreign(issuer) => issuer.max_lifetime,
        };
        // A lifetime longer than any that is issued means that `exp` is in another unit, or forged.
        if exp.saturating_sub(iat) > whole_secs(longest) {
            return Err(Invalid::Lifetime.into());
        }
        Ok(())
    }

    fn check_type(&self, purposes: Purposes<'_>, policy: &TokenPolicy) -> Result<(), Refusal> {
        let is_one_of =
            |types: &[TokenType]| self.claims.token_type.is_some_and(|found| types.contains(&found));
        let is_right = match (purposes, self.namespace()) {
            (Purposes::These(types), _) => is_one_of(types),
            (Purposes::Accepted, None) => is_one_of(&policy.accepted),
            (Purposes::Accepted, Some(namespace)) => {
                namespace.accepted.iter().any(|accepted| self.claims.type_name() == Some(accepted))
            }
        };
        if is_right { Ok(()) } else { Err(Refusal::TokenOfWrongType) }
    }
}

impl Minted {
    /// The number of the log that must be known to judge the token.
    pub fn needs(self) -> Option<Seq> {
        match self {
            Self::At(seq) | Self::Placed { position: seq, .. } => Some(seq),
            Self::In { .. } => None,
        }
    }
}

impl<'a> From<&'a [TokenType]> for Purposes<'a> {
    fn from(types: &'a [TokenType]) -> Self {
        Self::These(types)
    }
}

impl<'a, const N: usize> From<&'a [TokenType; N]> for Purposes<'a> {
    fn from(types: &'a [TokenType; N]) -> Self {
        Self::These(types)
    }
}

fn whole_secs(span: Duration) -> i64 {
    i64::try_from(span.as_secs()).unwrap_or(i64::MAX)
}

fn add_scopes(scopes: &mut Vec<ScopeKey>, claims: &Claims, hasher: &ScopeHasher) {
    scopes.extend(claims.sid.map(|sid| hasher.key(&Scope::Session(sid))));
    scopes.extend(claims.session.as_deref().map(|session| hasher.key_of(ScopeKind::Session, session)));
    scopes.extend(claims.user_id.as_deref().map(|user_id| hasher.user_id(user_id)));
    scopes.extend(claims.jti.as_deref().map(|jti| hasher.key_of(ScopeKind::Token, jti)));
}
