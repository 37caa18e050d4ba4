//! The feed on the wire: what an issuer tells its verifiers, and what they send back. The shapes stand here because both
//! sides must read the same; what they mean for a verifier is in `follower.rs`.
//!
//! Everything is JSON. Numbers of the log are below 2^53; hashes and keys are base64url without padding.

mod cursor;

use std::fmt;
use std::time::Duration;

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub use cursor::{Cursor, CursorKey};

use super::revoked::{Remembered, Revoked};
use crate::model::{
    Actor, Chain, ClaimNames, Entry, ForeignTokens, Kid, Reason, ScopeHasher, ScopeKey, ScopeKind, Seq, Timestamp, TokenPolicy,
    UserIdField, UserIdType,
};
use crate::token::{Algorithm, KeyFault, TokenType, VerifyingKey};

/// The format that this program speaks.
pub const VERSION: u32 = 1;

/// What a verifier must know of an issuer before it decides on anything.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Told<PolicySaid>", into = "Told<PolicySaid>")]
pub struct FeedPolicy {
    said: PolicySaid,
}

/// Something with a hash over its own text: what decides on how long a verifier may vouch for what it knows must come as it
/// was sent, whatever carried it.
#[derive(Serialize, Deserialize)]
struct Told<T> {
    #[serde(flatten)]
    said: T,
    digest: Bytes<32>,
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
struct PolicySaid {
    version: u32,
    scope_key: Bytes<16>,
    term_ms: u64,
    leeway_ms: u64,
    longest_lifetime_ms: u64,
    issuer: Option<String>,
    token_type_claim: String,
    jti_claim: String,
    user_id_claim: String,
    user_id_field: String,
    #[serde(default)]
    user_id_form: UserIdForm,
    accepted: Vec<String>,
    secrets: Vec<SecretCheck>,
}

/// How the claim is written that says whose a token is.
#[derive(Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum UserIdForm {
    #[default]
    Text,
    Integer,
}

/// What tells whether a secret is the one that tokens are signed with, and what they call it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
struct SecretCheck {
    kid: String,
    alg: String,
    check: Bytes<32>,
}

/// Everything that the log still remembers.
#[derive(Clone, Serialize, Deserialize)]
pub struct Snapshot {
    /// What the issuer's tokens say.
    pub policy: FeedPolicy,
    /// Where the log ended.
    pub cursor: Cursor,
    /// The hash over it.
    chain: Bytes<32>,
    /// Number, kind, scope, and the second in which it was committed.
    entries: Vec<Row>,
    /// A hash over what is revoked. The chain doesn't tell whether a snapshot is whole: what has been forgotten is in it, too.
    digest: Bytes<32>,
}

type Row = (u64, u8, Bytes<16>, i64);

/// The next entries of the log, and where it ends with them.
#[derive(Clone, Serialize, Deserialize)]
pub struct Frame {
    /// Where the log ends with these entries.
    pub cursor: Cursor,
    /// The entries, in order.
    pub entries: Vec<FrameEntry>,
}

/// An entry in a frame, with all that the chain covers.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FrameEntry {
    seq: u64,
    kind: u8,
    key: Bytes<16>,
    drop_after: Option<i64>,
    reason: String,
    at: i64,
    actor: String,
    chain: Bytes<32>,
}

/// Somebody waits until every verifier has applied this number: whoever has renews its lease at once.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Wanted {
    /// The number.
    pub seq: u64,
}

/// The answer to a verifier that asks for a lease.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Told<GrantSaid>", into = "Told<GrantSaid>")]
pub struct LeaseGrant {
    said: GrantSaid,
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
struct GrantSaid {
    nonce: LeaseNonce,
    cursor: Cursor,
    chain: Bytes<32>,
    term_ms: u64,
    server_time: i64,
}

/// What tells which request an answer is to: a verifier draws one for each. An answer that was under way twice, or was meant
/// for somebody else, proves nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LeaseNonce(pub [u8; 16]);

/// Why something from the feed can't be read. It is to be treated as if nothing had come.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FrameFault {
    /// The issuer speaks another format.
    #[error("the issuer speaks version {0} of the feed, this program version {VERSION}")]
    Version(u32),
    /// It isn't of the form.
    #[error("it is malformed")]
    Malformed,
    /// An entry is of a kind that this program doesn't know.
    #[error("an entry is of kind {0}, which this program does not know: update it")]
    UnknownKind(u8),
    /// A word in it isn't known.
    #[error("it has a word that this program does not know: update it")]
    UnknownWord,
}

/// Bytes of fixed length, in base64url.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Bytes<const N: usize>([u8; N]);

impl FeedPolicy {
    /// What verifiers are told of an issuer whose leases hold for `term`. `scope_key` is what its scopes are hashed with,
    /// and `keys` are those that verify its tokens: of secrets, only what recognises them is told.
    pub fn of<'a>(policy: &TokenPolicy, scope_key: [u8; 16], term: Duration, keys: impl Iterator<Item = &'a VerifyingKey>) -> Self {
        let check = |key: &VerifyingKey| {
            let check = Bytes(key.check_value()?);
            Some(SecretCheck { kid: key.kid().as_str().into(), alg: key.algorithm().as_str().into(), check })
        };
        let names = &policy.names;
        let said = PolicySaid {
            version: VERSION,
            scope_key: Bytes(scope_key),
            term_ms: millis(term),
            leeway_ms: millis(policy.leeway),
            longest_lifetime_ms: millis(policy.longest_lifetime_ever),
            issuer: policy.issuer.clone(),
            token_type_claim: names.token_type.clone(),
            jti_claim: names.jti.clone(),
            user_id_claim: names.user_id.clone(),
            user_id_field: names.user_id_field.as_str().into(),
            user_id_form: match names.user_id_type {
                UserIdType::Text => UserIdForm::Text,
                UserIdType::Integer => UserIdForm::Integer,
            },
            accepted: policy.accepted.iter().map(|accepted| accepted.as_str().into()).collect(),
            secrets: keys.filter_map(check).collect(),
        };
        Self { said }
    }

    /// How long a lease holds.
    pub fn term(&self) -> Duration {
        Duration::from_millis(self.said.term_ms)
    }

    /// What tokens must say to a verifier that takes those for one of `audience`; empty: whatever they are for.
    ///
    /// # Errors
    /// A word in it isn't known here.
    pub fn tokens(&self, audience: Vec<String>) -> Result<TokenPolicy, FrameFault> {
        if self.said.version != VERSION {
            return Err(FrameFault::Version(self.said.version));
        }
        let accepted = self.said.accepted.iter().map(|word| TokenType::parse(word).ok_or(FrameFault::UnknownWord));
        let names = ClaimNames {
            token_type: self.said.token_type_claim.clone(),
            jti: self.said.jti_claim.clone(),
            user_id: self.said.user_id_claim.clone(),
            user_id_field: self.user_id_field()?,
            user_id_type: match self.said.user_id_form {
                UserIdForm::Text => UserIdType::Text,
                UserIdForm::Integer => UserIdType::Integer,
            },
            ..ClaimNames::default()
        };
        Ok(TokenPolicy {
            issuer: self.said.issuer.clone(),
            audience,
            leeway: Duration::from_millis(self.said.leeway_ms),
            longest_lifetime_ever: Duration::from_millis(self.said.longest_lifetime_ms),
            names,
            accepted: accepted.collect::<Result<_, _>>()?,
            foreign: ForeignTokens::Reject,
            ..TokenPolicy::default()
        })
    }

    /// What turns scopes into the keys of the log.
    ///
    /// # Errors
    /// A word in it isn't known here.
    pub fn scopes(&self) -> Result<ScopeHasher, FrameFault> {
        Ok(ScopeHasher::ours(self.said.scope_key.0).of_user_ids(self.user_id_field()?))
    }

    /// Whether both turn scopes into the same keys. Within one log they always do.
    pub fn hashes_as(&self, other: &Self) -> bool {
        self.said.scope_key == other.said.scope_key && self.said.user_id_field == other.said.user_id_field
    }

    /// Whether tokens may be signed with a secret, so that a verifier needs it.
    pub fn names_secrets(&self) -> bool {
        !self.said.secrets.is_empty()
    }

    /// The key that a secret is, under the name that tokens call it by; `None`: the issuer doesn't sign with it.
    ///
    /// # Errors
    /// The secret can't be used.
    pub fn secret(&self, secret: &[u8]) -> Result<Option<VerifyingKey>, KeyFault> {
        for known in &self.said.secrets {
            let (Some(algorithm), Ok(kid)) = (Algorithm::parse(&known.alg), Kid::parse(&known.kid)) else { continue };
            let key = VerifyingKey::insecure_hmac(algorithm, secret, kid)?;
            if key.is_checked_by(&known.check.0) {
                return Ok(Some(key));
            }
        }
        Ok(None)
    }

    fn user_id_field(&self) -> Result<UserIdField, FrameFault> {
        UserIdField::parse(&self.said.user_id_field).ok_or(FrameFault::UnknownWord)
    }
}

impl Snapshot {
    /// Everything that a log remembers which ends at `cursor` with the hash `chain`.
    pub fn new(policy: FeedPolicy, cursor: Cursor, chain: &Chain, entries: &[Entry]) -> Self {
        let row = |entry: &Entry| (entry.seq.as_u64(), entry.kind.as_u8(), Bytes(entry.key.0), entry.at.as_secs());
        let entries: Vec<Row> = entries.iter().map(row).collect();
        let digest = Bytes(digest(&policy, &cursor, chain, &entries));
        Self { policy, cursor, chain: Bytes(*chain), entries, digest }
    }

    /// The set that it is.
    ///
    /// # Errors
    /// It isn't what was sent, or an entry is of a kind that isn't known here.
    pub fn revoked(&self) -> Result<Revoked, FrameFault> {
        if digest(&self.policy, &self.cursor, &self.chain.0, &self.entries) != self.digest.0 {
            return Err(FrameFault::Malformed);
        }
        let mut set = Revoked::empty(self.cursor.seq(), self.chain.0);
        for &(seq, kind, key, at) in &self.entries {
            let kind = ScopeKind::from_u8(kind).ok_or(FrameFault::UnknownKind(kind))?;
            let seq = Seq::from_u64(seq);
            if seq > self.cursor.seq() {
                return Err(FrameFault::Malformed);
            }
            set.remember(Remembered { seq, kind, key: ScopeKey(key.0), at });
        }
        Ok(set)
    }
}

/// The hash over a snapshot: what the policy says, what is revoked, and up to where.
fn digest(policy: &FeedPolicy, cursor: &Cursor, chain: &Chain, entries: &[Row]) -> [u8; 32] {
    let mut hash = digest::Context::new(&digest::SHA256);
    hash.update(&digest_of(&policy.said).0);
    hash.update(cursor.to_string().as_bytes());
    hash.update(chain);
    for (seq, kind, key, at) in entries {
        hash.update(&seq.to_be_bytes());
        hash.update(&[*kind]);
        hash.update(&key.0);
        hash.update(&at.to_be_bytes());
    }
    let mut digest = [0; 32];
    digest.copy_from_slice(hash.finish().as_ref());
    digest
}

impl Frame {
    /// The entries as a verifier follows them.
    ///
    /// # Errors
    /// One can't be read: then none counts.
    pub fn entries(&self) -> Result<Vec<Entry>, FrameFault> {
        self.entries.iter().map(Entry::try_from).collect()
    }
}

impl From<&Entry> for FrameEntry {
    fn from(entry: &Entry) -> Self {
        Self {
            seq: entry.seq.as_u64(),
            kind: entry.kind.as_u8(),
            key: Bytes(entry.key.0),
            drop_after: entry.drop_after.map(Timestamp::as_millis),
            reason: entry.reason.as_str().into(),
            at: entry.at.as_millis(),
            actor: entry.actor.as_str().into(),
            chain: Bytes(entry.chain),
        }
    }
}

impl TryFrom<&FrameEntry> for Entry {
    type Error = FrameFault;

    fn try_from(entry: &FrameEntry) -> Result<Self, FrameFault> {
        Ok(Self {
            seq: Seq::from_u64(entry.seq),
            kind: ScopeKind::from_u8(entry.kind).ok_or(FrameFault::UnknownKind(entry.kind))?,
            key: ScopeKey(entry.key.0),
            drop_after: entry.drop_after.map(Timestamp::from_millis),
            reason: Reason::parse(&entry.reason).ok_or(FrameFault::UnknownWord)?,
            at: Timestamp::from_millis(entry.at),
            actor: Actor::parse(&entry.actor).ok_or(FrameFault::UnknownWord)?,
            chain: entry.chain.0,
        })
    }
}

impl LeaseGrant {
    /// The answer to the request with this nonce, about a log that ends at `cursor` with the hash `chain`.
    pub fn new(nonce: LeaseNonce, cursor: Cursor, chain: &Chain, term: Duration, server_time: Timestamp) -> Self {
        let server_time = server_time.as_millis();
        Self { said: GrantSaid { nonce, cursor, chain: Bytes(*chain), term_ms: millis(term), server_time } }
    }

    /// Which request it is the answer to.
    pub fn nonce(&self) -> LeaseNonce {
        self.said.nonce
    }

    /// Where the log ended after the request had arrived.
    pub fn cursor(&self) -> &Cursor {
        &self.said.cursor
    }

    /// The hash over the log up to there.
    pub fn chain(&self) -> Chain {
        self.said.chain.0
    }

    /// For how long it holds, from when it was asked for.
    pub fn term(&self) -> Duration {
        Duration::from_millis(self.said.term_ms)
    }
}

impl LeaseNonce {
    /// The nonce of a text: 22 characters of base64url.
    ///
    /// # Errors
    /// The text has another form.
    pub fn parse(text: &str) -> Result<Self, FrameFault> {
        URL_SAFE_NO_PAD.decode(text).ok().and_then(|bytes| bytes.try_into().ok()).map(Self).ok_or(FrameFault::Malformed)
    }
}

impl fmt::Display for LeaseNonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl Serialize for LeaseNonce {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for LeaseNonce {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Bytes::<16>::deserialize(deserializer).map(|bytes| Self(bytes.0))
    }
}

impl From<FeedPolicy> for Told<PolicySaid> {
    fn from(policy: FeedPolicy) -> Self {
        Self { digest: digest_of(&policy.said), said: policy.said }
    }
}

impl TryFrom<Told<PolicySaid>> for FeedPolicy {
    type Error = FrameFault;

    fn try_from(told: Told<PolicySaid>) -> Result<Self, FrameFault> {
        told.whole().map(|said| Self { said })
    }
}

impl From<LeaseGrant> for Told<GrantSaid> {
    fn from(grant: LeaseGrant) -> Self {
        Self { digest: digest_of(&grant.said), said: grant.said }
    }
}

impl TryFrom<Told<GrantSaid>> for LeaseGrant {
    type Error = FrameFault;

    fn try_from(told: Told<GrantSaid>) -> Result<Self, FrameFault> {
        told.whole().map(|said| Self { said })
    }
}

impl<T: Serialize> Told<T> {
    fn whole(self) -> Result<T, FrameFault> {
        if digest_of(&self.said) == self.digest { Ok(self.said) } else { Err(FrameFault::Malformed) }
    }
}

/// The hash over something's JSON.
fn digest_of(said: &impl Serialize) -> Bytes<32> {
    // Texts, numbers and lists of them: writing them as JSON doesn't fail.
    let text = serde_json::to_vec(said).unwrap_or_default();
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest::digest(&digest::SHA256, &text).as_ref());
    Bytes(bytes)
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

impl<const N: usize> Serialize for Bytes<N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl<'de, const N: usize> Deserialize<'de> for Bytes<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text<const N: usize>;
        impl<const N: usize> serde::de::Visitor<'_> for Text<N> {
            type Value = Bytes<N>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{N} bytes in base64url")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Bytes<N>, E> {
                let mut bytes = [0; N];
                match URL_SAFE_NO_PAD.decode_slice(text, &mut bytes) {
                    Ok(length) if length == N => Ok(Bytes(bytes)),
                    _ => Err(E::custom(FrameFault::Malformed)),
                }
            }
        }
        deserializer.deserialize_str(Text)
    }
}

impl fmt::Debug for FeedPolicy {
    /// Without what scopes are hashed with.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FeedPolicy").field("version", &self.said.version).field("issuer", &self.said.issuer).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
