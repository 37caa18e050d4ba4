//! What an operator may choose, as the law sees it. Reading it from files and the environment is the binary's
//! business (`settings/`); here a policy is already valid.

use std::time::Duration;

use super::{AccountBy, Email, Name, Timestamp, fold};
use crate::token::TokenType;

/// Limits that nobody can change. Each is tested one past the edge.
pub mod limits {
    use std::time::Duration;

    /// The longest token, in bytes.
    pub const TOKEN_BYTES: usize = 8192;
    /// How many keys a set of another issuer's may have.
    pub const JWK_SET_KEYS: usize = 100;
    /// The deepest nesting of JSON, in tokens and in request bodies; the outermost value is at depth 1.
    pub const JSON_DEPTH: usize = 16;
    /// The longest password, in characters.
    pub const PASSWORD_CHARS: usize = 1024;
    /// The shortest password, in characters.
    pub const PASSWORD_MIN_CHARS: usize = 8;
    /// The longest user name, in characters.
    pub const NAME_CHARS: usize = 150;
    /// The longest e-mail address, in bytes (RFC 5321 4.5.3.1.3, less the angle brackets).
    pub const EMAIL_BYTES: usize = 254;
    /// What stands before the `@` of an address that somebody gives as their own, in bytes (RFC 5321 4.5.3.1.1).
    pub const LOCAL_PART_BYTES: usize = 64;
    /// The custom claims of a session, in bytes of JSON: with everything else they must fit into a token.
    pub const CLAIMS_BYTES: usize = 4096;
    /// How much of a user agent is kept, in bytes.
    pub const DEVICE_BYTES: usize = 256;
    /// How many devices an account is known on.
    pub const DEVICES: usize = 20;
    /// How many failures all known devices of one account may have within [`DEVICE_WINDOW`].
    pub const DEVICE_FAILURES: u32 = 50;
    /// How long a failure of a known device counts.
    pub const DEVICE_WINDOW: Duration = Duration::from_secs(3600);
    /// The longest page of a list.
    pub const PAGE: u32 = 200;
    /// The longest reason an operator may write, in characters.
    pub const NOTE_CHARS: usize = 256;
    /// The widest difference between clocks that a setting may allow.
    pub const LEEWAY: Duration = Duration::from_secs(300);
    /// How long a use case may take from its first read to its signature before it starts anew.
    pub const SIGN_WITHIN: Duration = Duration::from_secs(30);
    /// How many keys may be published before none is made but for one that is struck.
    pub const KEYS: usize = 50;
    /// How long a key is published at least before it signs by itself.
    pub const KEY_PUBLISHED: Duration = Duration::from_secs(600);
    /// How often a use case loads and decides again after a conflict.
    pub const CONFLICTS: u32 = 3;
    /// How long the log remembers an entry beyond the longest token that it could cover.
    pub const REMEMBER_BEYOND: Duration = Duration::from_secs(600);
    /// How long a session's row is kept after its last refresh token has expired.
    pub const SESSION_KEPT: Duration = Duration::from_secs(3600);
    /// How long a link in a mail is good.
    pub const LINK_LIFETIME: Duration = Duration::from_secs(3600);
    /// How long a code in a mail is good.
    pub const CODE_LIFETIME: Duration = Duration::from_secs(600);
    /// How many codes may be tried for one flow.
    pub const CODE_TRIES: u32 = 5;
    /// How many mails somebody can be made to get within [`MAIL_COUNTED`].
    pub const MAILS: u32 = 5;
    /// How many requests for a mail one network may send within [`MAIL_COUNTED`], whether a mail is sent or not.
    pub const MAILS_PER_NETWORK: u32 = 50;
    /// How many such requests all peers together may send whose network is unknown.
    pub const MAILS_WITHOUT_NETWORK: u32 = 1000;
    /// How long a mail counts.
    pub const MAIL_COUNTED: Duration = Duration::from_secs(3600);
    /// How often at most the owner of an account is told that it is locked.
    pub const TOLD_OF_LOCKS: Duration = Duration::from_secs(24 * 3600);
    /// How long a password for once is good.
    pub const ONE_TIME_PASSWORD: Duration = Duration::from_secs(24 * 3600);
    /// How long a mail without a link is kept while it can't be sent.
    pub const NOTICE_KEPT: Duration = Duration::from_secs(24 * 3600);
    /// How many entries of the log and of the audit the user of one account may cause at once.
    pub const OWN_ENTRIES: u32 = 600;
    /// How often one more may be caused after these.
    pub const OWN_ENTRY_EVERY: Duration = Duration::from_secs(1);
    /// How many verifiers may hold a lease at a time.
    pub const VERIFIERS: usize = 10_000;
    /// How many of them may use one credential, so that no credential takes all leases.
    pub const VERIFIERS_PER_CREDENTIAL: usize = 1_000;
    /// How many snapshots are sent at a time.
    pub const SNAPSHOTS: usize = 64;
    /// How many of them with one credential.
    pub const SNAPSHOTS_PER_CREDENTIAL: usize = 16;
    /// How often a mail may have been sent without anybody knowing.
    pub const MAIL_DOUBTS: u32 = 2;
    /// How long after a mail with a link signing in sends no other one.
    pub const REMIND_AFTER: Duration = Duration::from_secs(60);
}

/// Everything the law lets an operator choose.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Policy {
    /// What tokens say and how long they hold.
    pub tokens: TokenPolicy,
    /// What happens to a refresh token when it is used.
    pub rotation: RotationPolicy,
    /// How long sessions live and how many there may be.
    pub sessions: SessionPolicy,
    /// What is asked of accounts.
    pub accounts: AccountPolicy,
    /// How long the audit is kept.
    pub audit: AuditPolicy,
    /// How often a password may be guessed.
    pub lockout: LockoutPolicy,
    /// How registrations are confirmed.
    pub registration: RegistrationPolicy,
    /// How verifiers follow the log.
    pub feed: FollowPolicy,
}

/// How registrations are confirmed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RegistrationPolicy {
    /// How long the link is good that completes a registration. The registration expires with it.
    pub link_lifetime: Duration,
}

impl Default for RegistrationPolicy {
    fn default() -> Self {
        Self { link_lifetime: limits::LINK_LIFETIME }
    }
}

/// How verifiers follow the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FollowPolicy {
    /// How long a lease holds: what has ended is refused everywhere after that at the latest.
    pub term: Duration,
}

impl Default for FollowPolicy {
    fn default() -> Self {
        Self { term: Duration::from_secs(10) }
    }
}

/// How long the audit is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AuditPolicy {
    /// From an event to the moment from which its entry may be forgotten.
    pub keep: Duration,
}

impl Default for AuditPolicy {
    fn default() -> Self {
        Self { keep: Duration::from_secs(400 * 24 * 3600) }
    }
}

/// What tokens say and how long they hold. Names follow Simple JWT's settings.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TokenPolicy {
    /// From an access token's minting to its `exp`.
    pub access_lifetime: Duration,
    /// From a refresh token's minting to its `exp`: the session's idle limit.
    pub refresh_lifetime: Duration,
    /// From a sliding token's minting to its `exp`.
    pub sliding_lifetime: Duration,
    /// From a sign-in to the moment from which its sliding token can't be exchanged any more.
    pub sliding_refresh_lifetime: Duration,
    /// Written as `iss`, and required, when set.
    pub issuer: Option<String>,
    /// Written as `aud` when not empty; one match is required.
    pub audience: Vec<String>,
    /// Allowed difference between clocks.
    pub leeway: Duration,
    /// The longest lifetime that was ever configured for this store: no token of ours holds longer.
    pub longest_lifetime_ever: Duration,
    /// The names of the claims that Simple JWT lets a site rename.
    pub names: ClaimNames,
    /// The types of token that open guarded paths, in the order in which they are tried; never none.
    pub accepted: Vec<TokenType>,
    /// What is done with tokens of other issuers.
    pub foreign: ForeignTokens,
}

/// What of an account stands in the claim that says whose a token is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum UserIdField {
    /// Its subject, which never changes.
    #[default]
    Subject,
    /// Its name, as typed. Changing it ends all sessions.
    Username,
    /// Its address, as typed. Changing it ends all sessions.
    Email,
}

/// How the claim that says whose a token is is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum UserIdType {
    /// As a text.
    #[default]
    Text,
    /// As a whole number where it is one, for consumers older than Simple JWT 5.5.
    Integer,
}

/// What is done with tokens of other issuers, signed by a key that the settings list.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ForeignTokens {
    /// They are refused.
    #[default]
    Reject,
    /// They are taken before this moment.
    Until(Timestamp),
    /// They are taken.
    Accept,
}

/// What is asked of accounts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct AccountPolicy {
    /// What the tokens of a deactivated account are good for.
    pub inactive: InactiveAccounts,
    /// Whether it is kept when an account has last signed in.
    pub last_login: LastLogin,
    /// What ends when an account is locked.
    pub lock_ends: LockEnds,
    /// What ends when what an account's tokens say changes.
    pub claims_change: ClaimsChange,
    /// What accounts sign in with.
    pub login_fields: LoginFields,
    /// Whether users give their account another name.
    pub names: NameChanges,
    /// Whether new names may be whole numbers.
    pub numeric_names: NumericNames,
    /// Which local parts their addresses may have.
    pub local_parts: LocalParts,
    /// The subjects of new accounts.
    pub subjects: Subjects,
}

/// Whether new names may be whole numbers, as subjects may be.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum NumericNames {
    /// They may not.
    #[default]
    Refused,
    /// They may: telephone numbers, or numbers of students.
    Allowed,
}

/// What may stand before the `@` of an account's address.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum LocalParts {
    /// ASCII.
    #[default]
    Ascii,
    /// Any script: the SMTP server offers SMTPUTF8.
    Utf8,
}

/// The subjects of new accounts that name none themselves.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Subjects {
    /// A UUIDv7.
    #[default]
    Uuid,
    /// The next positive integer that no account has or had.
    Integer,
}

/// What accounts sign in with, besides their password.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum LoginFields {
    /// Their name.
    #[default]
    Name,
    /// Their name or their address.
    NameOrEmail,
    /// Their address.
    Email,
}

/// Whether users give their account another name.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum NameChanges {
    /// They do.
    #[default]
    Allowed,
    /// Only an operator does.
    Refused,
}

/// How often a password may be guessed, and what follows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LockoutPolicy {
    /// Failed attempts on one account that lock it; never none.
    pub failures: u32,
    /// How long the first lock holds. Each further one since the last good sign-in holds twice as long.
    pub first_lock: Duration,
    /// The longest that a lock holds, and how long failures are remembered that lead to none.
    pub longest_lock: Duration,
    /// Failed attempts of one network within a window, whatever accounts they were on; never none.
    pub network_failures: u32,
    /// How long that window is.
    pub network_window: Duration,
}

/// What ends when an account is locked after failed sign-ins.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum LockEnds {
    /// All its sessions.
    All,
    /// Its sessions whose client has presented no device token, at the sign-in or at a refresh.
    #[default]
    Unbound,
    /// Nothing.
    None,
}

/// What ends when what an account's tokens say changes. Its sessions go on in any case.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ClaimsChange {
    /// Its access tokens: the next refresh brings new ones.
    #[default]
    Renew,
    /// Nothing: they hold until they expire.
    Wait,
}

/// What the tokens of a deactivated account are good for. Its sessions have ended in any case, and signing in is
/// refused: this is about tokens of other issuers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum InactiveAccounts {
    /// Nothing.
    #[default]
    Refused,
    /// As much as others'.
    Allowed,
}

/// Whether it is kept when an account has last signed in.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum LastLogin {
    /// It isn't.
    #[default]
    Ignored,
    /// It is.
    Recorded,
}

/// The names of the claims that Simple JWT lets a site rename, and what stands in the one that says whose a token is.
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
    /// The claim with a hash over the password's hash, where Django nodes ask for it: `hash_password` by default.
    pub password_mark: Option<String>,
    /// What of an account stands in the claim `user_id`.
    pub user_id_field: UserIdField,
    /// How that is written.
    pub user_id_type: UserIdType,
}

/// What happens to a refresh token when it is used.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RotationPolicy {
    /// A refresh also returns a new refresh token.
    pub rotate: bool,
    /// A spent refresh token counts as reused.
    pub blacklist: bool,
    /// How long after a rotation its parent still gets the same successor. Zero: never.
    pub grace: Duration,
}

/// How long sessions live and how many there may be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SessionPolicy {
    /// The end of a session however often it is refreshed; `None`: endless.
    pub absolute_lifetime: Option<Duration>,
    /// Live sessions an account may have; one more ends the one idle longest.
    pub max_per_account: u32,
}

impl UserIdField {
    /// Its name, in the store and in the feed.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Subject => "id",
            Self::Username => "username",
            Self::Email => "email",
        }
    }

    /// The field of a name.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Subject, Self::Username, Self::Email].into_iter().find(|field| field.as_str() == text)
    }
}

impl TokenPolicy {
    /// The longest that any token of ours can hold.
    pub fn longest_lifetime(&self) -> Duration {
        self.access_lifetime.max(self.refresh_lifetime).max(self.sliding_lifetime)
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
            longest_lifetime_ever: Duration::from_secs(24 * 3600),
            names: ClaimNames::default(),
            accepted: vec![TokenType::Access],
            foreign: ForeignTokens::default(),
        }
    }
}

impl LoginFields {
    /// The account that a client means who signs in with this; `None` for a text longer than any name or address.
    pub fn called(self, typed: &str) -> Option<AccountBy> {
        match self {
            Self::Name => (!Name::is_too_long(typed)).then(|| AccountBy::Name(fold(typed))),
            Self::NameOrEmail => (!Name::is_too_long(typed) || !Email::is_too_long(typed))
                .then(|| AccountBy::NameOrEmail(fold(typed))),
            Self::Email => (!Email::is_too_long(typed)).then(|| AccountBy::Email(fold(typed))),
        }
    }
}

impl ForeignTokens {
    /// Whether they are taken at `now`.
    pub fn are_taken(self, now: Timestamp) -> bool {
        match self {
            Self::Reject => false,
            Self::Until(end) => now < end,
            Self::Accept => true,
        }
    }
}

impl ClaimNames {
    /// Claims whose meaning is fixed (RFC 7519 4.1, and our own).
    pub const FIXED: [&str; 8] = ["exp", "iat", "nbf", "aud", "iss", "sid", "rsq", "gen"];

    /// Whether a claim of this name says something of our own, so that none of another meaning may have it.
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
