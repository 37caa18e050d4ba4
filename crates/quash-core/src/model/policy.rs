//! The settings that decisions depend on, already validated. They are read from files and the environment in
//! `crates/quash/src/settings/sections/`.

use std::time::Duration;

use super::{AccountBy, Email, Name, Namespace, Timestamp, fold, limits};
use crate::token::TokenType;

/// All settings that decisions depend on.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Policy {
    pub tokens: TokenPolicy,
    pub rotation: RotationPolicy,
    pub sessions: SessionPolicy,
    pub accounts: AccountPolicy,
    pub audit: AuditPolicy,
    pub lockout: LockoutPolicy,
    pub registration: RegistrationPolicy,
    pub feed: FollowPolicy,
}

/// The rules for registrations.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RegistrationPolicy {
    /// The validity of the link that completes a registration. The registration expires with it.
    pub link_lifetime: Duration,
}

impl Default for RegistrationPolicy {
    fn default() -> Self {
        Self { link_lifetime: limits::LINK_LIFETIME }
    }
}

/// The rules for verifiers that follow the feed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FollowPolicy {
    /// The term of a lease. After at most this time, every verifier refuses tokens that were revoked.
    pub term: Duration,
}

impl Default for FollowPolicy {
    fn default() -> Self {
        Self { term: Duration::from_secs(10) }
    }
}

/// The retention of the audit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AuditPolicy {
    /// The time after which an entry may be deleted.
    pub keep: Duration,
}

impl Default for AuditPolicy {
    fn default() -> Self {
        Self { keep: Duration::from_secs(400 * 24 * 3600) }
    }
}

/// The content and lifetimes of tokens. Names follow Simple JWT's settings.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TokenPolicy {
    /// The time from an access token's `iat` to its `exp`.
    pub access_lifetime: Duration,
    /// The time from a refresh token's `iat` to its `exp`: the session's idle limit.
    pub refresh_lifetime: Duration,
    /// The time from a sliding token's `iat` to its `exp`.
    pub sliding_lifetime: Duration,
    /// The time from the sign-in during which the sliding token can be exchanged.
    pub sliding_refresh_lifetime: Duration,
    /// The claim `iss`. Written and required if set.
    pub issuer: Option<String>,
    /// The claim `aud`. Written if not empty; a token must then match one of the values.
    pub audience: Vec<String>,
    /// The allowed clock difference.
    pub leeway: Duration,
    /// How far the clock of another process that signs quash's tokens may be ahead: `iat` and the time of a rotation
    /// may be later than now by so much. Zero if this process alone signs.
    pub signers_ahead: Duration,
    /// The longest lifetime ever configured for this store. No token issued by quash is valid for longer.
    pub longest_lifetime_ever: Duration,
    /// The names of the claims that Simple JWT lets a site rename.
    pub names: ClaimNames,
    /// The token types that protected paths accept, in the order in which they are tried. Never empty.
    pub accepted: Vec<TokenType>,
    /// The treatment of other issuers' tokens.
    pub foreign: ForeignTokens,
    /// The namespaces of other issuers' tokens.
    pub namespaces: Vec<Namespace>,
}

/// The field of an account that its tokens hold in the user id claim.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum UserIdField {
    /// The subject, which never changes.
    #[default]
    Subject,
    /// The name as typed. Changing it ends all sessions.
    Username,
    /// The address as typed. Changing it ends all sessions.
    Email,
}

/// The JSON type of the user id claim.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum UserIdType {
    /// A string.
    #[default]
    Text,
    /// A number if the id is a whole number, for consumers older than Simple JWT 5.5.
    Integer,
}

/// The treatment of other issuers' tokens, signed by a key in the settings.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ForeignTokens {
    #[default]
    Reject,
    /// Accepted before this time.
    Until(Timestamp),
    Accept,
}

/// The rules for accounts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct AccountPolicy {
    pub inactive: InactiveAccounts,
    pub last_login: LastLogin,
    pub lock_ends: LockEnds,
    pub claims_change: ClaimsChange,
    pub login_fields: LoginFields,
    pub names: NameChanges,
    pub numeric_names: NumericNames,
    pub local_parts: LocalParts,
    pub subjects: Subjects,
}

/// The rule for new names that are whole numbers, as subjects may be.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum NumericNames {
    #[default]
    Refused,
    /// For telephone numbers or student numbers.
    Allowed,
}

/// The characters allowed before the `@` of an account's address.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum LocalParts {
    #[default]
    Ascii,
    /// Any script. The SMTP server must offer SMTPUTF8.
    Utf8,
}

/// The subjects of new accounts that are created without one.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Subjects {
    /// A UUIDv7.
    #[default]
    Uuid,
    /// The next positive integer that no account has or had.
    Integer,
}

/// The field that accounts sign in with, besides the password.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum LoginFields {
    #[default]
    Name,
    NameOrEmail,
    Email,
}

/// The rule for users who change their account's name.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum NameChanges {
    #[default]
    Allowed,
    /// Only an operator may change it.
    Refused,
}

/// The limits on failed attempts, and the lock that follows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LockoutPolicy {
    /// The number of failed attempts on one account that lock it. Never zero.
    pub failures: u32,
    /// The duration of the first lock. Each further lock since the last successful sign-in lasts twice as
    /// long.
    pub first_lock: Duration,
    /// The longest duration of a lock, and the time for which failures below the limit are remembered.
    pub longest_lock: Duration,
    /// The number of failed attempts from one network within a window, on any accounts, after which its
    /// further attempts are refused. Never zero.
    pub network_failures: u32,
    /// The length of that window.
    pub network_window: Duration,
}

/// The sessions that end when an account is locked after failed sign-ins.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum LockEnds {
    All,
    /// Sessions whose client has presented no device token, neither at the sign-in nor at a refresh.
    #[default]
    Unbound,
    None,
}

/// The tokens that are revoked when an account's custom claims change. Its sessions stay live in any case.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ClaimsChange {
    /// The account's access tokens: the next refresh returns new ones.
    #[default]
    Renew,
    /// None: they stay valid until they expire.
    Wait,
}

/// The treatment of other issuers' tokens of a deactivated account. Its own sessions have ended and its
/// sign-ins are refused in any case.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum InactiveAccounts {
    #[default]
    Refused,
    /// As for other accounts.
    Allowed,
}

/// The storage of an account's last sign-in.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum LastLogin {
    #[default]
    Ignored,
    Recorded,
}

/// The names of the claims that Simple JWT lets a site rename, and the content of the user id claim.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClaimNames {
    /// `token_type` by default.
    pub token_type: String,
    /// `jti` by default.
    pub jti: String,
    /// `user_id` by default.
    pub user_id: String,
    /// `refresh_exp` by default.
    pub refresh_exp: String,
    /// The claim with the mark of the password's hash, if Django nodes check it. Simple JWT names it
    /// `hash_password`.
    pub password_mark: Option<String>,
    /// The account's field in the user id claim.
    pub user_id_field: UserIdField,
    /// The user id claim's JSON type.
    pub user_id_type: UserIdType,
}

/// The rotation of refresh tokens.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RotationPolicy {
    /// A refresh also returns a new refresh token.
    pub rotate: bool,
    /// A spent refresh token that is presented again ends its session. If false, it always gets the session's
    /// current tokens.
    pub blacklist: bool,
    /// With `blacklist`: the time after a rotation during which the token just spent still gets the same
    /// successor. Zero: never.
    pub grace: Duration,
}

/// The lifetime and the number of sessions.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SessionPolicy {
    /// The time after which a session ends, however often it is refreshed; `None`: unlimited.
    pub absolute_lifetime: Option<Duration>,
    /// The maximum number of live sessions per account. Opening one more ends the one that has been idle
    /// longest.
    pub max_per_account: u32,
}

impl UserIdField {
    /// The field's name in the store and in the feed.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Subject => "id",
            Self::Username => "username",
            Self::Email => "email",
        }
    }

    /// The field with the given name.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Subject, Self::Username, Self::Email].into_iter().find(|field| field.as_str() == text)
    }
}

impl TokenPolicy {
    /// The longest lifetime of any token that these settings allow.
    pub fn longest_lifetime(&self) -> Duration {
        self.access_lifetime.max(self.refresh_lifetime).max(self.sliding_lifetime)
    }

    /// Returns the namespace of this name.
    pub fn namespace(&self, name: &str) -> Option<&Namespace> {
        self.namespaces.iter().find(|namespace| namespace.name == name)
    }
}

impl Default for TokenPolicy {
    fn default() -> Self {
        Self {
            access_lifetime: Duration::from_secs(5 * 60),
            refresh_lifetime: Duration::from_secs(24 * 3600),
            sliding_lifetime: Duration::from_secs(5 * 60),
            sliding_refresh_lifetime: Duration::from_secs(24 * 3600),
            issuer: None,
            audience: Vec::new(),
            leeway: Duration::ZERO,
            signers_ahead: Duration::ZERO,
            longest_lifetime_ever: Duration::from_secs(24 * 3600),
            names: ClaimNames::default(),
            accepted: vec![TokenType::Access],
            foreign: ForeignTokens::default(),
            namespaces: Vec::new(),
        }
    }
}

impl LoginFields {
    /// The key by which to look up the account of a user who has typed this text at a sign-in. `None` for a
    /// text longer than any name or address.
    pub fn account_by(self, typed: &str) -> Option<AccountBy> {
        match self {
            Self::Name => (!Name::is_too_long(typed)).then(|| AccountBy::Name(fold(typed))),
            Self::NameOrEmail => (!Name::is_too_long(typed) || !Email::is_too_long(typed))
                .then(|| AccountBy::NameOrEmail(fold(typed))),
            Self::Email => (!Email::is_too_long(typed)).then(|| AccountBy::Email(fold(typed))),
        }
    }
}

impl ForeignTokens {
    /// Returns whether other issuers' tokens are accepted at `now`.
    pub fn are_accepted(self, now: Timestamp) -> bool {
        match self {
            Self::Reject => false,
            Self::Until(end) => now < end,
            Self::Accept => true,
        }
    }
}

impl ClaimNames {
    /// The claims with a fixed meaning (RFC 7519 4.1, and quash's own).
    pub const FIXED: [&str; 8] = ["exp", "iat", "nbf", "aud", "iss", "sid", "rsq", "gen"];

    /// Returns whether quash uses this claim itself, so that no custom claim may have the name.
    pub fn reserves(&self, name: &str) -> bool {
        let named = [&self.token_type, &self.jti, &self.user_id, &self.refresh_exp]
            .into_iter()
            .chain(&self.password_mark);
        Self::FIXED.contains(&name) || named.into_iter().any(|reserved| reserved == name)
    }
}

impl Default for ClaimNames {
    fn default() -> Self {
        Self {
            token_type: "token_type".into(),
            jti: "jti".into(),
            user_id: "user_id".into(),
            refresh_exp: "refresh_exp".into(),
            password_mark: None,
            user_id_field: UserIdField::default(),
            user_id_type: UserIdType::default(),
        }
    }
}

impl Default for LockoutPolicy {
    fn default() -> Self {
        Self {
            failures: 5,
            first_lock: Duration::from_secs(60),
            longest_lock: Duration::from_secs(3600),
            network_failures: 50,
            network_window: Duration::from_secs(600),
        }
    }
}

impl Default for RotationPolicy {
    fn default() -> Self {
        Self { rotate: true, blacklist: true, grace: Duration::from_secs(30) }
    }
}

impl Default for SessionPolicy {
    fn default() -> Self {
        Self { absolute_lifetime: Some(Duration::from_secs(90 * 24 * 3600)), max_per_account: 1000 }
    }
}
