//! Revocations: what can be covered, how an entry of the log looks, and how its number is made.

use std::fmt;
use std::hash::Hasher;

use siphasher::sip128::{Hasher128, SipHasher24};

use super::{Account, ClientName, Kid, SessionId, Subject, Timestamp, UserIdField, fold};

/// The number of an entry of the log: `epoch * 2^34 + n`. Gapless within an epoch, below 2^53, so that it survives
/// in any JSON reader. Number order is commit order is visibility order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Seq(u64);

/// What a revocation covers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Scope {
    /// Every token issued before.
    Everything,
    /// Every token that a key signed.
    Key(Kid),
    /// Tokens of a client issued before.
    Client(String),
    /// Tokens for an audience issued before.
    Audience(String),
    /// Tokens of a subject issued before.
    Subject(Subject),
    /// Every token of a session.
    Session(SessionId),
    /// One token, by its `jti`.
    Token(String),
    /// Tokens in which a custom claim has a value, issued before.
    Claim {
        /// The claim's name.
        name: String,
        /// Its value, as compact JSON.
        value: String,
    },
}

/// The kind of a scope, as a number in the store and on the wire.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum ScopeKind {
    /// [`Scope::Everything`].
    Everything = 0,
    /// [`Scope::Key`].
    Key = 1,
    /// [`Scope::Client`].
    Client = 2,
    /// [`Scope::Audience`].
    Audience = 3,
    /// [`Scope::Subject`].
    Subject = 4,
    /// [`Scope::Session`].
    Session = 5,
    /// [`Scope::Token`].
    Token = 6,
    /// [`Scope::Claim`].
    Claim = 7,
}

/// A keyed hash over (namespace, kind, value): what the log and its readers see of a scope. It tells nothing about a
/// person to whoever lacks the key.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ScopeKey(pub [u8; 16]);

/// Turns scopes into their keys for one namespace: that of our own tokens, or one of tokens that others issue. It is
/// not the `iss` claim, which a site may rename: what was revoked under the old name must stay revoked.
#[derive(Clone)]
pub struct ScopeHasher {
    key: [u8; 16],
    namespace: String,
    user_ids: UserIdField,
}

/// The running hash over the log: each entry's covers all before it.
pub type Chain = [u8; 32];

/// A revocation that a decision asks the store to append.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewEntry {
    /// The kind of its scope.
    pub kind: ScopeKind,
    /// Its scope.
    pub key: ScopeKey,
    /// How long it must be remembered.
    pub keep: Keep,
    /// Why.
    pub reason: Reason,
    /// When.
    pub at: Timestamp,
    /// By whom.
    pub actor: Actor,
}

/// How long an entry must be remembered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Keep {
    /// Until the longest-lived token that it could cover has expired. The store knows the longest lifetime ever
    /// configured, and looks at it inside the transaction.
    Longest,
    /// Until a moment.
    Until(Timestamp),
    /// For ever.
    Forever,
}

/// An entry of the log. Its scope is a watermark (`before` is its own number) or a presence (`before` is without
/// end), depending on its kind.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// Its number.
    pub seq: Seq,
    /// The kind of its scope.
    pub kind: ScopeKind,
    /// Its scope.
    pub key: ScopeKey,
    /// From when on it may be forgotten; `None`: never.
    pub drop_after: Option<Timestamp>,
    /// Why.
    pub reason: Reason,
    /// When.
    pub at: Timestamp,
    /// By whom.
    pub actor: Actor,
    /// The hash over this entry and all before it.
    pub chain: Chain,
}

/// Why a session was ended or a token revoked.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Reason {
    /// Its user logged out.
    LogOut,
    /// Its user or an operator ended this one session.
    Ended,
    /// It was one over the limit, and idle longest.
    OverLimit,
    /// Its user logged out everywhere.
    LogOutEverywhere,
    /// A spent refresh token was used again.
    Reuse,
    /// A refresh token from the store's future was used: the store went back.
    Restored,
    /// The password was changed.
    PasswordChanged,
    /// The password was reset.
    PasswordReset,
    /// The account was deactivated.
    Deactivated,
    /// The account was locked after failed sign-ins.
    Locked,
    /// An operator revoked it.
    Revoked,
    /// An operator set another password, or took it away.
    PasswordSet,
    /// The account has another address.
    EmailChanged,
    /// The account has another name, by which its tokens called it.
    NameChanged,
    /// The account was deleted.
    Deleted,
    /// What the account's tokens say has changed.
    ClaimsChanged,
    /// The key that signed it was removed.
    KeyRemoved,
}

/// Who caused a change.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Actor {
    /// The account's owner, or whoever held its tokens.
    Owner,
    /// An operator at the command line.
    Operator,
    /// quash itself, by a rule.
    Rule,
    /// Another service, in its own name.
    Client(ClientName),
}

impl Seq {
    /// Before every entry.
    pub const ZERO: Self = Self(0);
    /// After every entry: the `before` of scopes that are present or not.
    pub const MAX: Self = Self(u64::MAX);
    const EPOCH_SHIFT: u32 = 34;

    /// The first number of an epoch, which no entry has.
    pub const fn start_of(epoch: u32) -> Self {
        Self((epoch as u64) << Self::EPOCH_SHIFT)
    }

    /// The first number of the epoch that `seq` belongs to.
    pub const fn start_of_epoch(seq: Self) -> Self {
        Self(seq.epoch() << Self::EPOCH_SHIFT)
    }

    pub(super) const fn start_of_epoch_number(epoch: u64) -> Self {
        Self(epoch << Self::EPOCH_SHIFT)
    }

    /// A number as it is stored and sent.
    pub const fn from_u64(number: u64) -> Self {
        Self(number)
    }

    /// The number as it is stored and sent.
    pub const fn as_u64(self) -> u64 {
        self.0
    }

    /// Which epoch it belongs to.
    pub const fn epoch(self) -> u64 {
        self.0 >> Self::EPOCH_SHIFT
    }

    /// The number after it.
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
    /// Its kind.
    pub const fn kind(&self) -> ScopeKind {
        match self {
            Self::Everything => ScopeKind::Everything,
            Self::Key(_) => ScopeKind::Key,
            Self::Client(_) => ScopeKind::Client,
            Self::Audience(_) => ScopeKind::Audience,
            Self::Subject(_) => ScopeKind::Subject,
            Self::Session(_) => ScopeKind::Session,
            Self::Token(_) => ScopeKind::Token,
            Self::Claim { .. } => ScopeKind::Claim,
        }
    }
}

impl ScopeKind {
    /// All kinds.
    pub const ALL: [Self; 8] = [
        Self::Everything,
        Self::Key,
        Self::Client,
        Self::Audience,
        Self::Subject,
        Self::Session,
        Self::Token,
        Self::Claim,
    ];

    /// Its number.
    pub const fn as_u8(self) -> u8 {
        self as u8
    }

    /// The kind of a number; `None`: a newer quash wrote it.
    pub fn from_u8(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }

    /// Its name, in tables and answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Everything => "everything",
            Self::Key => "key",
            Self::Client => "client",
            Self::Audience => "audience",
            Self::Subject => "subject",
            Self::Session => "session",
            Self::Token => "token",
            Self::Claim => "claim",
        }
    }

    /// Whether the scope covers tokens whenever they were issued. The others cover what was issued before.
    pub const fn is_presence(self) -> bool {
        matches!(self, Self::Key | Self::Session | Self::Token)
    }

    /// Tokens in the scope of an entry of this kind and number with an `rsq` below this are revoked.
    pub const fn before(self, seq: Seq) -> Seq {
        if self.is_presence() { Seq::MAX } else { seq }
    }
}

impl Entry {
    /// Tokens in its scope with an `rsq` below this are revoked.
    pub const fn before(&self) -> Seq {
        self.kind.before(self.seq)
    }
}

impl ScopeHasher {
    /// The hasher of our own tokens.
    pub fn ours(key: [u8; 16]) -> Self {
        Self::new(key, "")
    }

    /// The hasher of a namespace.
    pub fn new(key: [u8; 16], namespace: &str) -> Self {
        Self { key, namespace: namespace.to_owned(), user_ids: UserIdField::Subject }
    }

    /// The key of a scope.
    pub fn key(&self, scope: &Scope) -> ScopeKey {
        let kind = scope.kind();
        match scope {
            Scope::Everything => self.of(kind, &[]),
            Scope::Key(kid) => self.of(kind, &[kid.as_str().as_bytes()]),
            Scope::Client(text) | Scope::Audience(text) | Scope::Token(text) => {
                self.of(kind, &[text.as_bytes()])
            }
            Scope::Subject(subject) => self.of(kind, &[subject.as_str().as_bytes()]),
            Scope::Session(id) => self.of(kind, &[id.as_bytes()]),
            Scope::Claim { name, value } => self.of(kind, &[name.as_bytes(), value.as_bytes()]),
        }
    }

    /// The key of a scope whose value is in hand as text, without building the scope.
    pub fn key_of(&self, kind: ScopeKind, value: &str) -> ScopeKey {
        self.of(kind, &[value.as_bytes()])
    }

    /// The key of the account that tokens call by this name. Names and addresses are hashed as they are compared, so that
    /// who is revoked as `Dana` isn't let in as `dana`.
    pub fn user_id(&self, user_id: &str) -> ScopeKey {
        match self.user_ids {
            UserIdField::Subject => self.key_of(ScopeKind::Subject, user_id),
            UserIdField::Username | UserIdField::Email => self.key_of(ScopeKind::Subject, &fold(user_id)),
        }
    }

    /// The key of an account, as its tokens call it.
    pub fn account(&self, account: &Account) -> ScopeKey {
        self.user_id(account.user_id(self.user_ids).unwrap_or_else(|| account.subject.as_str()))
    }

    /// The same hasher where tokens call accounts by another field.
    #[must_use]
    pub fn of_user_ids(self, user_ids: UserIdField) -> Self {
        Self { user_ids, ..self }
    }

    /// Whether this is the namespace of our own tokens, whose subjects are our accounts.
    pub fn is_ours(&self) -> bool {
        self.namespace.is_empty()
    }

    /// The hasher of another namespace, under the same key.
    #[must_use]
    pub fn in_namespace(&self, namespace: &str) -> Self {
        Self { namespace: namespace.to_owned(), ..self.clone() }
    }

    /// Each part is preceded by its length, so that no two scopes give the same input.
    fn of(&self, kind: ScopeKind, parts: &[&[u8]]) -> ScopeKey {
        let mut hasher = SipHasher24::new_with_key(&self.key);
        hasher.write(&[kind.as_u8()]);
        for part in std::iter::once(&self.namespace.as_bytes()).chain(parts) {
            hasher.write(&(part.len() as u64).to_le_bytes());
            hasher.write(part);
        }
        ScopeKey(hasher.finish128().as_bytes())
    }
}

impl fmt::Debug for ScopeHasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScopeHasher").field("namespace", &self.namespace).finish_non_exhaustive()
    }
}

impl Reason {
    const ALL: [Self; 17] = [
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

    /// Its name, in the store, in answers and in tables.
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

    /// The reason of a name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == text)
    }
}

impl Actor {
    /// Its name, in the store and in tables.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Client(name) => name.as_actor(),
            Self::Owner | Self::Operator | Self::Rule => self.kind(),
        }
    }

    /// What kind it is, for those whom a client's name is no business of.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Operator => "operator",
            Self::Rule => "rule",
            Self::Client(_) => "client",
        }
    }

    /// The actor of a name.
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
        let claim = |name: &str, value: &str| Scope::Claim { name: name.into(), value: value.into() };
        let scopes = [
            Scope::Everything,
            Scope::Client("ab".into()),
            Scope::Audience("ab".into()),
            Scope::Token("ab".into()),
            Scope::Token(String::new()),
            claim("a", "b"),
            claim("ab", ""),
            claim("", "ab"),
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
    fn names_are_read_back() {
        for reason in Reason::ALL {
            assert_eq!(Reason::parse(reason.as_str()), Some(reason));
        }
        for kind in ScopeKind::ALL {
            assert_eq!(ScopeKind::from_u8(kind.as_u8()), Some(kind));
        }
        assert_eq!(ScopeKind::from_u8(8), None);
    }
}
