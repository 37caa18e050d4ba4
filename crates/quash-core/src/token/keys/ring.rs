//! The keys that a verifier believes: our own, and those of other issuers.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::jwk::{Jwk, JwkSet};
use super::verifying::VerifyingKey;
use crate::model::{Invalid, Kid, ScopeHasher};
use crate::token::claims::Audience;
use crate::token::jws::Header;

/// The keys a verifier believes, and how often the ring has changed.
#[derive(Clone, Default, Debug)]
pub struct KeyRing {
    version: u64,
    own: Vec<OwnKey>,
    foreign: Vec<TheirKey>,
    struck: Vec<Kid>,
    /// The key that signs our refresh tokens and nothing else. It is never published.
    refresh: Option<VerifyingKey>,
}

/// Another issuer, whose tokens are taken as they are.
#[derive(Clone)]
pub struct Issuer {
    /// What the settings call it.
    pub name: String,
    /// The namespace of its tokens' scopes.
    pub scopes: ScopeHasher,
    /// A token that would hold longer than this is refused.
    pub max_lifetime: Duration,
    /// What its tokens' `iss` must be.
    pub iss: Expected<String>,
    /// Of which its tokens' `aud` must meet one.
    pub aud: Expected<Vec<String>>,
}

/// What a claim must be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Expected<T> {
    /// Whatever it is, or not there.
    Anything,
    /// This.
    Exactly(T),
}

/// A key of another issuer.
#[derive(Clone, Debug)]
pub struct ForeignKey {
    /// The key.
    pub key: VerifyingKey,
    /// Whether tokens must name it. One that needn't be named is for tokens without `kid`.
    pub named: bool,
    /// Whose it is.
    pub issuer: Arc<Issuer>,
}

/// As [`ForeignKey`]. What tokens call it may be another name than its own, where it is also one of ours.
#[derive(Clone, Debug)]
struct TheirKey {
    key: VerifyingKey,
    called: Option<Kid>,
    issuer: Arc<Issuer>,
}

#[derive(Clone, Debug)]
struct OwnKey {
    key: VerifyingKey,
    /// Who else signs with it: a secret may be shared.
    shared_with: Option<Arc<Issuer>>,
}

/// A key that could have signed a token, and whose token it would be.
#[derive(Clone, Copy, Debug)]
pub(in crate::token) struct Candidate<'a> {
    pub(in crate::token) key: &'a VerifyingKey,
    /// It may be one of ours.
    pub(in crate::token) ours: bool,
    /// Or one of this issuer's.
    pub(in crate::token) issuer: Option<&'a Arc<Issuer>>,
    /// The key verifies refresh tokens and no others.
    pub(in crate::token) refresh_only: bool,
}

impl KeyRing {
    /// The ring of our own keys alone. Two rings of one process have two versions.
    pub fn new(version: u64, keys: Vec<VerifyingKey>) -> Self {
        Self::with_foreign(version, keys, Vec::new())
    }

    /// The ring of our own keys and of others'. A key that is both is one key, with our kid: striking it ends both uses.
    pub fn with_foreign(version: u64, keys: Vec<VerifyingKey>, foreign: Vec<ForeignKey>) -> Self {
        let taken_in = |theirs: ForeignKey| {
            let ForeignKey { key, named, issuer } = theirs;
            let called = named.then(|| key.kid().clone());
            let ours = keys.iter().find(|ours| ours.is_same_key(&key) && ours.algorithm() == key.algorithm());
            TheirKey { key: ours.cloned().unwrap_or(key), called, issuer }
        };
        let foreign: Vec<TheirKey> = foreign.into_iter().map(taken_in).collect();
        let shared_with = |key: &VerifyingKey| {
            foreign.iter().find(|theirs| theirs.key.is_same_key(key)).map(|theirs| &theirs.issuer).cloned()
        };
        let own = keys.into_iter().map(|key| OwnKey { shared_with: shared_with(&key), key }).collect();
        Self { version, own, foreign, struck: Vec::new(), refresh: None }
    }

    /// The same ring with the key that verifies refresh tokens and no others. It isn't in the published set.
    #[must_use]
    pub fn with_refresh_key(self, key: VerifyingKey) -> Self {
        Self { refresh: Some(key), ..self }
    }

    /// The same ring, in which these keys were struck. They still verify: whether a refresh token of theirs is genuine is
    /// asked of the store, and all else meets the entries over them at the gate. They aren't published any more. Whoever
    /// else uses the same secret, with whatever algorithm, is covered by the same entry.
    #[must_use]
    pub fn with_struck(mut self, kids: &[Kid]) -> Self {
        let struck: Vec<_> =
            self.own.iter().map(|own| &own.key).filter(|key| kids.contains(key.kid())).collect();
        for theirs in &mut self.foreign {
            if let Some(same) = struck.iter().find(|struck| struck.is_same_key(&theirs.key)) {
                theirs.key = theirs.key.clone().renamed(Some(same.kid().clone()));
            }
        }
        self.struck = kids.to_vec();
        self
    }

    /// How often the ring has changed.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// All its keys, without the one for refresh tokens.
    pub fn keys(&self) -> impl Iterator<Item = &VerifyingKey> {
        self.own.iter().map(|own| &own.key).chain(self.foreign.iter().map(|foreign| &foreign.key))
    }

    /// Those that are ours.
    pub fn own(&self) -> impl Iterator<Item = &VerifyingKey> {
        self.own.iter().map(|own| &own.key)
    }

    /// Whether a key was struck.
    pub fn is_struck(&self, kid: &Kid) -> bool {
        self.struck.contains(kid)
    }

    /// The public keys of the ring that are ours. Secrets are never in it, nor what was struck.
    pub fn jwks(&self) -> JwkSet {
        let published = self.own.iter().filter(|own| !self.struck.contains(own.key.kid()));
        JwkSet { keys: published.filter_map(|own| own.key.jwk()).collect::<Vec<Jwk>>() }
    }

    /// The key of ours that writes exactly this header.
    pub(in crate::token) fn by_header(&self, header: &str) -> Option<Candidate<'_>> {
        let own = self.own.iter().find(|own| own.key.header() == header).map(OwnKey::candidate);
        own.or_else(|| self.refresh_candidate(|key| key.header() == header))
    }

    fn refresh_candidate(&self, is_it: impl Fn(&VerifyingKey) -> bool) -> Option<Candidate<'_>> {
        let key = self.refresh.as_ref().filter(|key| is_it(key))?;
        Some(Candidate { key, ours: true, issuer: None, refresh_only: true })
    }

    /// The keys that could have signed a token with this header. The header only chooses among keys: each key's own
    /// algorithm must be the one that it names.
    pub(in crate::token) fn candidates(&self, header: &Header) -> Result<Vec<Candidate<'_>>, Invalid> {
        let algorithm = super::algorithm::Algorithm::parse(&header.algorithm).ok_or(Invalid::Algorithm)?;
        let candidates: Vec<_> = match &header.kid {
            Some(kid) => {
                let is_it = |called: &Kid| called.as_str() == kid;
                let own = self.own.iter().find(|own| is_it(own.key.kid())).map(OwnKey::candidate);
                match own.or_else(|| self.refresh_candidate(|key| is_it(key.kid()))) {
                    Some(own) => vec![own],
                    None => self
                        .foreign
                        .iter()
                        .filter(|theirs| theirs.called.as_ref().is_some_and(is_it))
                        .map(TheirKey::candidate)
                        .collect(),
                }
            }
            // Which of several is meant can't be told without a name.
            None => {
                let is_unnamed =
                    |theirs: &&TheirKey| theirs.called.is_none() && theirs.key.algorithm() == algorithm;
                let unnamed: Vec<_> = self.foreign.iter().filter(is_unnamed).collect();
                if unnamed.len() > 1 {
                    Vec::new()
                } else {
                    unnamed.into_iter().map(TheirKey::candidate).collect()
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

impl TheirKey {
    /// A token without `kid`, or under a name that isn't ours, is none of ours, whoever else signs with the key.
    fn candidate(&self) -> Candidate<'_> {
        Candidate { key: &self.key, ours: false, issuer: Some(&self.issuer), refresh_only: false }
    }
}

impl Expected<String> {
    /// Whether a claim is as expected.
    pub fn allows(&self, claim: Option<&str>) -> bool {
        match self {
            Self::Anything => true,
            Self::Exactly(expected) => claim == Some(expected),
        }
    }
}

impl Expected<Vec<String>> {
    /// Whether a claim is as expected.
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
