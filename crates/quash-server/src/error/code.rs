//! The closed list of error codes: each with its status, its title and its page under `/docs/errors/`.
//! `presentation.rs` maps refusals to codes. The list includes the codes that the guard returns in applications,
//! because its problem documents link to these pages.

use http::StatusCode;
use quash_core::model::Refusal;
use quash_verify::{HeaderFault, Problem, Rejection, VerifyError};

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
    /// The mark may be of another password than the account's.
    PasswordMarkDiffers,
    /// The state of an account, a session or a key doesn't allow the request.
    Conflict,
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
    /// Another client has this name.
    ClientTaken,
    /// The keys don't allow this change now.
    KeyNotChanged,
    /// What should be changed isn't the version that `If-Match` names.
    VersionDiffers,
    /// The feed can't continue from this cursor.
    SnapshotRequired,
    /// The feed isn't available in the requested version.
    FeedVersion,
    /// In an application: the token lacks a required claim.
    ClaimMissing,
    /// The request exceeds a limit on attempts or on concurrent requests.
    Throttled,
    /// Server error: the request can't be answered now.
    Unavailable,
    /// Server error: no signing key is available.
    NoSigningKey,
    /// Server error: another node has changed the settings that define tokens.
    SettingsChanged,
    /// Server error: a bug.
    InternalError,
}

/// Name, status, title and page.
type Row = (&'static str, StatusCode, &'static str, &'static str);

impl Code {
    pub const ALL: [Self; 42] = [
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
        Self::PasswordMarkDiffers,
        Self::Conflict,
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
        Self::ClientTaken,
        Self::KeyNotChanged,
        Self::VersionDiffers,
        Self::SnapshotRequired,
        Self::FeedVersion,
        Self::ClaimMissing,
        Self::Throttled,
        Self::Unavailable,
        Self::NoSigningKey,
        Self::SettingsChanged,
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
    pub(crate) const fn is_in_simple_jwt_bodies(self) -> bool {
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
            | Self::PasswordMarkDiffers
            | Self::Conflict
            | Self::LinkNotValid
            | Self::RegistrationTaken
            | Self::BodyTooLarge
            | Self::BodyTimeout
            | Self::Unavailable
            | Self::NoSigningKey
            | Self::SettingsChanged
            | Self::PasswordChangeRequired
            | Self::WrongPassword
            | Self::SessionRequired
            | Self::NameTaken
            | Self::ChangeNotAllowed
            | Self::TwoTokens
            | Self::CrossSite
            | Self::CredentialNotValid
            | Self::RightRequired
            | Self::ClientTaken
            | Self::KeyNotChanged
            | Self::VersionDiffers
            | Self::SnapshotRequired
            | Self::FeedVersion
            | Self::ClaimMissing
            | Self::InternalError => true,
        }
    }

    #[rustfmt::skip]
    const fn row(self) -> Row {
        match self {
            Self::TokenNotValid => guard_row(Problem::of(Rejection::Token(VerifyError::Refused(Refusal::TokenExpired))),
                "The token is malformed or not signed with an accepted key, has expired, is of the wrong type, or has been revoked. Get a new access token with the refresh token; if that is refused too, sign in again."),
            Self::NotAuthenticated => guard_row(Problem::of(Rejection::Header(HeaderFault::Missing)),
                "The request carries no access token. Send it in the header `Authorization: Bearer <token>`; tokens in the address or in the body are ignored."),
            Self::BadAuthorizationHeader => guard_row(Problem::of(Rejection::Header(HeaderFault::Malformed)),
                "The Authorization header must contain the scheme and the token, separated by a space, and must be sent once."),
            Self::BadCredentials => ("bad_credentials", StatusCode::UNAUTHORIZED, "Bad credentials",
                "No active account has this name and password. The response does not reveal which of the two is wrong, or whether the account is inactive."),
            Self::PasswordChangeRequired => ("password_change_required", StatusCode::UNAUTHORIZED, "Password must be changed",
                "Name and password are right, but the password is temporary. Send it with a new one to `/v1/password`, then sign in with the new one."),
            Self::EmailNotVerified => ("email_not_verified", StatusCode::UNAUTHORIZED, "E-mail address not verified",
                "Name and password are right, but the account's e-mail address must be confirmed first."),
            Self::NoActiveAccount => ("no_active_account", StatusCode::UNAUTHORIZED, "No active account",
                "The token is valid, but its account has been deactivated or deleted."),
            Self::UserNotFound => ("user_not_found", StatusCode::UNAUTHORIZED, "User not found",
                "The token is valid, but its account does not exist."),
            Self::UserInactive => ("user_inactive", StatusCode::UNAUTHORIZED, "User inactive",
                "The token is valid, but its account has been deactivated."),
            Self::WrongPassword => ("wrong_password", StatusCode::FORBIDDEN, "Wrong password",
                "The access token is valid, but the request also needs the account's password, which is wrong or cannot be used now. Nothing was changed."),
            Self::PasswordChanged => ("password_changed", StatusCode::UNAUTHORIZED, "Password changed",
                "The account's password has changed since the token was issued. Sign in again."),
            Self::SessionRequired => ("session_required", StatusCode::FORBIDDEN, "Session required",
                "The token is from another issuer and has no session here that could continue while the others end. Exchange it, or sign in."),
            Self::TokensOfTwoAccounts => ("tokens_of_two_accounts", StatusCode::BAD_REQUEST, "Tokens of two accounts",
                "The access token in the header and the refresh token in the body belong to different accounts. No session was ended; send two tokens of one account."),
            Self::NameTaken => ("name_taken", StatusCode::CONFLICT, "Name taken",
                "Another account has this name, or one that looks like it. Choose another."),
            Self::PasswordRefused => ("password_refused", StatusCode::BAD_REQUEST, "Password refused",
                "The new password is not accepted; the response says why. Nothing was changed: choose another."),
            Self::PasswordMarkDiffers => ("password_mark_differs", StatusCode::CONFLICT, "Password mark differs",
                "Another system has sent the mark of a new hash of an account's password. That may be another password: `password_mark_before` is not the mark of the system's last known hash, or the server cannot compare a password with that hash. Nothing was changed: send the new hash itself as `password_hash`. It ends the sessions, as a change of the password does."),
            Self::Conflict => ("conflict", StatusCode::CONFLICT, "Conflict",
                "The account, session or key is not in a state in which this can be done, or another account has the value; the response says which. Nothing was changed: read it again."),
            Self::ChangeNotAllowed => ("change_not_allowed", StatusCode::FORBIDDEN, "Change not allowed",
                "The settings do not let users change this. Ask the operator of the service."),
            Self::TwoTokens => ("two_tokens", StatusCode::BAD_REQUEST, "Two refresh tokens",
                "There is a refresh token in the cookie and another in the body, or the cookie was sent twice. Send only one."),
            Self::LinkNotValid => ("link_not_valid", StatusCode::BAD_REQUEST, "Link or code not valid",
                "The link or the code from the mail is unknown, is for another purpose, has been used, has expired, or was replaced by a newer one. A code is valid for 10 minutes and 5 attempts, with the flow of the request that asked for it; a link for 60 minutes, or as long as `registration.link_lifetime` says if it completes a registration. Request another mail."),
            Self::RegistrationTaken => ("registration_taken", StatusCode::CONFLICT, "Registration taken",
                "The link or the code is valid, but another account has taken the name or the address since the registration. A registration reserves neither. Register again with another name; if the address has an account, sign in with that."),
            Self::CrossSite => ("cross_site", StatusCode::FORBIDDEN, "Request from another site",
                "A page of another site made the browser send the request. Only pages of the origins in `http.cors_origins`, and clients other than browsers, may send it."),
            Self::InvalidRequest => ("invalid_request", StatusCode::BAD_REQUEST, "Invalid request",
                "The body could not be read, or a field in it is missing or wrong. The response names the field and the error."),
            Self::UnsupportedMediaType => ("unsupported_media_type", StatusCode::UNSUPPORTED_MEDIA_TYPE, "Unsupported media type",
                "Send the body as application/json, application/x-www-form-urlencoded or multipart/form-data, and say so in Content-Type."),
            Self::BodyTooLarge => ("body_too_large", StatusCode::PAYLOAD_TOO_LARGE, "Body too large",
                "The body is larger than 32 KiB; at `/v1/revocations` and `/admin/v1/accounts/batch`, than 512 KiB. Split the request."),
            Self::BodyTimeout => ("body_timeout", StatusCode::REQUEST_TIMEOUT, "Body did not arrive",
                "The body did not arrive within 20 seconds."),
            Self::NotFound => ("not_found", StatusCode::NOT_FOUND, "Not found",
                "There is nothing at this path."),
            Self::MethodNotAllowed => ("method_not_allowed", StatusCode::METHOD_NOT_ALLOWED, "Method not allowed",
                "The path does not support this method; the header Allow lists the supported ones."),
            Self::NotAcceptable => ("not_acceptable", StatusCode::NOT_ACCEPTABLE, "Not acceptable",
                "The header Accept excludes JSON, the only available format. Omit it, or send `Accept: application/json`."),
            Self::CredentialNotValid => ("credential_not_valid", StatusCode::UNAUTHORIZED, "Credential not valid",
                "This path is for services, and the Authorization header carries no valid credential of one. The operator creates one with `quash verifier add` or `quash client add`."),
            Self::RightRequired => ("right_required", StatusCode::FORBIDDEN, "Right required",
                "The credential is valid, but lacks the required right, or has it in another namespace only. The operator creates another with `quash verifier add` or `quash client add`."),
            Self::ClientTaken => ("client_taken", StatusCode::CONFLICT, "Client name taken",
                "There is a client or a verifier of this name already. Choose another name, or give that client a new secret with `POST /admin/v1/clients/{name}/secret`."),
            Self::KeyNotChanged => ("key_not_changed", StatusCode::CONFLICT, "Key not changed",
                "The state of the signing keys does not allow this change now; the response says why. Nothing was changed."),
            Self::VersionDiffers => ("version_differs", StatusCode::PRECONDITION_FAILED, "Version differs",
                "The header If-Match names a version that is not the current one, because somebody else has made a change since. Nothing was changed: read the current version, and decide again."),
            Self::SnapshotRequired => ("snapshot_required", StatusCode::CONFLICT, "Snapshot required",
                "The feed cannot continue from this cursor: it is of another epoch, beyond the log's end, or no longer retained. Take a snapshot, and follow from its cursor."),
            Self::FeedVersion => ("feed_version", StatusCode::BAD_REQUEST, "Feed version not supported",
                "The request names no version of the feed in its parameter `v`, or one that this server does not speak. The response lists the versions that it speaks in `versions`. Update the verifier or the server, whichever is older."),
            Self::ClaimMissing => guard_row(Problem::CLAIM_MISSING,
                "The token is valid, but lacks what this route of the application requires: a role, for example, or a claim of another form. Another token of the same account will not help. The operator gives the account the claim with `quash account set --claims-stdin`; the next refresh includes it."),
            Self::Throttled => ("throttled", StatusCode::TOO_MANY_REQUESTS, "Throttled",
                "Too many failed sign-ins from one network, or too many password checks at once from one network or for one name. Wait as long as Retry-After says."),
            Self::Unavailable => guard_row(Problem::of(Rejection::Token(VerifyError::Stale)),
                "The request cannot be answered now: the store is full or unreachable, or too many password checks are waiting. It may or may not have been carried out. Try again after Retry-After: repeating it is safe."),
            Self::NoSigningKey => ("no_signing_key", StatusCode::SERVICE_UNAVAILABLE, "No signing key",
                "The key that the settings name was revoked in an emergency, and nothing is signed until they name another. Nothing was changed: no token was used up, and no session has ended. Try again after Retry-After."),
            Self::SettingsChanged => ("settings_changed", StatusCode::SERVICE_UNAVAILABLE, "Settings changed",
                "This node has other values of the settings that define tokens than another node has applied since, so it decides nothing. Nothing was changed. Try again after Retry-After: another node may answer. The operator restarts this one with the new settings."),
            Self::InternalError => guard_row(Problem::INTERNAL_ERROR,
                "A bug in the program. The header X-Request-Id identifies the request in the log; an application that is guarded by quash has its own log."),
        }
    }
}

/// A code that the guard also returns in applications.
const fn guard_row(problem: Problem, page: &'static str) -> Row {
    (problem.code, problem.status, problem.title, page)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_codes_have_unique_names() {
        let mut names: Vec<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Code::ALL.len());
    }
}
