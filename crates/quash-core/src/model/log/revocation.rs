//! Revocations: their scopes, their entries in the log, and the numbers of these entries.

use std::fmt;
use std::hash::Hasher;

use siphasher::sip128::{Hasher128, SipHasher24};

use crate::model::{Account, ClientName, Kid, SessionId, Subject, Timestamp, UserIdField, fold};

/// The number of an entry in the log: `epoch * 2^34 + n`. Without gaps within an epoch, and below 2^53 so
/// that every JSON parser can hold it. Numbers have the order in which entries were committed and became
/// visible.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Seq(u64);

/// The set of tokens that a revocation covers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Scope {
    /// Every token issued before the revocation.
    Everything,
    /// Every token that a key signed.
    Key(Kid),
    /// A client's tokens issued before the revocation.
    Client(String),
    /// A subject's tokens issued before the revocation.
    Subject(Subject),
    /// Every token of a session.
    Session(SessionId),
    /// One token, by its `jti`.
    Token(String),
}

/// The kind of a scope, as a number in the store and on the wire.
///
/// The numbers 3 and 7 are reserved: they were audiences and custom claims, which no use case wrote. A new
/// kind takes the next number after 7, so that no reader mistakes it for one of these.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum ScopeKind {
    Everything = 0,
    Key = 1,
    Client = 2,
    Subject = 4,
    Session = 5,
    Token = 6,
}

/// A keyed hash over (namespace, kind, value): the form of a scope in the log and in the feed. Without the
/// key it reveals nothing about a person.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ScopeKey(pub [u8; 16]);

/// Hashes scopes of one namespace: that of quash's own tokens, or that of another issuer's.
///
/// The namespace isn't the `iss` claim, which a site may rename: revocations under the old name must stay in
/// effect.
#[derive(Clone)]
pub struct ScopeHasher {
    key: [u8; 16],
    namespace: String,
    user_ids: UserIdField,
}

/// The running hash over the log. Each entry's hash covers all entries before it.
pub type Chain = [u8; 32];

/// A revocation to be appended to the log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewEntry {
    pub kind: ScopeKind,
    /// The hash of the scope.
    pub key: ScopeKey,
    pub keep: Keep,
    pub reason: Reason,
    pub at: Timestamp,
    /// The time of the event, if it was reported late: a watermark covers no token that was issued after it.
    pub until: Option<Timestamp>,
    pub actor: Actor,
}

/// The time for which an entry must be kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Keep {
    /// Until the longest-lived token that it could cover has expired. The store knows the longest lifetime
    /// ever configured, and reads it inside the transaction.
    Longest,
    Until(Timestamp),
    Forever,
}

/// An entry of the log. By its kind, it is a watermark or a presence. A watermark revokes the tokens in its
/// scope that were issued before it. A presence revokes all tokens in its scope, whenever they are issued.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    pub seq: Seq,
    pub kind: ScopeKind,
    /// The hash of the scope.
    pub key: ScopeKey,
    /// The time from which the entry may be deleted; `None`: never.
    pub drop_after: Option<Timestamp>,
    pub reason: Reason,
    pub at: Timestamp,
    /// The time of the event, if it was reported late.
    pub until: Option<Timestamp>,
    pub actor: Actor,
    /// The hash over this entry and all before it.
    pub chain: Chain,
}

/// The reason why a session was ended or a token revoked.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Reason {
    LogOut,
    /// The user or an operator ended this one session.
    Ended,
    /// The account had one session over the limit, and this one had been idle longest.
    OverLimit,
    LogOutEverywhere,
    /// A spent refresh token was used again.
    Reuse,
    /// The store has lost its latest changes, as after a restore from a backup: everything is revoked, or a
    /// session with a refresh token that the store hasn't issued yet.
    Restored,
    PasswordChanged,
    PasswordReset,
    Deactivated,
    /// The account was locked after failed sign-ins.
    Locked,
    /// An operator revoked it.
    Revoked,
    /// An operator set a new password, or removed it.
    PasswordSet,
    EmailChanged,
    /// The name that identifies the account in its tokens changed.
    NameChanged,
    Deleted,
    /// The account's custom claims changed.
    ClaimsChanged,
    /// The key that signed the token was removed.
    KeyRemoved,
}

/// The cause of a change.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Actor {
    /// The account's owner, or a person with its tokens.
    Owner,
    /// An operator at the command line.
    Operator,
    /// quash itself, by a rule.
    Rule,
    /// Another service, in its own name.
    Client(ClientName),
}

impl Seq {
    /// Below every entry's number.
    pub const ZERO: Self = Self(0);
    /// Above every entry's number: the `before` of a presence.
    pub const MAX: Self = Self(u64::MAX);
    const EPOCH_SHIFT: u32 = 34;

    /// The number before an epoch's first entry. No entry has it.
    pub const fn start_of(epoch: u32) -> Self {
        Self((epoch as u64) << Self::EPOCH_SHIFT)
    }

    /// The number before the first entry of the epoch that `seq` belongs to.
    pub const fn start_of_epoch(seq: Self) -> Self {
        Self(seq.epoch() << Self::EPOCH_SHIFT)
    }

    /// Like [`Seq::start_of`], for [`Epoch`](crate::model::Epoch), which checks that the number isn't too large.
    pub(super) const fn start_of_epoch_number(epoch: u64) -> Self {
        Self(epoch << Self::EPOCH_SHIFT)
    }

    pub const fn from_u64(number: u64) -> Self {
        Self(number)
    }

    pub const fn as_u64(self) -> u64 {
        self.0
    }

    pub const fn epoch(self) -> u64 {
        self.0 >> Self::EPOCH_SHIFT
    }

    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Scope {
    pub const fn kind(&self) -> ScopeKind {
        match self {
            Self::Everything => ScopeKind::Everything,
            Self::Key(_) => ScopeKind::Key,
            Self::Client(_) => ScopeKind::Client,
            Self::Subject(_) => ScopeKind::Subject,
            Self::Session(_) => ScopeKind::Session,
            Self::Token(_) => ScopeKind::Token,
        }
    }
}

impl ScopeKind {
    pub const ALL: [Self; 6] =
        [Self::Everything, Self::Key, Self::Client, Self::Subject, Self::Session, Self::Token];

    pub const fn as_u8(self) -> u8 {
        self as u8
    }

    /// The kind with the given number; `None` if the number is reserved or a newer quash wrote it.
    pub fn from_u8(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_u8() == number)
    }

    /// The kind's name in answers and in tables.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Everything => "everything",
            Self::Key => "key",
            Self::Client => "client",
            Self::Subject => "subject",
            Self::Session => "session",
            Self::Token => "token",
        }
    }

    /// Returns whether the scope covers tokens whenever they were issued. The other scopes cover tokens
    /// issued before.
    pub const fn is_presence(self) -> bool {
        matches!(self, Self::Key | Self::Session | Self::Token)
    }

    /// The bound of an entry of this kind and number: it revokes the tokens in its scope with an `rsq` below
    /// the bound.
    pub const fn before(self, seq: Seq) -> Seq {
        if self.is_presence() { Seq::MAX } else { seq }
    }
}

impl ScopeHasher {
    /// The hasher of quash's own tokens.
    pub fn ours(key: [u8; 16]) -> Self {
        Self::new(key, "")
    }

    /// The hasher of a namespace.
    pub fn new(key: [u8; 16], namespace: &str) -> Self {
        Self { key, namespace: namespace.to_owned(), user_ids: UserIdField::Subject }
    }

    /// Hashes a scope.
    pub fn key(&self, scope: &Scope) -> ScopeKey {
        let kind = scope.kind();
        match scope {
            Scope::Everything => self.of(kind, &[]),
            Scope::Key(kid) => self.of(kind, &[kid.as_str().as_bytes()]),
            Scope::Client(text) | Scope::Token(text) => self.of(kind, &[text.as_bytes()]),
            Scope::Subject(subject) => self.of(kind, &[subject.as_str().as_bytes()]),
            Scope::Session(id) => self.of(kind, &[id.as_bytes()]),
        }
    }

    /// Hashes a scope given as text, without building the [`Scope`].
    pub fn key_of(&self, kind: ScopeKind, value: &str) -> ScopeKey {
        self.of(kind, &[value.as_bytes()])
    }

    /// Hashes a scope of another namespace, given as text.
    pub fn key_in(&self, namespace: &str, kind: ScopeKind, value: &str) -> ScopeKey {
        hashed(&self.key, namespace, kind, &[value.as_bytes()])
    }

    /// Hashes a subject scope of another namespace.
    pub fn user_id_in(&self, namespace: &str, user_id: &str) -> ScopeKey {
        match self.user_ids {
            UserIdField::Subject => self.key_in(namespace, ScopeKind::Subject, user_id),
            UserIdField::Username | UserIdField::Email => {
                self.key_in(namespace, ScopeKind::Subject, &fold(user_id))
            }
        }
    }

    /// Hashes the scope of all tokens of a namespace: a client scope with the namespace's own name.
    pub fn everything_in(&self, namespace: &str) -> ScopeKey {
        self.key_in(namespace, ScopeKind::Client, namespace)
    }

    /// Hashes a subject scope from a token's user id. Names and addresses are folded first, so that revoking
    /// `Dana` also covers tokens that name `dana`.
    pub fn user_id(&self, user_id: &str) -> ScopeKey {
        self.user_id_in(&self.namespace, user_id)
    }

    /// Hashes the subject scope of an account, by the user id in its tokens.
    pub fn account(&self, account: &Account) -> ScopeKey {
        self.user_id(account.user_id(self.user_ids).unwrap_or_else(|| account.subject.as_str()))
    }

    /// The same hasher for tokens with another user id field.
    #[must_use]
    pub fn of_user_ids(self, user_ids: UserIdField) -> Self {
        Self { user_ids, ..self }
    }

    /// Returns whether this is the namespace of quash's own tokens, whose subjects are quash's accounts.
    pub fn is_ours(&self) -> bool {
        self.namespace.is_empty()
    }

    /// The namespace's name; empty for quash's own tokens.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The hasher of another namespace, under the same key.
    #[must_use]
    pub fn in_namespace(&self, namespace: &str) -> Self {
        Self { namespace: namespace.to_owned(), ..self.clone() }
    }

    fn of(&self, kind: ScopeKind, parts: &[&[u8]]) -> ScopeKey {
        hashed(&self.key, &self.namespace, kind, parts)
    }
}

/// Hashes parts, each preceded by its length, so that no two scopes give the same input.
fn hashed(key: &[u8; 16], namespace: &str, kind: ScopeKind, parts: &[&[u8]]) -> ScopeKey {
    let mut hasher = SipHasher24::new_with_key(key);
    hasher.write(&[kind.as_u8()]);
    for part in std::iter::once(&namespace.as_bytes()).chain(parts) {
        hasher.write(&(part.len() as u64).to_le_bytes());
        hasher.write(part);
    }
    ScopeKey(hasher.finish128().as_bytes())
}

impl fmt::Debug for ScopeHasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScopeHasher").field("namespace", &self.namespace).finish_non_exhaustive()
    }
}

impl Reason {
    pub const ALL: [Self; 17] = [
        Self::LogOut,
        Self::Ended,
        Self::OverLimit,
        Self::LogOutEverywhere,
        Self::Reuse,
        Self::Restored,
        Self::PasswordChanged,
        Self::PasswordReset,
        Self::Deactivated,
        Self::Locked,
        Self::Revoked,
        Self::PasswordSet,
        Self::EmailChanged,
        Self::NameChanged,
        Self::Deleted,
        Self::ClaimsChanged,
        Self::KeyRemoved,
    ];

    /// The reason's name in the store, in answers and in tables.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::LogOut => "log_out",
            Self::Ended => "ended",
            Self::OverLimit => "over_limit",
            Self::LogOutEverywhere => "log_out_everywhere",
            Self::Reuse => "reuse",
            Self::Restored => "restored",
            Self::PasswordChanged => "password_changed",
            Self::PasswordReset => "password_reset",
            Self::Deactivated => "deactivated",
            Self::Locked => "locked",
            Self::Revoked => "revoked",
            Self::PasswordSet => "password_set",
            Self::EmailChanged => "email_changed",
            Self::NameChanged => "name_changed",
            Self::Deleted => "deleted",
            Self::ClaimsChanged => "claims_changed",
            Self::KeyRemoved => "key_removed",
        }
    }

    /// The reason with the given name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == text)
    }
}

impl Actor {
    /// The actor's name in the store and in tables.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Client(name) => name.as_actor(),
            Self::Owner | Self::Operator | Self::Rule => self.kind(),
        }
    }

    /// The actor's kind, for readers who may not see a client's name.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Operator => "operator",
            Self::Rule => "rule",
            Self::Client(_) => "client",
        }
    }

    /// The actor with the given name.
    pub fn parse(text: &str) -> Option<Self> {
        let named = |name| ClientName::parse(name).ok().map(Self::Client);
        let known =
            [Self::Owner, Self::Operator, Self::Rule].into_iter().find(|actor| actor.as_str() == text);
        known.or_else(|| text.strip_prefix(ClientName::AS_ACTOR).and_then(named))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_scopes_share_a_key() {
        let hasher = ScopeHasher::new([7; 16], "https://auth.example");
        let scopes = [
            Scope::Everything,
            Scope::Client("ab".into()),
            Scope::Client("a".into()),
            Scope::Token("ab".into()),
            Scope::Token(String::new()),
        ];
        let mut keys: Vec<_> = scopes.iter().map(|scope| hasher.key(scope).0).collect();
        keys.push(ScopeHasher::new([7; 16], "https://other.example").key(&Scope::Everything).0);
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), scopes.len() + 1);
    }

    #[test]
    fn a_seq_stays_below_two_to_the_53() {
        assert!(Seq::start_of(u32::from(u16::MAX)).as_u64() < 1 << 53);
        assert_eq!(Seq::start_of(3).next().epoch(), 3);
    }

    #[test]
    fn reasons_and_scope_kinds_round_trip() {
        for reason in Reason::ALL {
            assert_eq!(Reason::parse(reason.as_str()), Some(reason));
        }
        for kind in ScopeKind::ALL {
            assert_eq!(ScopeKind::from_u8(kind.as_u8()), Some(kind));
        }
        assert_eq!(ScopeKind::from_u8(8), None);
    }

    #[test]
    fn numbers_of_removed_scope_kinds_stay_reserved() {
        assert_eq!(ScopeKind::ALL.map(ScopeKind::as_u8), [0, 1, 2, 4, 5, 6]);
        for reserved in [3, 7] {
            assert_eq!(ScopeKind::from_u8(reserved), None, "{reserved}");
        }
    }
}
