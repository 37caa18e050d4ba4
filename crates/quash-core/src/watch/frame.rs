//! The feed on the wire: what an issuer tells its verifiers, and what they send back. The shapes stand here because both
//! sides must read the same; what they mean for a verifier is in `follower.rs`.
//!
//! Everything is JSON. Numbers of the log are below 2^53; hashes and keys are base64url without padding.

use std::fmt;
use std::time::Duration;

use aws_lc_rs::{digest, hmac};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

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
pub struct FeedPolicy {
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
pub struct LeaseGrant {
    /// Where the log ended after the request had arrived.
    pub cursor: Cursor,
    chain: Bytes<32>,
    /// For how long it holds, from when it was asked for, in milliseconds.
    pub term_ms: u64,
    /// The issuer's clock, in milliseconds since 1970. Nothing hangs on it; it is for people.
    pub server_time: i64,
}

/// A place in the log, with the proof that the issuer has given it out: `<seq>.<mac>`.
#[derive(Clone, PartialEq, Eq)]
pub struct Cursor {
    seq: Seq,
    mac: [u8; 16],
}

/// What makes and recognises cursors: the issuer's alone.
#[derive(Clone)]
pub struct CursorKey(hmac::Key);

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
        Self {
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
        }
    }

    /// How long a lease holds.
    pub fn term(&self) -> Duration {
        Duration::from_millis(self.term_ms)
    }

    /// What tokens must say to a verifier that takes those for one of `audience`; empty: whatever they are for.
    ///
    /// # Errors
    /// A word in it isn't known here.
    pub fn tokens(&self, audience: Vec<String>) -> Result<TokenPolicy, FrameFault> {
        if self.version != VERSION {
            return Err(FrameFault::Version(self.version));
        }
        let accepted = self.accepted.iter().map(|word| TokenType::parse(word).ok_or(FrameFault::UnknownWord));
        let names = ClaimNames {
            token_type: self.token_type_claim.clone(),
            jti: self.jti_claim.clone(),
            user_id: self.user_id_claim.clone(),
            user_id_field: self.user_id_field()?,
            user_id_type: match self.user_id_form {
                UserIdForm::Text => UserIdType::Text,
                UserIdForm::Integer => UserIdType::Integer,
            },
            ..ClaimNames::default()
        };
        Ok(TokenPolicy {
            issuer: self.issuer.clone(),
            audience,
            leeway: Duration::from_millis(self.leeway_ms),
            longest_lifetime_ever: Duration::from_millis(self.longest_lifetime_ms),
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
        Ok(ScopeHasher::ours(self.scope_key.0).of_user_ids(self.user_id_field()?))
    }

    /// Whether both turn scopes into the same keys. Within one log they always do.
    pub fn hashes_as(&self, other: &Self) -> bool {
        self.scope_key == other.scope_key && self.user_id_field == other.user_id_field
    }

    /// Whether tokens may be signed with a secret, so that a verifier needs it.
    pub fn names_secrets(&self) -> bool {
        !self.secrets.is_empty()
    }

    /// The key that a secret is, under the name that tokens call it by; `None`: the issuer doesn't sign with it.
    ///
    /// # Errors
    /// The secret can't be used.
    pub fn secret(&self, secret: &[u8]) -> Result<Option<VerifyingKey>, KeyFault> {
        for known in &self.secrets {
            let (Some(algorithm), Ok(kid)) = (Algorithm::parse(&known.alg), Kid::parse(&known.kid)) else { continue };
            let key = VerifyingKey::insecure_hmac(algorithm, secret, kid)?;
            if key.is_checked_by(&known.check.0) {
                return Ok(Some(key));
            }
        }
        Ok(None)
    }

    fn user_id_field(&self) -> Result<UserIdField, FrameFault> {
        UserIdField::parse(&self.user_id_field).ok_or(FrameFault::UnknownWord)
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
        let mut set = Revoked::empty(self.cursor.seq, self.chain.0);
        for &(seq, kind, key, at) in &self.entries {
            let kind = ScopeKind::from_u8(kind).ok_or(FrameFault::UnknownKind(kind))?;
            let seq = Seq::from_u64(seq);
            if seq > self.cursor.seq {
                return Err(FrameFault::Malformed);
            }
            set.remember(Remembered { seq, kind, key: ScopeKey(key.0), at });
        }
        Ok(set)
    }
}

/// The hash over all that decides on what is revoked: how scopes are hashed, which are, and up to where.
fn digest(policy: &FeedPolicy, cursor: &Cursor, chain: &Chain, entries: &[Row]) -> [u8; 32] {
    let mut hash = digest::Context::new(&digest::SHA256);
    hash.update(&policy.scope_key.0);
    hash.update(&cursor.seq.as_u64().to_be_bytes());
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
    /// A lease of a log that ends at `cursor` with the hash `chain`.
    pub fn new(cursor: Cursor, chain: &Chain, term: Duration, server_time: Timestamp) -> Self {
        Self { cursor, chain: Bytes(*chain), term_ms: millis(term), server_time: server_time.as_millis() }
    }

    /// The hash over the log up to there.
    pub fn chain(&self) -> Chain {
        self.chain.0
    }

    /// For how long it holds, from when it was asked for.
    pub fn term(&self) -> Duration {
        Duration::from_millis(self.term_ms)
    }
}

impl Cursor {
    /// The number.
    pub fn seq(&self) -> Seq {
        self.seq
    }

    /// A cursor from its text. Whether the issuer has given it out is for the issuer to say.
    ///
    /// # Errors
    /// The text has another form.
    pub fn parse(text: &str) -> Result<Self, FrameFault> {
        let (seq, mac) = text.split_once('.').ok_or(FrameFault::Malformed)?;
        let is_canonical = !seq.is_empty() && seq.bytes().all(|byte| byte.is_ascii_digit()) && (seq == "0" || !seq.starts_with('0'));
        let seq = seq.parse().ok().filter(|&seq| is_canonical && seq < 1 << 53).ok_or(FrameFault::Malformed)?;
        let mac = URL_SAFE_NO_PAD.decode(mac).ok().and_then(|mac| mac.try_into().ok()).ok_or(FrameFault::Malformed)?;
        Ok(Self { seq: Seq::from_u64(seq), mac })
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.seq, URL_SAFE_NO_PAD.encode(self.mac))
    }
}

impl fmt::Debug for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cursor({})", self.seq)
    }
}

impl CursorKey {
    /// A key from 32 random bytes.
    pub fn new(secret: &[u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret))
    }

    /// The cursor of a number.
    pub fn cursor(&self, seq: Seq) -> Cursor {
        let mut mac = [0; 16];
        mac.copy_from_slice(&hmac::sign(&self.0, &seq.as_u64().to_be_bytes()).as_ref()[..16]);
        Cursor { seq, mac }
    }

    /// Whether the issuer has given out a cursor, and so has had its number.
    pub fn has_given(&self, cursor: &Cursor) -> bool {
        aws_lc_rs::constant_time::verify_slices_are_equal(&self.cursor(cursor.seq).mac, &cursor.mac).is_ok()
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

impl Serialize for Cursor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Cursor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
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
        f.debug_struct("FeedPolicy").field("version", &self.version).field("issuer", &self.issuer).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
