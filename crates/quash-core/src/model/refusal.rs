//! Refusals: the reasons for which a request is refused. The HTTP layer turns them into texts and status
//! codes.

use super::{NameFault, Reason};

/// The reason for which a request is refused. Each has one status and one text for clients, in
/// `quash-server/src/error/presentation.rs`; the text here is for operators. The reasons for which a guard refuses a
/// token are in `quash-verify/src/http/problem.rs`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refusal {
    /// The token is invalid, for a reason that isn't disclosed to the client.
    #[error("{0}")]
    TokenInvalid(Invalid),
    /// The token's `exp` has passed.
    #[error("expired")]
    TokenExpired,
    /// The token has no `exp`.
    #[error("without an exp claim")]
    TokenWithoutExp,
    /// The token has no `jti`.
    #[error("without an id")]
    TokenWithoutId,
    /// The token has no `token_type`.
    #[error("without a type")]
    TokenWithoutType,
    /// A refresh token where an access token is required, or the reverse.
    #[error("of another type")]
    TokenOfWrongType,
    /// The token names no account.
    #[error("without an account")]
    TokenWithoutUser,
    /// A sliding token without the claim that limits its exchange.
    #[error("without the time until which it can be exchanged")]
    TokenWithoutRefreshExp,
    /// A sliding token that can't be exchanged any more.
    #[error("past the time until which it can be exchanged")]
    TokenRefreshExpired,
    /// The token was revoked or its session ended; with the reason, if known. The signature is valid.
    #[error("revoked ({})", .0.map_or("no reason is recorded", Reason::as_str))]
    TokenRevoked(Option<Reason>),
    /// Unknown name, wrong or unusable password, inactive or locked account. The client can't tell which.
    #[error("wrong name or password")]
    BadCredentials,
    /// The password is right, but the address isn't confirmed.
    #[error("an unconfirmed address")]
    EmailNotVerified,
    /// The token is valid, but its account may not be used.
    #[error("no active account")]
    NoActiveAccount,
    /// The token is valid, but its account doesn't exist.
    #[error("of an account that doesn't exist")]
    AccountNotFound,
    /// The token is valid, but its account is deactivated.
    #[error("of an account that is deactivated")]
    AccountInactive,
    /// The token was minted for another password.
    #[error("from before a change of the password")]
    PasswordChanged,
    /// Two tokens that must belong to one account don't.
    #[error("tokens of two accounts")]
    TokensOfTwoAccounts,
    /// The password is right, but temporary: it can only be used to change it.
    #[error("a password that must be changed first")]
    PasswordChangeRequired,
    /// The account has no such session. The session of another account counts as none.
    #[error("no such session")]
    SessionNotFound,
    /// The token belongs to no session that could continue.
    #[error("without a session of this quash")]
    SessionRequired,
    /// The new name isn't allowed.
    #[error("a name that {0}")]
    NameRefused(NameFault),
    /// Another account has the name.
    #[error("a name that another account has")]
    NameTaken,
    /// A setting forbids users to change this.
    #[error("a change that users may not make")]
    ChangeNotAllowed,
    /// The new password isn't allowed.
    #[error("a new password that {0}")]
    PasswordRefused(PasswordFault),
    /// The password that was asked for again is wrong.
    #[error("a wrong password")]
    WrongPassword,
    /// The link or code is invalid: unknown, for another purpose, used, or expired.
    #[error("an invalid link or code")]
    LinkInvalid,
    /// Another account took the name or the address of the registration before it was confirmed.
    #[error("a registration whose name or address another account has taken")]
    RegistrationTaken,
}

/// The reason why a new password isn't allowed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PasswordFault {
    #[error("has fewer than {} characters", super::limits::PASSWORD_MIN_CHARS)]
    TooShort,
    #[error("has more than {} characters", super::limits::PASSWORD_CHARS)]
    TooLong,
    /// A common password, or one guessed as quickly.
    #[error("is easy to guess: use several unrelated words, or a longer password")]
    Common,
    /// Little more than a name of the account.
    #[error("is little more than the account's own name or address: use an unrelated one")]
    OwnName,
}

/// The exact fault of a token. For the log and the command line, never for the client.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Invalid {
    /// Longer than [`limits::TOKEN_BYTES`](super::limits::TOKEN_BYTES).
    #[error("longer than {} bytes", super::limits::TOKEN_BYTES)]
    TooLong,
    /// Not three parts of canonical base64url with JSON objects in the first two.
    #[error("not a well-formed compact JWS")]
    Malformed,
    /// The header has a parameter that must be understood, but isn't.
    #[error("a header parameter that is not allowed")]
    Header,
    /// The header's type is of another kind of token.
    #[error("a header type other than JWT")]
    HeaderType,
    /// The header's algorithm isn't the key's.
    #[error("an algorithm other than its key's")]
    Algorithm,
    /// There is no key id, or the key ring has none with that id.
    #[error("no key with this key id")]
    Key,
    /// The signature doesn't verify with the key.
    #[error("a signature that does not verify")]
    Signature,
    /// A claim has the wrong type or is out of range, or one that quash requires is missing.
    #[error("a claim of the wrong type, out of range or missing")]
    Claim,
    #[error("not valid yet")]
    NotYet,
    /// Another audience, or none.
    #[error("another audience")]
    Audience,
    /// Another issuer, or none.
    #[error("another issuer")]
    Issuer,
    /// A longer lifetime than that of any token ever issued.
    #[error("a lifetime longer than any configured")]
    Lifetime,
    /// The session isn't in the store.
    #[error("an unknown session")]
    UnknownSession,
    /// The id of a refresh or sliding token isn't the one derived from its session and generation.
    #[error("an id that does not match its session")]
    WrongId,
    /// A refresh token minted before its session survived the end of the account's other sessions.
    #[error("minted before its session survived the end of the others")]
    Superseded,
    /// A token of another issuer, while the settings reject those.
    #[error("a token of another issuer, and these are not accepted")]
    Foreign,
    /// Minted at a head that the log hasn't reached.
    #[error("minted at a head that the log has not reached")]
    FromTheFuture,
}

impl From<Invalid> for Refusal {
    fn from(invalid: Invalid) -> Self {
        Self::TokenInvalid(invalid)
    }
}
