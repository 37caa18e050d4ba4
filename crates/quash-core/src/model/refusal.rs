//! Refusals: the reason for a no. Words and status codes are made at the door; here is only what happened.

use super::{NameFault, Reason};

/// Why a request is refused. Each has one status and one text, in `quash-server/src/error.rs`; what a guard may refuse a token
/// with, in `quash-verify/src/problem.rs`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// Not a token of ours, for a reason that the client isn't told.
    TokenInvalid(Invalid),
    /// Its `exp` has passed.
    TokenExpired,
    /// It has no `exp`.
    TokenWithoutExp,
    /// It has no `jti`.
    TokenWithoutId,
    /// It has no `token_type`.
    TokenWithoutType,
    /// A refresh token where an access token is wanted, or the reverse.
    TokenOfWrongType,
    /// It names no account.
    TokenWithoutUser,
    /// A sliding token without a moment until which it can be exchanged.
    TokenWithoutRefreshExp,
    /// A sliding token that can't be exchanged any more.
    TokenRefreshExpired,
    /// Its signature is good, but it has been revoked or its session has ended; why, where that is known.
    TokenRevoked(Option<Reason>),
    /// Unknown name, wrong or unusable password, inactive or locked account: the client can't tell which.
    BadCredentials,
    /// The password is right, but nobody has confirmed the address.
    EmailNotVerified,
    /// The token is good, but its account may not be used.
    NoActiveAccount,
    /// The token is good, but there is no such account.
    AccountNotFound,
    /// The token is good, but its account has been deactivated.
    AccountInactive,
    /// The token was minted for another password.
    PasswordChanged,
    /// Two tokens that must belong to one account don't.
    TokensOfTwoAccounts,
    /// The password is right, but good for nothing but being changed.
    PasswordChangeRequired,
    /// The account has no such session, or it is somebody else's.
    SessionNotFound,
    /// The token belongs to no session that could go on.
    SessionRequired,
    /// A new name can't be one.
    NameRefused(NameFault),
    /// Another account has the name.
    NameTaken,
    /// A setting lets no user change this.
    ChangeNotAllowed,
    /// A new password isn't taken.
    PasswordRefused(PasswordFault),
    /// The password that was asked for again is wrong.
    WrongPassword,
    /// A link or a code that isn't ours, is for something else, was used, or is too old.
    LinkInvalid,
    /// Another account has taken the name or the address of a registration before it was confirmed.
    RegistrationTaken,
}

/// Why a new password isn't taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PasswordFault {
    /// It is too short.
    #[error("has fewer than {} characters", super::limits::PASSWORD_MIN_CHARS)]
    TooShort,
    /// It is too long.
    #[error("has more than {} characters", super::limits::PASSWORD_CHARS)]
    TooLong,
    /// It is a common one, or guessed as quickly.
    #[error(
        "is among those that are guessed first: take several words that don't belong together, or a longer one"
    )]
    Common,
    /// It is little more than a name of the account.
    #[error("is little more than the account's own name or address: take one that nobody links with it")]
    OwnName,
}

/// What exactly is wrong with a token. For the log and the command line, never for the client.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Invalid {
    /// Longer than any token may be.
    #[error("longer than {} bytes", super::limits::TOKEN_BYTES)]
    TooLong,
    /// Not three parts of canonical base64url with JSON objects in the first two.
    #[error("not a well-formed compact JWS")]
    Malformed,
    /// The header asks for something that isn't understood.
    #[error("a header parameter that must not be there")]
    Header,
    /// The header's type is of another kind of token.
    #[error("a header type other than JWT")]
    HeaderType,
    /// The header's algorithm isn't its key's.
    #[error("an algorithm other than its key's")]
    Algorithm,
    /// No key id, or one that isn't in the key ring.
    #[error("no key of this key id")]
    Key,
    /// The signature isn't this key's over this text.
    #[error("a signature that does not verify")]
    Signature,
    /// A claim of the wrong type or out of range, or one of ours that is missing.
    #[error("a claim of the wrong type, out of range or missing")]
    Claim,
    /// Not valid yet.
    #[error("not valid yet")]
    NotYet,
    /// Another audience, or none.
    #[error("another audience")]
    Audience,
    /// Another issuer, or none.
    #[error("another issuer")]
    Issuer,
    /// It would hold longer than any token that was ever issued.
    #[error("a lifetime longer than any configured")]
    Lifetime,
    /// Its session isn't in the store.
    #[error("an unknown session")]
    UnknownSession,
    /// A refresh token whose id isn't the one that its session and generation give.
    #[error("an id that its session does not give")]
    WrongId,
    /// A refresh token minted before its session survived the end of the others.
    #[error("minted before its session survived the end of the others")]
    Superseded,
    /// A token of another issuer, where these aren't taken.
    #[error("a token of another issuer, and these are not taken")]
    Foreign,
    /// It was minted after a moment that hasn't come.
    #[error("minted after a head that does not exist")]
    FromTheFuture,
}

impl From<Invalid> for Refusal {
    fn from(invalid: Invalid) -> Self {
        Self::TokenInvalid(invalid)
    }
}
