//! The key ring: the keys that a verifier trusts, quash's own and those of other issuers.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::jwk::{Jwk, JwkSet};
use super::verifying::VerifyingKey;
use crate::model::{Invalid, Kid, Namespace, ScopeHasher, Timestamp};
use crate::token::claims::Audience;
use crate::token::jws::Header;

/// The keys that a verifier trusts, with a version that each change increments.
#[derive(Clone, Default, Debug)]
pub struct KeyRing {
    version: u64,
    own: Vec<OwnKey>,
    foreign: Vec<ForeignKey>,
    revoked: Vec<Kid>,
    /// The key that only signs quash's refresh tokens. It is never published.
    refresh: Option<VerifyingKey>,
    /// Keys of earlier rings, the newest first. They verify no token, but tell which key signed a token that
    /// is refused.
    former: Vec<FormerKey>,
}

/// Another issuer, whose tokens are accepted unchanged.
#[derive(Clone)]
pub struct Issuer {
    /// The issuer's name in the settings.
    pub name: String,
    /// The namespace of its tokens; `None` if its users are quash's accounts.
    pub namespace: Option<Namespace>,
    /// The claims that quash drops when it adopts a token: they concern the issuer's own sessions.
    pub dropped: Vec<String>,
    /// The namespace of its tokens' scopes.
    pub scopes: ScopeHasher,
    /// The longest accepted lifetime of its tokens.
    pub max_lifetime: Duration,
    /// The expected `iss` of its tokens.
    pub iss: Expected<String>,
    /// The expected `aud` of its tokens: one of these values.
    pub aud: Expected<Vec<String>>,
}

/// The expected value of a claim.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Expected<T> {
    /// Any value, or none.
    Anything,
    Exactly(T),
}

/// A key of another issuer.
#[derive(Clone, Debug)]
pub struct ForeignKey {
    /// Its `kid` names it in revocations, and differs from that in tokens if it is also one of quash's keys.
    pub key: VerifyingKey,
    /// The `kid` that tokens must name. If `None`, the key is for tokens without one.
    pub token_kid: Option<Kid>,
    pub issuer: Arc<Issuer>,
}

#[derive(Clone, Debug)]
struct OwnKey {
    key: VerifyingKey,
    /// The other issuer that signs with this key: a secret may be shared.
    shared_with: Option<Arc<Issuer>>,
}

/// A key of an earlier ring.
#[derive(Clone, Debug)]
struct FormerKey {
    key: VerifyingKey,
    /// The time by which every token that it signed has expired.
    until: Timestamp,
}

/// The most former keys that a ring keeps.
const FORMER_KEYS: usize = 16;

/// A key that could have signed a token, with the token's possible issuers.
#[derive(Clone, Copy, Debug)]
pub(in crate::token) struct Candidate<'a> {
    pub(in crate::token) key: &'a VerifyingKey,
    /// quash may have issued the token.
    pub(in crate::token) ours: bool,
    /// This other issuer may have issued the token.
    pub(in crate::token) issuer: Option<&'a Arc<Issuer>>,
    /// The key only verifies refresh tokens.
    pub(in crate::token) refresh_only: bool,
}

impl KeyRing {
    /// A ring of quash's own keys. Two rings in one process have different versions.
    pub fn new(version: u64, keys: Vec<VerifyingKey>) -> Self {
        Self::with_foreign(version, keys, Vec::new())
    }

    /// A ring of quash's own keys and other issuers' keys. A key that is both is one key, with quash's `kid`:
    /// revoking it ends both uses.
    pub fn with_foreign(version: u64, keys: Vec<VerifyingKey>, foreign: Vec<ForeignKey>) -> Self {
        let to_ring_key = |theirs: ForeignKey| {
            let is_it = |ours: &&VerifyingKey| {
                ours.is_same_key(&theirs.key) && ours.algorithm() == theirs.key.algorithm()
            };
            let key = keys.iter().find(is_it).unwrap_or(&theirs.key).clone();
            ForeignKey { key, ..theirs }
        };
        let foreign: Vec<ForeignKey> = foreign.into_iter().map(to_ring_key).collect();
        let shared_with = |key: &VerifyingKey| {
            foreign.iter().find(|theirs| theirs.key.is_same_key(key)).map(|theirs| &theirs.issuer).cloned()
        };
        let own = keys.into_iter().map(|key| OwnKey { shared_with: shared_with(&key), key }).collect();
        Self { version, own, foreign, revoked: Vec::new(), refresh: None, former: Vec::new() }
    }

    /// Adds the key that only verifies refresh tokens. It isn't in the published set.
    #[must_use]
    pub fn with_refresh_key(self, key: VerifyingKey) -> Self {
        Self { refresh: Some(key), ..self }
    }

    /// Keeps quash's keys of an earlier ring that this ring lacks, for a verifier that reads the published
    /// keys: a token of a key that was revoked is then refused as revoked, and not as one of an unknown key
    /// ([`crate::watch::refuse_unknown`]). A key is kept for `longest`, the longest lifetime of a token.
    #[must_use]
    pub fn succeeding(mut self, earlier: &Self, longest: Duration, now: Timestamp) -> Self {
        let last = earlier.own.iter().map(|own| FormerKey { key: own.key.clone(), until: now + longest });
        let is_former = |former: &FormerKey| {
            former.until > now && !self.own.iter().any(|own| own.key.kid() == former.key.kid())
        };
        let former = last.chain(earlier.former.iter().cloned()).filter(is_former);
        self.former = former.take(FORMER_KEYS).collect();
        self
    }

    /// Marks keys as revoked. They are no longer published, but they still verify: the store decides whether
    /// a refresh token is genuine, and the key's entry in the log covers all other tokens. The same entry
    /// covers every issuer that uses the same secret, with any algorithm.
    #[must_use]
    pub fn with_revoked(mut self, kids: &[Kid]) -> Self {
        let revoked: Vec<_> =
            self.own.iter().map(|own| &own.key).filter(|key| kids.contains(key.kid())).collect();
        for theirs in &mut self.foreign {
            if let Some(same) = revoked.iter().find(|revoked| revoked.is_same_key(&theirs.key)) {
                theirs.key = theirs.key.clone().renamed(Some(same.kid().clone()));
            }
        }
        self.revoked = kids.to_vec();
        self
    }

    /// The number of changes to the ring.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// All keys except the one for refresh tokens.
    pub fn keys(&self) -> impl Iterator<Item = &VerifyingKey> {
        self.own.iter().map(|own| &own.key).chain(self.foreign.iter().map(|foreign| &foreign.key))
    }

    /// quash's own keys.
    pub fn own(&self) -> impl Iterator<Item = &VerifyingKey> {
        self.own.iter().map(|own| &own.key)
    }

    /// The keys of other issuers.
    pub fn foreign(&self) -> &[ForeignKey] {
        &self.foreign
    }

    /// Returns whether a key was revoked.
    pub fn is_revoked(&self, kid: &Kid) -> bool {
        self.revoked.contains(kid)
    }

    /// quash's public keys. Never contains secrets or revoked keys.
    pub fn jwks(&self) -> JwkSet {
        let published = self.own.iter().filter(|own| !self.revoked.contains(own.key.kid()));
        JwkSet { keys: published.filter_map(|own| own.key.jwk()).collect::<Vec<Jwk>>() }
    }

    /// quash's own key that writes exactly this header.
    pub(in crate::token) fn by_header(&self, header: &str) -> Option<Candidate<'_>> {
        let own = self.own.iter().find(|own| own.key.header() == header).map(OwnKey::candidate);
        own.or_else(|| self.refresh_candidate(|key| key.header() == header))
    }

    fn refresh_candidate(&self, is_it: impl Fn(&VerifyingKey) -> bool) -> Option<Candidate<'_>> {
        let key = self.refresh.as_ref().filter(|key| is_it(key))?;
        Some(Candidate { key, ours: true, issuer: None, refresh_only: true })
    }

    /// The key of an earlier ring that a header names.
    pub(in crate::token) fn former(&self, header: &Header, now: Timestamp) -> Option<Candidate<'_>> {
        let is_it = |former: &&FormerKey| {
            let key = &former.key;
            former.until > now
                && header.kid.as_deref() == Some(key.kid().as_str())
                && header.algorithm == key.algorithm().as_str()
        };
        let FormerKey { key, .. } = self.former.iter().find(is_it)?;
        Some(Candidate { key, ours: true, issuer: None, refresh_only: false })
    }

    /// The keys that could have signed a token with this header. The header only selects among keys: it must
    /// name the algorithm of the key itself.
    pub(in crate::token) fn candidates(&self, header: &Header) -> Result<Vec<Candidate<'_>>, Invalid> {
        let algorithm = super::algorithm::Algorithm::parse(&header.algorithm).ok_or(Invalid::Algorithm)?;
        let candidates: Vec<_> = match &header.kid {
            Some(kid) => {
                let is_it = |token_kid: &Kid| token_kid.as_str() == kid;
                let own = self.own.iter().find(|own| is_it(own.key.kid())).map(OwnKey::candidate);
                match own.or_else(|| self.refresh_candidate(|key| is_it(key.kid()))) {
                    Some(own) => vec![own],
                    None => self
                        .foreign
                        .iter()
                        .filter(|theirs| theirs.token_kid.as_ref().is_some_and(is_it))
                        .map(ForeignKey::candidate)
                        .collect(),
                }
            }
            // Without a `kid`, several keys would be ambiguous.
            None => {
                let is_unnamed =
                    |theirs: &&ForeignKey| theirs.token_kid.is_none() && theirs.key.algorithm() == algorithm;
                let unnamed: Vec<_> = self.foreign.iter().filter(is_unnamed).collect();
                if unnamed.len() > 1 {
                    Vec::new()
                } else {
                    unnamed.into_iter().map(ForeignKey::candidate).collect()
                }
            }
        };
        if candidates.is_empty() {
            return Err(Invalid::Key);
        }
        let agreed: Vec<_> =
            candidates.into_iter().filter(|candidate| candidate.key.algorithm() == algorithm).collect();
        if agreed.is_empty() { Err(Invalid::Algorithm) } else { Ok(agreed) }
    }
}

impl OwnKey {
    fn candidate(&self) -> Candidate<'_> {
        Candidate { key: &self.key, ours: true, issuer: self.shared_with.as_ref(), refresh_only: false }
    }
}

impl ForeignKey {
    /// A token without a `kid`, or with one that isn't quash's, isn't quash's, even if quash also has the
    /// key.
    fn candidate(&self) -> Candidate<'_> {
        Candidate { key: &self.key, ours: false, issuer: Some(&self.issuer), refresh_only: false }
    }
}

impl<T> Expected<T> {
    /// The expected value; `None` if any is accepted.
    pub fn exactly(self) -> Option<T> {
        match self {
            Self::Anything => None,
            Self::Exactly(expected) => Some(expected),
        }
    }
}

impl Expected<String> {
    /// Returns whether a claim is as expected.
    pub fn allows(&self, claim: Option<&str>) -> bool {
        match self {
            Self::Anything => true,
            Self::Exactly(expected) => claim == Some(expected),
        }
    }
}

impl Expected<Vec<String>> {
    /// Returns whether a claim is as expected.
    pub fn allows(&self, claim: Option<&Audience>) -> bool {
        match self {
            Self::Anything => true,
            Self::Exactly(expected) => claim.is_some_and(|audience| audience.meets(expected)),
        }
    }
}

impl fmt::Debug for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issuer").field("name", &self.name).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::{Algorithm, SigningKey, Unverified};

    const DAY: Duration = Duration::from_secs(86_400);

    fn key(number: u8) -> SigningKey {
        SigningKey::new(Algorithm::EdDsa, &[number; 32], None).expect("a key")
    }

    fn ring_of(number: u8) -> KeyRing {
        KeyRing::new(0, vec![key(number).verifying().clone()])
    }

    #[test]
    fn former_keys_verify_nothing() {
        let now = Timestamp::from_secs(1);
        let ring = ring_of(1).succeeding(&ring_of(0), DAY, now);
        let token = key(0).sign(b"{}").expect("a signature");
        let token = Unverified::parse(&token).expect("a token");
        assert_eq!(token.verify(&ring).err(), Some(Invalid::Key));
        assert!(token.verify_former(&ring, now).is_ok());
        assert_eq!(token.verify_former(&ring, now + DAY).err(), Some(Invalid::Key));
        let published_again = ring_of(0).succeeding(&ring, DAY, now);
        assert!(token.verify(&published_again).is_ok());
        assert_eq!(token.verify_former(&published_again, now).err(), Some(Invalid::Key));
    }

    #[test]
    fn former_keys_are_limited_in_number_and_time() {
        let at = |second: u8| Timestamp::from_secs(i64::from(second));
        let ring_at = |second: u8| {
            (1..=second).fold(ring_of(0), |earlier, now| ring_of(now).succeeding(&earlier, DAY, at(now)))
        };
        let kids = |ring: &KeyRing| ring.former.iter().map(|one| one.key.kid().clone()).collect::<Vec<_>>();
        let newest: Vec<_> = (1..=16).rev().map(|number| key(number).verifying().kid().clone()).collect();
        assert_eq!(kids(&ring_at(17)), newest);
        let later = ring_of(18).succeeding(&ring_at(17), DAY, at(8) + DAY);
        assert_eq!(later.former.len(), 1 + 9, "the keys that were replaced after second 8, and the last one");
    }
}
