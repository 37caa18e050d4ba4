//! Errors on the wire: each refusal, fault and failure gets its status, its code and its words here, and nowhere else.
//!
//! Two shapes: on the paths that follow Simple JWT, its bodies; on all others a problem (RFC 9457). Codes are a
//! closed list; each has a page under `/docs/errors/`.

use std::time::Duration;

use axum::response::Response;
use http::StatusCode;
use http::header::{ALLOW, RETRY_AFTER, WWW_AUTHENTICATE};
use quash_core::model::{ClaimNames, Invalid, Reason, Refusal};
use quash_core::token::TokenType;
use quash_service::{Failure, Unavailable};
use quash_verify::{Barred, HeaderFault};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::answer::{PROBLEM, of_type, token_json, with_header};
use crate::settings::{Compat, DoorSettings};

/// Every code that an error can have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Code {
    /// The token isn't taken.
    TokenNotValid,
    /// There is no token.
    NotAuthenticated,
    /// The Authorization header has another form.
    BadAuthorizationHeader,
    /// Name and password don't open an account.
    BadCredentials,
    /// The password is good for nothing but being changed.
    PasswordChangeRequired,
    /// The address must be confirmed first.
    EmailNotVerified,
    /// The token's account may not be used.
    NoActiveAccount,
    /// There is no account of the token's.
    UserNotFound,
    /// The token's account has been deactivated.
    UserInactive,
    /// The password that was asked for again is wrong.
    WrongPassword,
    /// The token is of another password.
    PasswordChanged,
    /// The token has no session that could go on.
    SessionRequired,
    /// Two tokens are of two accounts.
    TokensOfTwoAccounts,
    /// Another account has the name.
    NameTaken,
    /// A new password isn't taken.
    PasswordRefused,
    /// A setting lets no user change this.
    ChangeNotAllowed,
    /// A refresh token is in the body and in the cookie, or twice in the cookie.
    TwoTokens,
    /// Another site has sent the request.
    CrossSite,
    /// The body can't be read, or a field in it is wrong.
    InvalidRequest,
    /// The body is of another type.
    UnsupportedMediaType,
    /// The body is too large.
    BodyTooLarge,
    /// The body didn't arrive in time.
    BodyTimeout,
    /// There is nothing at this path.
    NotFound,
    /// The path exists, but not for this method.
    MethodNotAllowed,
    /// The client takes no form that the answer could have.
    NotAcceptable,
    /// Too many at once.
    Throttled,
    /// Ours: it can't be answered now.
    Unavailable,
    /// Ours: a fault in the program.
    InternalError,
}

impl Code {
    /// All codes.
    pub const ALL: [Self; 28] = [
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
        Self::CrossSite,
        Self::InvalidRequest,
        Self::UnsupportedMediaType,
        Self::BodyTooLarge,
        Self::BodyTimeout,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::NotAcceptable,
        Self::Throttled,
        Self::Unavailable,
        Self::InternalError,
    ];

    /// Its name in `code`, and in the address of its page.
    pub const fn as_str(self) -> &'static str {
        self.row().0
    }

    /// Its status.
    pub const fn status(self) -> StatusCode {
        self.row().1
    }

    /// Its title: the same for every occurrence (RFC 9457 3.1.3).
    pub const fn title(self) -> &'static str {
        self.row().2
    }

    /// What its page says: what happened, and what to do.
    pub const fn page(self) -> &'static str {
        self.row().3
    }

    /// Simple JWT names a code only for tokens; what its framework answers has none.
    const fn is_told_by_simple_jwt(self) -> bool {
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
            | Self::BodyTooLarge
            | Self::BodyTimeout
            | Self::Unavailable
            | Self::PasswordChangeRequired
            | Self::WrongPassword
            | Self::SessionRequired
            | Self::NameTaken
            | Self::ChangeNotAllowed
            | Self::TwoTokens
            | Self::CrossSite
            | Self::InternalError => true,
        }
    }

    #[rustfmt::skip]
    const fn row(self) -> (&'static str, StatusCode, &'static str, &'static str) {
        match self {
            Self::TokenNotValid => ("token_not_valid", StatusCode::UNAUTHORIZED, "Token not valid",
                "The token is not one of ours, has expired, is of the wrong type, or has been revoked. Get a new access token with the refresh token; if that is refused too, sign in again."),
            Self::NotAuthenticated => ("not_authenticated", StatusCode::UNAUTHORIZED, "Not authenticated",
                "The request brings no access token. Send it in the header `Authorization: Bearer <token>`; tokens in the address or in the body are not looked at."),
            Self::BadAuthorizationHeader => ("bad_authorization_header", StatusCode::UNAUTHORIZED, "Bad Authorization header",
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
            Self::CrossSite => ("cross_site", StatusCode::FORBIDDEN, "Sent by another site",
                "A page of another site had the browser send this request, and the service keeps refresh tokens in a cookie. Pages of an origin that the setting http.cors_origins names may send it."),
            Self::InvalidRequest => ("invalid_request", StatusCode::BAD_REQUEST, "Invalid request",
                "The body could not be read, or a field in it is missing or wrong. The answer names the field and the fault."),
            Self::UnsupportedMediaType => ("unsupported_media_type", StatusCode::UNSUPPORTED_MEDIA_TYPE, "Unsupported media type",
                "Send the body as application/json, application/x-www-form-urlencoded or multipart/form-data, and say so in Content-Type."),
            Self::BodyTooLarge => ("body_too_large", StatusCode::PAYLOAD_TOO_LARGE, "Body too large",
                "The body is larger than 64 KiB."),
            Self::BodyTimeout => ("body_timeout", StatusCode::REQUEST_TIMEOUT, "Body did not arrive",
                "The body did not arrive within 20 seconds."),
            Self::NotFound => ("not_found", StatusCode::NOT_FOUND, "Not found",
                "There is nothing at this path."),
            Self::MethodNotAllowed => ("method_not_allowed", StatusCode::METHOD_NOT_ALLOWED, "Method not allowed",
                "The path exists, but not for this method; the header Allow names those it exists for."),
            Self::NotAcceptable => ("not_acceptable", StatusCode::NOT_ACCEPTABLE, "Not acceptable",
                "The header Accept allows no JSON, and there is nothing else. Leave it out, or send `Accept: application/json`."),
            Self::Throttled => ("throttled", StatusCode::TOO_MANY_REQUESTS, "Throttled",
                "Too many failed sign-ins from one network, or too many at once from one network or for one name. Wait as long as Retry-After says."),
            Self::Unavailable => ("unavailable", StatusCode::SERVICE_UNAVAILABLE, "Unavailable",
                "The request may be good, but cannot be answered now: the store is full or away, or too many passwords are waiting. Whether it was done is seen by trying again after Retry-After: doing it twice does no harm."),
            Self::InternalError => ("internal_error", StatusCode::INTERNAL_SERVER_ERROR, "Internal error",
                "A fault in the program. The header X-Request-Id names the request in the log."),
        }
    }
}

/// An error on its way to the client.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Fault {
    code: Code,
    detail: String,
    reason: Option<Reason>,
    retry_after: Option<Duration>,
    allow: Option<&'static str>,
    /// Whether the code stands in a body of the paths that follow Simple JWT.
    code_is_told: bool,
    /// The whole body, where Simple JWT has one that isn't `{"detail", "code"}`.
    body: Option<Box<Value>>,
}

impl Fault {
    pub(crate) fn new(code: Code, detail: impl Into<String>) -> Self {
        let code_is_told = code.is_told_by_simple_jwt();
        Self { code, detail: detail.into(), reason: None, retry_after: None, allow: None, code_is_told, body: None }
    }

    /// With a whole body of its own.
    pub(crate) fn with_body(self, body: Value) -> Self {
        Self { body: Some(Box::new(body)), ..self }
    }

    /// What a use case failed with, where the site's claims have these names.
    pub(crate) fn of(failure: &Failure, names: &ClaimNames) -> Self {
        match failure {
            Failure::Refused(refusal) => Self::refused(*refusal, names),
            Failure::Unavailable(unavailable) => Self::unavailable(unavailable),
        }
    }

    /// What a token in the header was refused with: as Simple JWT says it for the types of token that it tries.
    pub(crate) fn of_access(mut self, failure: &Failure, tried: &[TokenType], token_type: Option<TokenType>) -> Self {
        if self.code == Code::TokenNotValid && *failure != Failure::Refused(Refusal::TokenWithoutUser) {
            // What a token of one type is revoked as, it never was as another.
            let wrong_type = "Token has wrong type".to_owned();
            let message = |class: TokenType| match failure {
                Failure::Refused(Refusal::TokenRevoked(_)) if token_type.is_some_and(|found| found != class) => wrong_type.clone(),
                _ => self.detail.clone(),
            };
            let messages: Vec<_> = tried
                .iter()
                .map(|class| json!({ "token_class": class.class(), "token_type": class.as_str(), "message": message(*class) }))
                .collect();
            self.body = Some(Box::new(json!({
                "detail": "Given token not valid for any token type",
                "code": self.code.as_str(),
                "messages": messages,
            })));
        }
        self
    }

    /// What an exchange was refused with: there Simple JWT names no code for an account that can't be used.
    pub(crate) fn of_exchange(self) -> Self {
        let code_is_told = self.code_is_told && self.code != Code::PasswordChanged;
        Self { code_is_told, ..self }
    }

    /// What bars a request from a guarded path.
    pub(crate) fn of_barred(barred: Barred, names: &ClaimNames) -> Self {
        match barred {
            Barred::Header(HeaderFault::NotText) => Self::refused(Invalid::Malformed.into(), names),
            Barred::Header(fault) => fault.into(),
            Barred::Token(denied) => Self::of(&denied.into(), names),
        }
    }

    /// There is nothing at this path.
    pub(crate) fn not_found() -> Self {
        Self::new(Code::NotFound, "Not found.")
    }

    /// The path exists, but not for this method.
    pub(crate) fn method_not_allowed(method: &http::Method, allow: &'static str) -> Self {
        // A method is at most as long as the limit on the request's head; more of it than this nobody needs to read.
        let name: String = method.as_str().chars().take(32).collect();
        Self { allow: Some(allow), ..Self::new(Code::MethodNotAllowed, format!("Method \"{name}\" not allowed.")) }
    }

    /// The client takes no form that the answer could have.
    pub(crate) fn not_acceptable() -> Self {
        Self::new(Code::NotAcceptable, "Could not satisfy the request Accept header.")
    }

    /// A refresh token stands in two places.
    pub(crate) fn two_tokens() -> Self {
        Self::new(Code::TwoTokens, "There are two refresh tokens: in the cookie and in the body, or twice in the cookie.")
    }

    /// A refresh token doesn't fit into its cookie.
    pub(crate) fn too_long_for_a_cookie() -> Self {
        let detail = "The tokens of this account are too long for a cookie.";
        Self { retry_after: Some(Duration::from_secs(60)), ..Self::new(Code::Unavailable, detail) }
    }

    /// A page of another site has sent the request.
    pub(crate) fn cross_site() -> Self {
        Self::new(Code::CrossSite, "The request comes from a page of another site.")
    }

    /// A fault in the program.
    pub(crate) fn internal() -> Self {
        Self::new(Code::InternalError, "The request failed because of a fault in the program.")
    }

    /// The request took too long.
    pub(crate) fn too_slow() -> Self {
        Self { retry_after: Some(Duration::from_secs(1)), ..Self::new(Code::Unavailable, "The request could not be answered in time.") }
    }

    /// The answer on a path that follows Simple JWT.
    pub(crate) fn into_token_answer(self, settings: &DoorSettings) -> Response {
        let body = match &self.body {
            Some(body) => (**body).clone(),
            None => {
                let mut body = Map::new();
                body.insert("detail".into(), self.detail.clone().into());
                if self.code_is_told {
                    body.insert("code".into(), self.code.as_str().into());
                }
                if let Some(reason) = self.reason.filter(|_| settings.compat == Compat::Standard) {
                    body.insert("reason".into(), reason.as_str().into());
                }
                body.into()
            }
        };
        self.with_headers(token_json(self.code.status(), &body), settings)
    }

    /// The answer on any other path.
    pub(crate) fn into_problem(self, settings: &DoorSettings) -> Response {
        #[derive(Serialize)]
        struct Problem<'a> {
            r#type: String,
            title: &'a str,
            status: u16,
            detail: &'a str,
            code: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            reason: Option<&'a str>,
            /// The fields and their faults.
            #[serde(skip_serializing_if = "Option::is_none")]
            errors: Option<&'a Value>,
        }
        let code = self.code;
        let problem = Problem {
            r#type: format!("/docs/errors/{}", code.as_str()),
            title: code.title(),
            status: code.status().as_u16(),
            detail: &self.detail,
            code: code.as_str(),
            reason: self.reason.map(Reason::as_str),
            errors: self.body.as_deref(),
        };
        self.with_headers(of_type(code.status(), PROBLEM, &problem), settings)
    }

    fn with_headers(&self, mut answer: Response, settings: &DoorSettings) -> Response {
        if self.code.status() == StatusCode::UNAUTHORIZED {
            answer = with_header(answer, WWW_AUTHENTICATE, &settings.challenge());
        }
        if let Some(retry_after) = self.retry_after {
            answer = with_header(answer, RETRY_AFTER, &whole_seconds(retry_after).to_string());
        }
        if let Some(allow) = self.allow {
            answer = with_header(answer, ALLOW, allow);
        }
        answer
    }

    fn refused(refusal: Refusal, names: &ClaimNames) -> Self {
        match refusal {
            // What exactly is wrong is for the log and the command line: it would help whoever forges tokens.
            Refusal::TokenInvalid(_) => Self::new(Code::TokenNotValid, "Token is invalid"),
            Refusal::TokenExpired => Self::new(Code::TokenNotValid, "Token is expired"),
            Refusal::TokenWithoutExp => Self::new(Code::TokenNotValid, "Token has no 'exp' claim"),
            Refusal::TokenWithoutId => Self::new(Code::TokenNotValid, "Token has no id"),
            Refusal::TokenWithoutType => Self::new(Code::TokenNotValid, "Token has no type"),
            Refusal::TokenOfWrongType => Self::new(Code::TokenNotValid, "Token has wrong type"),
            Refusal::TokenWithoutUser => Self::new(Code::TokenNotValid, "Token contained no recognizable user identification"),
            Refusal::TokenWithoutRefreshExp => Self::new(Code::TokenNotValid, format!("Token has no '{}' claim", names.refresh_exp)),
            Refusal::TokenRefreshExpired => Self::new(Code::TokenNotValid, format!("Token '{}' claim has expired", names.refresh_exp)),
            Refusal::AccountNotFound => Self::new(Code::UserNotFound, "User not found"),
            Refusal::AccountInactive => Self::new(Code::UserInactive, "User is inactive"),
            Refusal::PasswordChanged => Self::new(Code::PasswordChanged, "The user's password has been changed."),
            Refusal::TokenRevoked(reason) => Self { reason, ..Self::new(Code::TokenNotValid, "Token is blacklisted") },
            Refusal::BadCredentials => Self::new(Code::BadCredentials, "No active account found with the given credentials"),
            Refusal::EmailNotVerified => Self::new(Code::EmailNotVerified, "The e-mail address of this account is not verified."),
            Refusal::PasswordChangeRequired => {
                Self::new(Code::PasswordChangeRequired, "The password of this account must be changed first.")
            }
            Refusal::WrongPassword => Self::new(Code::WrongPassword, "The password is wrong."),
            Refusal::SessionNotFound => Self::not_found(),
            Refusal::SessionRequired => Self::new(Code::SessionRequired, "The token has no session of this service."),
            Refusal::NameRefused(fault) => Self::of_field("username", &format!("The name {fault}.")),
            Refusal::NameTaken => Self::new(Code::NameTaken, "Another account has this name."),
            Refusal::ChangeNotAllowed => Self::new(Code::ChangeNotAllowed, "Users cannot change this here."),
            Refusal::NoActiveAccount => Self::new(Code::NoActiveAccount, "No active account found for the given token."),
            Refusal::TokensOfTwoAccounts => {
                Self::new(Code::TokensOfTwoAccounts, "The access token and the refresh token belong to two accounts.")
            }
            Refusal::PasswordRefused(fault) => Self::new(Code::PasswordRefused, format!("The new password {fault}.")),
        }
    }

    fn unavailable(unavailable: &Unavailable) -> Self {
        let (retry_after, detail) = match unavailable {
            Unavailable::NetworkQueueFull { retry_after }
            | Unavailable::NetworkThrottled { retry_after }
            | Unavailable::Crowded { retry_after } => {
                let secs = whole_seconds(*retry_after);
                let detail = format!("Request was throttled. Expected available in {secs} second{}.", if secs == 1 { "" } else { "s" });
                return Self { retry_after: Some(*retry_after), ..Self::new(Code::Throttled, detail) };
            }
            Unavailable::HashQueueFull { retry_after } => (*retry_after, "Too many sign-ins are waiting."),
            Unavailable::Contended => (Duration::from_secs(1), "Too many requests for one session at once."),
            Unavailable::StoreFull | Unavailable::StoreAway(_) => (Duration::from_secs(5), "The service cannot use its store now."),
            Unavailable::ForeignKeysAway => (Duration::from_secs(10), "The keys of the token's issuer cannot be had now."),
            Unavailable::Unsigned => (Duration::from_secs(1), "The service cannot sign now."),
            Unavailable::Stale => (Duration::from_secs(1), "The service cannot tell now whether the token has been revoked."),
        };
        Self { retry_after: Some(retry_after), ..Self::new(Code::Unavailable, detail) }
    }
}

impl From<HeaderFault> for Fault {
    fn from(fault: HeaderFault) -> Self {
        match fault {
            HeaderFault::Missing => Self::new(Code::NotAuthenticated, "Authentication credentials were not provided."),
            HeaderFault::Malformed | HeaderFault::NotText => {
                Self::new(Code::BadAuthorizationHeader, "Authorization header must contain two space-delimited values")
            }
        }
    }
}

/// Seconds as in `Retry-After`: whole, and never too few.
pub(crate) fn whole_seconds(span: Duration) -> u64 {
    span.as_millis().div_ceil(1000).try_into().unwrap_or(u64::MAX).max(1)
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

    #[test]
    fn waiting_is_rounded_up() {
        for (millis, secs) in [(0, 1), (1, 1), (1000, 1), (1001, 2)] {
            assert_eq!(whole_seconds(Duration::from_millis(millis)), secs);
        }
    }
}
