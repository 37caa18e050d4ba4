//! The closed list of error codes: each with its status, its title and its page under `/docs/errors/`.
//! `error.rs` maps refusals to codes. The list includes the codes that the guard returns in applications,
//! because its problem documents link to these pages.

use http::StatusCode;
use quash_core::model::Refusal;
use quash_verify::{Barred, Denied, HeaderFault, Problem};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Code {
    /// The token isn't accepted.
    TokenNotValid,
    /// The request carries no token.
    NotAuthenticated,
    /// The Authorization header is malformed.
    BadAuthorizationHeader,
    /// No active account has this name and password.
    BadCredentials,
    /// The password is temporary and must be changed first.
    PasswordChangeRequired,
    /// The address must be confirmed first.
    EmailNotVerified,
    /// The token's account is deactivated or deleted.
    NoActiveAccount,
    /// The token's account doesn't exist.
    UserNotFound,
    /// The token's account has been deactivated.
    UserInactive,
    /// The password that confirms a change is wrong.
    WrongPassword,
    /// The token was issued for another password.
    PasswordChanged,
    /// The token has no session that could continue.
    SessionRequired,
    /// The two tokens belong to different accounts.
    TokensOfTwoAccounts,
    /// Another account has this name.
    NameTaken,
    /// The new password isn't accepted.
    PasswordRefused,
    /// The settings don't let users change this.
    ChangeNotAllowed,
    /// A refresh token is both in the body and in the cookie, or twice in the cookie.
    TwoTokens,
    /// The link or code from a mail isn't valid.
    LinkNotValid,
    /// Another account has taken the registration's name or address.
    RegistrationTaken,
    /// A page of another site sent the request.
    CrossSite,
    /// The body is unreadable, or a field in it is wrong.
    InvalidRequest,
    /// The body has an unsupported media type.
    UnsupportedMediaType,
    BodyTooLarge,
    BodyTimeout,
    /// Nothing exists at this path.
    NotFound,
    /// The path exists, but doesn't support this method.
    MethodNotAllowed,
    /// The client accepts no available media type.
    NotAcceptable,
    /// The Authorization header carries no valid service credential.
    CredentialNotValid,
    /// The credential lacks the required right.
    RightRequired,
    /// The feed can't continue from this cursor.
    SnapshotRequired,
    /// In an application: the token lacks a required claim.
    ClaimMissing,
    /// The request exceeds a limit on attempts or on concurrent requests.
    Throttled,
    /// Server error: the request can't be answered now.
    Unavailable,
    /// Server error: no signing key is available.
    NoSigningKey,
    /// Server error: a bug.
    InternalError,
}

/// Name, status, title and page.
type Row = (&'static str, StatusCode, &'static str, &'static str);

impl Code {
    pub const ALL: [Self; 35] = [
        Self::TokenNotValid,
        Self::NotAuthenticated,
        Self::BadAuthorizationHeader,
        Self::BadCredentials,
        Self::PasswordChangeRequired,
        Self::EmailNotVerified,
        Self::NoActiveAccount,
        Self::UserNotFound,
        Self::UserInactive,
        Self::WrongPassword,
        Self::PasswordChanged,
        Self::SessionRequired,
        Self::TokensOfTwoAccounts,
        Self::NameTaken,
        Self::PasswordRefused,
        Self::ChangeNotAllowed,
        Self::TwoTokens,
        Self::LinkNotValid,
        Self::RegistrationTaken,
        Self::CrossSite,
        Self::InvalidRequest,
        Self::UnsupportedMediaType,
        Self::BodyTooLarge,
        Self::BodyTimeout,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::NotAcceptable,
        Self::CredentialNotValid,
        Self::RightRequired,
        Self::SnapshotRequired,
        Self::ClaimMissing,
        Self::Throttled,
        Self::Unavailable,
        Self::NoSigningKey,
        Self::InternalError,
    ];

    /// The name in `code`, and in the address of its page.
    pub const fn as_str(self) -> &'static str {
        self.row().0
    }

    pub const fn status(self) -> StatusCode {
        self.row().1
    }

    /// The title, the same for every occurrence (RFC 9457 3.1.3).
    pub const fn title(self) -> &'static str {
        self.row().2
    }

    /// The text of the code's page: the cause, and the remedy.
    pub const fn page(self) -> &'static str {
        self.row().3
    }

    /// Returns whether bodies in Simple JWT's format carry the code. It has codes only for tokens; errors of
    /// its framework have none.
    pub(crate) const fn is_told_by_simple_jwt(self) -> bool {
        match self {
            Self::NotAuthenticated
            | Self::BadCredentials
            | Self::NoActiveAccount
            | Self::InvalidRequest
            | Self::UnsupportedMediaType
            | Self::MethodNotAllowed
            | Self::NotAcceptable
            | Self::NotFound
            | Self::Throttled => false,
            Self::TokenNotValid
            | Self::UserNotFound
            | Self::UserInactive
            | Self::PasswordChanged
            | Self::BadAuthorizationHeader
            | Self::EmailNotVerified
            | Self::TokensOfTwoAccounts
            | Self::PasswordRefused
            | Self::LinkNotValid
            | Self::RegistrationTaken
            | Self::BodyTooLarge
            | Self::BodyTimeout
            | Self::Unavailable
            | Self::NoSigningKey
            | Self::PasswordChangeRequired
            | Self::WrongPassword
            | Self::SessionRequired
            | Self::NameTaken
            | Self::ChangeNotAllowed
            | Self::TwoTokens
            | Self::CrossSite
            | Self::CredentialNotValid
            | Self::RightRequired
            | Self::SnapshotRequired
            | Self::ClaimMissing
            | Self::InternalError => true,
        }
    }

    #[rustfmt::skip]
    const fn row(self) -> Row {
        match self {
            Self::TokenNotValid => of_the_guard(Problem::of(Barred::Token(Denied::Refused(Refusal::TokenExpired))),
                "The token is not one of ours, has expired, is of the wrong type, or has been revoked. Get a new access token with the refresh token; if that is refused too, sign in again."),
            Self::NotAuthenticated => of_the_guard(Problem::of(Barred::Header(HeaderFault::Missing)),
                "The request brings no access token. Send it in the header `Authorization: Bearer <token>`; tokens in the address or in the body are not looked at."),
            Self::BadAuthorizationHeader => of_the_guard(Problem::of(Barred::Header(HeaderFault::Malformed)),
                "The Authorization header must hold the scheme and the token, separated by a blank, and must be sent once."),
            Self::BadCredentials => ("bad_credentials", StatusCode::UNAUTHORIZED, "Bad credentials",
                "No active account has this name and password. Which of the two is wrong, or whether the account is inactive, is not told."),
            Self::PasswordChangeRequired => ("password_change_required", StatusCode::UNAUTHORIZED, "Password must be changed",
                "Name and password are right, but the password is one that was given out to be changed. Send it with a new one to `/v1/password`, and sign in with that."),
            Self::EmailNotVerified => ("email_not_verified", StatusCode::UNAUTHORIZED, "E-mail address not verified",
                "Name and password are right, but the account's e-mail address must be confirmed first."),
            Self::NoActiveAccount => ("no_active_account", StatusCode::UNAUTHORIZED, "No active account",
                "The token is good, but its account has been deactivated or deleted."),
            Self::UserNotFound => ("user_not_found", StatusCode::UNAUTHORIZED, "User not found",
                "The token is good, but there is no account of its user."),
            Self::UserInactive => ("user_inactive", StatusCode::UNAUTHORIZED, "User inactive",
                "The token is good, but its account has been deactivated."),
            Self::WrongPassword => ("wrong_password", StatusCode::FORBIDDEN, "Wrong password",
                "The access token is good, but what was asked for also needs the account's password, and that is wrong, or cannot be used now. Nothing was changed."),
            Self::PasswordChanged => ("password_changed", StatusCode::UNAUTHORIZED, "Password changed",
                "The token was issued for another password than the account has now. Sign in again."),
            Self::SessionRequired => ("session_required", StatusCode::FORBIDDEN, "Session required",
                "The token is another issuer's and has no session here that could go on while the others end. Exchange it, or sign in."),
            Self::TokensOfTwoAccounts => ("tokens_of_two_accounts", StatusCode::BAD_REQUEST, "Tokens of two accounts",
                "The access token in the header and the refresh token in the body belong to two accounts. Nothing was ended; send two tokens of one account."),
            Self::NameTaken => ("name_taken", StatusCode::CONFLICT, "Name taken",
                "Another account has this name, or one that looks like it. Choose another."),
            Self::PasswordRefused => ("password_refused", StatusCode::BAD_REQUEST, "Password refused",
                "The new password is not taken; the answer says why. Nothing was changed: choose another."),
            Self::ChangeNotAllowed => ("change_not_allowed", StatusCode::FORBIDDEN, "Change not allowed",
                "Users cannot change this themselves here. Ask whoever runs the service."),
            Self::TwoTokens => ("two_tokens", StatusCode::BAD_REQUEST, "Two refresh tokens",
                "There is a refresh token in the cookie and another in the body, or the cookie came twice. Which one is meant is not guessed; send one."),
            Self::LinkNotValid => ("link_not_valid", StatusCode::BAD_REQUEST, "Link or code not valid",
                "The link or the code from the mail is not one of ours, is for something else, has been used, is too old, or a newer one was asked for. A code is good for 10 minutes and 5 tries, with the flow of the request that asked for it; a link for 60 minutes, or as long as `registration.link_lifetime` says where it completes a registration. Ask for another mail."),
            Self::RegistrationTaken => ("registration_taken", StatusCode::CONFLICT, "Registration taken",
                "The link or the code is good, but another account has taken the name or the address since the registration. A registration reserves neither. Register again with another name; if the address has an account, sign in with that."),
            Self::CrossSite => ("cross_site", StatusCode::FORBIDDEN, "Request from another site",
                "A page of another site has made the browser send the request. Pages of origins that `http.cors_origins` names may; so may whatever is no browser."),
            Self::InvalidRequest => ("invalid_request", StatusCode::BAD_REQUEST, "Invalid request",
                "The body could not be read, or a field in it is missing or wrong. The answer names the field and the fault."),
            Self::UnsupportedMediaType => ("unsupported_media_type", StatusCode::UNSUPPORTED_MEDIA_TYPE, "Unsupported media type",
                "Send the body as application/json, application/x-www-form-urlencoded or multipart/form-data, and say so in Content-Type."),
            Self::BodyTooLarge => ("body_too_large", StatusCode::PAYLOAD_TOO_LARGE, "Body too large",
                "The body is larger than 32 KiB."),
            Self::BodyTimeout => ("body_timeout", StatusCode::REQUEST_TIMEOUT, "Body did not arrive",
                "The body did not arrive within 20 seconds."),
            Self::NotFound => ("not_found", StatusCode::NOT_FOUND, "Not found",
                "There is nothing at this path."),
            Self::MethodNotAllowed => ("method_not_allowed", StatusCode::METHOD_NOT_ALLOWED, "Method not allowed",
                "The path exists, but not for this method; the header Allow names those it exists for."),
            Self::NotAcceptable => ("not_acceptable", StatusCode::NOT_ACCEPTABLE, "Not acceptable",
                "The header Accept allows no JSON, and there is nothing else. Leave it out, or send `Accept: application/json`."),
            Self::CredentialNotValid => ("credential_not_valid", StatusCode::UNAUTHORIZED, "Credential not valid",
                "This path is for services, and what the Authorization header brings is no credential of one. Whoever runs the service makes one with `quash verifier add`."),
            Self::RightRequired => ("right_required", StatusCode::FORBIDDEN, "Right required",
                "The credential is good, but may not do this. Whoever runs the service makes another with `quash verifier add`."),
            Self::SnapshotRequired => ("snapshot_required", StatusCode::CONFLICT, "Snapshot required",
                "The feed does not go on from the place that was given: it is of another epoch, beyond the log's end, or no longer remembered. Take a snapshot, and follow from its cursor."),
            Self::ClaimMissing => of_the_guard(Problem::CLAIM_MISSING,
                "The token is good, but does not say what this route of the application asks for: a role, say, or a claim of another form. Another token of the same account will not do either. Whoever runs the service gives the account the claim with `quash account set --claims-stdin`; the next refresh brings it."),
            Self::Throttled => ("throttled", StatusCode::TOO_MANY_REQUESTS, "Throttled",
                "Too many failed sign-ins from one network, or too many passwords at once from one network or for one name. Wait as long as Retry-After says."),
            Self::Unavailable => of_the_guard(Problem::of(Barred::Token(Denied::Stale)),
                "The request may be good, but cannot be answered now: the store is full or away, or too many passwords are waiting. Whether it was done is seen by trying again after Retry-After: doing it twice does no harm."),
            Self::NoSigningKey => ("no_signing_key", StatusCode::SERVICE_UNAVAILABLE, "No signing key",
                "The key that the settings name was removed in an emergency, and nothing signs until they name another. Nothing was done: no token was spent, and no session has ended. Try again after Retry-After."),
            Self::InternalError => of_the_guard(Problem::INTERNAL_ERROR,
                "A fault in the program. The header X-Request-Id names the request in the log; an application that is guarded by quash tells in its own."),
        }
    }
}

/// A code that the guard also returns in applications.
const fn of_the_guard(problem: Problem, page: &'static str) -> Row {
    (problem.code, problem.status, problem.title, page)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_names_of_their_own() {
        let mut names: Vec<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Code::ALL.len());
    }
}
