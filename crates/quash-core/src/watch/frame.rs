//! The feed's wire format, for both sides. Its meaning for a verifier is in `follower.rs`.
//!
//! Everything is JSON. Numbers of the log are below 2^53; hashes and keys are base64url without padding.

mod cursor;
mod digested;
mod lease;
mod namespace;
mod snapshot;

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize, Serializer};

pub use self::cursor::{Cursor, CursorKey};
use self::digested::{Bytes, Digested, digest_of, digest_of_members, hash_of, serialize_digested};
pub use self::lease::{LeaseGrant, LeaseNonce};
use self::namespace::NamespaceFields;
pub use self::namespace::{NamespaceKeys, keys_beyond_policy};
pub use self::snapshot::{SNAPSHOT_ROWS, Snapshot, SnapshotReader, SnapshotWriter};
use crate::model::{
    Actor, ClaimNames, Entry, ForeignTokens, Kid, Namespace, Reason, ScopeHasher, ScopeKey, ScopeKind, Seq,
    Timestamp, TokenPolicy, UserIdField, UserIdType, limits,
};
use crate::token::{Algorithm, KeyFault, KeyRing, TokenType, VerifyingKey};

/// The version of the format, which verifiers request. Within a version, the policy may only get members that
/// an older verifier can ignore without accepting a token that it must refuse; everything else needs the next
/// version.
pub const VERSION: u32 = 2;

/// The issuer's settings that a verifier needs before it can check any token.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "Digested<PolicyFields>")]
pub struct FeedPolicy {
    fields: PolicyFields,
    /// The hash over all members as they were received, including those unknown here.
    digest: Bytes<32>,
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
struct PolicyFields {
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
    user_id_form: UserIdForm,
    accepted: Vec<String>,
    secrets: Vec<SecretCheck>,
    #[serde(default)]
    namespaces: Vec<NamespaceFields>,
    /// A hash over the text of the published key set.
    keys: Bytes<32>,
}

/// The JSON type of the user id claim.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum UserIdForm {
    Text,
    Integer,
}

/// A check value that recognises a secret that tokens are signed with, and its name in tokens.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
struct SecretCheck {
    kid: String,
    alg: String,
    check: Bytes<32>,
}

/// The next entries of the log, and the end of the log with them.
#[derive(Clone, Serialize, Deserialize)]
pub struct Frame {
    /// The end of the log after these entries.
    pub cursor: Cursor,
    pub entries: Vec<FrameEntry>,
}

/// An entry in a frame, with all fields that the chain covers.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FrameEntry {
    seq: u64,
    kind: u8,
    key: Bytes<16>,
    drop_after: Option<i64>,
    reason: String,
    at: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    until: Option<i64>,
    actor: String,
    chain: Bytes<32>,
}

/// A number that a client waits for every verifier to apply. A verifier that has applied it renews its lease
/// at once.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Wanted {
    pub seq: u64,
}

/// A fault in data of the feed. Data that arrives with one counts as not received.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FrameFault {
    /// The issuer uses another version of the format.
    #[error("the issuer uses version {0} of the feed, this program version {VERSION}")]
    Version(u32),
    /// The data isn't of the format.
    #[error("the feed is malformed")]
    Malformed,
    /// An entry is of a kind unknown to this program.
    #[error("the feed has an entry of kind {0}, unknown to this program: update it")]
    UnknownKind(u8),
    /// A word in the data is unknown to this program.
    #[error("the feed has a word unknown to this program: update it")]
    UnknownWord,
    /// A value can't be serialized.
    #[error("a value of the feed cannot be written as JSON")]
    Unwritable,
}

impl FeedPolicy {
    /// Returns the policy that an issuer with leases of the length `term` sends to its verifiers. `scope_key`
    /// is the key that its scopes are hashed with. `ring` has the keys that verify its tokens and those of
    /// other issuers: of secrets, only the check values are sent, and of its own public keys, a hash.
    ///
    /// # Errors
    /// A value can't be serialized.
    pub fn of(
        policy: &TokenPolicy,
        scope_key: [u8; 16],
        term: Duration,
        ring: &KeyRing,
    ) -> Result<Self, FrameFault> {
        let check = |key: &VerifyingKey| {
            let check = Bytes(key.check_value()?);
            Some(SecretCheck { kid: key.kid().as_str().into(), alg: key.algorithm().as_str().into(), check })
        };
        let names = &policy.names;
        let fields = PolicyFields {
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
            secrets: ring.own().filter_map(check).collect(),
            namespaces: NamespaceFields::all(&policy.namespaces, names, ring),
            keys: digest_of(&ring.jwks())?,
        };
        Ok(Self { digest: digest_of_members(&fields)?, fields })
    }

    /// Returns the lifetime of a lease.
    pub fn term(&self) -> Duration {
        Duration::from_millis(self.fields.term_ms)
    }

    /// Returns the token policy of a verifier for one of `audience`; an empty list accepts every audience.
    ///
    /// # Errors
    /// The version or a word in the policy is unknown here.
    pub fn tokens(&self, audience: Vec<String>) -> Result<TokenPolicy, FrameFault> {
        if self.fields.version != VERSION {
            return Err(FrameFault::Version(self.fields.version));
        }
        let accepted =
            self.fields.accepted.iter().map(|word| TokenType::parse(word).ok_or(FrameFault::UnknownWord));
        let names = ClaimNames {
            token_type: self.fields.token_type_claim.clone(),
            jti: self.fields.jti_claim.clone(),
            user_id: self.fields.user_id_claim.clone(),
            user_id_field: self.user_id_field()?,
            user_id_type: match self.fields.user_id_form {
                UserIdForm::Text => UserIdType::Text,
                UserIdForm::Integer => UserIdType::Integer,
            },
            ..ClaimNames::default()
        };
        Ok(TokenPolicy {
            issuer: self.fields.issuer.clone(),
            audience,
            leeway: Duration::from_millis(self.fields.leeway_ms),
            // A verifier and its issuer have two clocks.
            signers_ahead: limits::SIGNERS_AHEAD,
            longest_lifetime_ever: Duration::from_millis(self.fields.longest_lifetime_ms),
            names,
            accepted: accepted.collect::<Result<_, _>>()?,
            foreign: ForeignTokens::Reject,
            namespaces: self.fields.namespaces.iter().map(Namespace::from).collect(),
            ..TokenPolicy::default()
        })
    }

    /// Returns the hasher that turns scopes into the keys of the log.
    ///
    /// # Errors
    /// A word in the policy is unknown here.
    pub fn scopes(&self) -> Result<ScopeHasher, FrameFault> {
        Ok(ScopeHasher::ours(self.fields.scope_key.0).of_user_ids(self.user_id_field()?))
    }

    /// Returns whether both turn scopes into the same keys. Policies of one log always do.
    pub fn hashes_as(&self, other: &Self) -> bool {
        self.fields.scope_key == other.fields.scope_key
            && self.fields.user_id_field == other.fields.user_id_field
    }

    /// Returns the hash over the key set that the issuer publishes, in base64url.
    pub fn key_set(&self) -> String {
        self.fields.keys.to_string()
    }

    /// Returns whether a text is the key set that the issuer publishes.
    pub fn publishes(&self, key_set: &[u8]) -> bool {
        hash_of(key_set) == self.fields.keys
    }

    /// Returns whether tokens may be signed with a secret, which a verifier then needs.
    pub fn names_secrets(&self) -> bool {
        !self.fields.secrets.is_empty()
    }

    /// Returns the key of a secret, under its name in tokens, or `None` if the issuer doesn't sign with the
    /// secret.
    ///
    /// # Errors
    /// The secret can't be used.
    pub fn secret(&self, secret: &[u8]) -> Result<Option<VerifyingKey>, KeyFault> {
        for known in &self.fields.secrets {
            let (Some(algorithm), Ok(kid)) = (Algorithm::parse(&known.alg), Kid::parse(&known.kid)) else {
                continue;
            };
            let key = VerifyingKey::insecure_hmac(algorithm, secret, kid)?;
            if key.matches_check_value(&known.check.0) {
                return Ok(Some(key));
            }
        }
        Ok(None)
    }

    /// Returns the keys of a namespace's tokens that this program can use, or `None` if there is no such
    /// namespace. A secret is usable if it is one of `secrets`; of `audience`, an empty list accepts every
    /// audience that the issuer's settings accept.
    ///
    /// # Errors
    /// A word in the policy is unknown here.
    pub fn namespace_keys(
        &self,
        name: &str,
        secrets: &[impl AsRef<[u8]>],
        audience: &[String],
    ) -> Result<Option<NamespaceKeys>, FrameFault> {
        let scopes = self.scopes()?;
        let found = self.fields.namespaces.iter().find(|namespace| namespace.name == name);
        Ok(found.map(|namespace| namespace.usable_keys(&scopes, secrets, audience)))
    }

    /// The hash over the members that are known here, which are those that are sent.
    fn sent_digest(&self) -> Result<Bytes<32>, FrameFault> {
        digest_of_members(&self.fields)
    }

    fn user_id_field(&self) -> Result<UserIdField, FrameFault> {
        UserIdField::parse(&self.fields.user_id_field).ok_or(FrameFault::UnknownWord)
    }
}

impl Frame {
    /// Returns the entries in the form that a verifier follows.
    ///
    /// # Errors
    /// An entry can't be read: then no entry counts.
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
            until: entry.until.map(Timestamp::as_millis),
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
            until: entry.until.map(Timestamp::from_millis),
            actor: Actor::parse(&entry.actor).ok_or(FrameFault::UnknownWord)?,
            chain: entry.chain.0,
        })
    }
}

impl Serialize for FeedPolicy {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize_digested(&self.fields, serializer)
    }
}

impl From<Digested<PolicyFields>> for FeedPolicy {
    fn from(digested: Digested<PolicyFields>) -> Self {
        let Digested { fields, digest } = digested;
        Self { fields, digest }
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

impl fmt::Debug for FeedPolicy {
    /// Formats without the key that scopes are hashed with.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FeedPolicy")
            .field("version", &self.fields.version)
            .field("issuer", &self.fields.issuer)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
