//! Maps each refusal and failure to the status, the code and the text that the client gets. The texts for
//! rejected tokens come from `quash-verify/src/http/problem.rs`, so that applications with a verifier return the same.
//!
//! Two formats: the bodies of Simple JWT on the paths that follow it; problem documents (RFC 9457) on all
//! others, except the OAuth endpoints, whose errors are in `oauth_error.rs`. `code.rs` lists the codes.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use axum::response::Response;
use http::StatusCode;
use http::header::{ALLOW, RETRY_AFTER, WWW_AUTHENTICATE};
use quash_core::model::{ClaimNames, Reason, Refusal, Right, TokenPolicy};
use quash_core::token::TokenType;
use quash_core::watch::frame::VERSION;
use quash_service::{Failure, Unavailable};
use quash_verify::{HeaderFault, Problem, Rejection, VerifyError};
use serde_json::{Map, Value, json};

use crate::error::code::Code;
use crate::error::http_error::{ErrorKind, HttpError};
use crate::error::shapes::{DetailBody, ProblemBody, TokenMessage};
use crate::response::{PROBLEM, of_type, token_json, with_header};
use crate::settings::{Compat, HttpSettings};

/// An error as the client gets it, and its cause for the log.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Presentation {
    code: Code,
    detail: Cow<'static, str>,
    reason: Option<Reason>,
    retry_after: Option<Duration>,
    allow: Option<Arc<str>>,
    /// Puts the code into bodies in Simple JWT's format.
    shows_code: bool,
    /// The whole body, where Simple JWT has one that isn't `{"detail", "code"}`.
    body: Option<Value>,
    /// The cause, for the log only.
    cause: Option<String>,
    is_outage: bool,
}

/// The cause of a 5xx, for the log: an extension of the response that never leaves the process.
#[derive(Clone, Debug)]
pub(crate) struct ErrorCause {
    pub(crate) text: String,
    /// The store can't be used, or the node must be restarted: all requests fail for this reason.
    pub(crate) is_outage: bool,
}

impl Presentation {
    pub(crate) fn of(error: &HttpError, tokens: &TokenPolicy) -> Self {
        match &error.kind {
            ErrorKind::Failed(failure) => Self::failed(failure, &tokens.names),
            ErrorKind::AccessToken { failure, token_type } => {
                Self::failed(failure, &tokens.names).for_access_token(failure, &tokens.accepted, *token_type)
            }
            ErrorKind::Exchange(failure) => Self::failed(failure, &tokens.names).for_exchange(),
            ErrorKind::Header(fault) => Self::of_header(*fault),
            ErrorKind::Body(fault) => Self::of_body(fault),
            ErrorKind::Fields(faults) => Self::of_fields(faults.clone()),
            ErrorKind::Parameter { name, fault } => Self {
                body: Some(json!({ name: [format!("The parameter {fault}.")] })),
                ..Self::new(Code::InvalidRequest, format!("The parameter `{name}` {fault}."))
            },
            ErrorKind::MethodNotAllowed { method, allow } => {
                // The name may be as long as a request's head.
                let name: String = method.as_str().chars().take(32).collect();
                Self {
                    allow: Some(Arc::clone(allow)),
                    ..Self::new(Code::MethodNotAllowed, format!("Method \"{name}\" not allowed."))
                }
            }
            ErrorKind::Busy(detail) => Self::busy(detail),
            ErrorKind::FeedVersion { is_named: true } => Self::new(
                Code::FeedVersion,
                format!(
                    "The parameter `v` names a version of the feed that this server does not speak: it speaks version {VERSION}."
                ),
            ),
            ErrorKind::FeedVersion { is_named: false } => Self::new(
                Code::FeedVersion,
                format!(
                    "The parameter `v` is missing. Request version {VERSION} of the feed with `v={VERSION}`."
                ),
            ),
            ErrorKind::MissingRight(right) => Self::new(
                Code::RightRequired,
                format!(
                    "This credential lacks the right `{0}`. Create one that has it with `quash client add NAME --right {0}`{1}.",
                    right.as_str(),
                    match right {
                        Right::Revoke | Right::Introspect =>
                            " or, for one namespace, `--namespace NAMESPACE`",
                        _ => "",
                    }
                ),
            ),
            ErrorKind::TooLongForACookie => {
                let detail = "The tokens of this account are too long for a cookie.";
                Self { retry_after: Some(Duration::from_secs(60)), ..Self::new(Code::Unavailable, detail) }
            }
            ErrorKind::Internal(cause) => Self {
                cause: Some(cause.clone()),
                ..Self::from_guard(Code::InternalError, Problem::INTERNAL_ERROR)
            },
            ErrorKind::Other(code, detail) => Self::new(*code, *detail),
        }
    }

    /// The error of a node whose settings differ from those that another node has put in force. It lasts until
    /// the operator restarts this node; meanwhile a load balancer can choose another one.
    pub(crate) fn settings_changed() -> Self {
        let detail = "This node has other settings than the ones in force, and must be restarted.";
        let retry_after = Some(Duration::from_secs(5));
        Self { retry_after, is_outage: true, ..Self::new(Code::SettingsChanged, detail) }
    }

    pub(super) fn new(code: Code, detail: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            detail: detail.into(),
            reason: None,
            retry_after: None,
            allow: None,
            shows_code: code.is_in_simple_jwt_bodies(),
            body: None,
            cause: None,
            is_outage: false,
        }
    }

    pub(super) fn of_fields(faults: Map<String, Value>) -> Self {
        let body = Some(faults.into());
        Self { body, ..Self::new(Code::InvalidRequest, "A field is missing or wrong.") }
    }

    pub(super) fn busy(detail: &'static str) -> Self {
        Self { retry_after: Some(Duration::from_secs(1)), ..Self::new(Code::Unavailable, detail) }
    }

    pub(crate) fn status(&self) -> StatusCode {
        self.code.status()
    }

    pub(crate) fn code(&self) -> Code {
        self.code
    }

    pub(crate) fn detail(&self) -> &str {
        &self.detail
    }

    /// The time until a retry, in whole seconds.
    pub(crate) fn retry_after_secs(&self) -> Option<u64> {
        self.retry_after.map(whole_seconds)
    }

    /// The cause of a 5xx. Client errors need none.
    pub(crate) fn cause(&self) -> Option<ErrorCause> {
        let text = || self.cause.clone().unwrap_or_else(|| self.detail.clone().into_owned());
        self.status().is_server_error().then(|| ErrorCause { text: text(), is_outage: self.is_outage })
    }

    /// The response on a path that follows Simple JWT.
    pub(crate) fn into_simple_jwt_response(self, settings: &HttpSettings) -> Response {
        let body = match &self.body {
            Some(body) => body.clone(),
            None => {
                let reason = self.reason.filter(|_| settings.compat == Compat::Standard);
                json!(DetailBody {
                    detail: &self.detail,
                    code: self.shows_code.then_some(self.code.as_str()),
                    reason: reason.map(Reason::as_str),
                    messages: Vec::new(),
                })
            }
        };
        self.with_headers(token_json(self.code.status(), &body), settings)
    }

    /// The response on any other path.
    pub(crate) fn into_problem_response(self, settings: &HttpSettings) -> Response {
        let code = self.code;
        let problem = ProblemBody {
            r#type: format!("/docs/errors/{}", code.as_str()),
            title: code.title(),
            status: code.status().as_u16(),
            detail: &self.detail,
            code: code.as_str(),
            reason: self.reason.map(Reason::as_str),
            errors: self.body.as_ref(),
            versions: (code == Code::FeedVersion).then_some([VERSION]),
        };
        self.with_headers(of_type(code.status(), PROBLEM, &problem), settings)
    }

    fn with_headers(&self, mut answer: Response, settings: &HttpSettings) -> Response {
        if let Some(cause) = self.cause() {
            answer.extensions_mut().insert(cause);
        }
        if self.code.status() == StatusCode::UNAUTHORIZED {
            answer = with_header(answer, WWW_AUTHENTICATE, &settings.challenge());
        }
        if let Some(retry_after) = self.retry_after {
            answer = with_header(answer, RETRY_AFTER, &whole_seconds(retry_after).to_string());
        }
        if let Some(allow) = &self.allow {
            answer = with_header(answer, ALLOW, allow);
        }
        answer
    }

    /// Uses the guard's text.
    fn from_guard(code: Code, problem: Problem) -> Self {
        Self { retry_after: problem.retry_after, ..Self::new(code, problem.detail) }
    }

    fn of_header(fault: HeaderFault) -> Self {
        let code = match fault {
            HeaderFault::Missing => Code::NotAuthenticated,
            HeaderFault::Malformed => Code::BadAuthorizationHeader,
            HeaderFault::NotText => Code::TokenNotValid,
        };
        Self::from_guard(code, Problem::of(Rejection::Header(fault)))
    }

    /// Converts a use case's failure. `names` are the names of the configured claims.
    fn failed(failure: &Failure, names: &ClaimNames) -> Self {
        match failure {
            Failure::Refused(refusal) => Self::refused(*refusal, names),
            Failure::Unavailable(unavailable) => {
                let is_outage = matches!(unavailable, Unavailable::StoreFailed(_) | Unavailable::Stale);
                Self { cause: Some(unavailable.to_string()), is_outage, ..Self::unavailable(unavailable) }
            }
        }
    }

    /// Converts the refusal of a token in the header, in Simple JWT's format: one message for each token type
    /// that it tries.
    fn for_access_token(
        mut self,
        failure: &Failure,
        tried: &[TokenType],
        token_type: Option<TokenType>,
    ) -> Self {
        if self.code == Code::TokenNotValid && *failure != Failure::Refused(Refusal::TokenWithoutUser) {
            // The token was revoked as one type. For every other type it has the wrong type.
            let wrong_type = "Token has wrong type".to_owned();
            let message = |class: TokenType| match failure {
                Failure::Refused(Refusal::TokenRevoked(_))
                    if token_type.is_some_and(|found| found != class) =>
                {
                    wrong_type.clone()
                }
                _ => self.detail.clone().into_owned(),
            };
            let messages = tried.iter().map(|class| TokenMessage {
                token_class: class.class(),
                token_type: class.as_str(),
                message: message(*class),
            });
            self.body = Some(json!(DetailBody {
                detail: "Given token not valid for any token type",
                code: Some(self.code.as_str()),
                reason: None,
                messages: messages.collect(),
            }));
        }
        self
    }

    /// Adapts the refusal of a token exchange: Simple JWT has no code there for an unusable account.
    fn for_exchange(self) -> Self {
        let shows_code = self.shows_code && self.code != Code::PasswordChanged;
        Self { shows_code, ..self }
    }

    fn refused(refusal: Refusal, names: &ClaimNames) -> Self {
        match refusal {
            Refusal::TokenInvalid(_)
            | Refusal::TokenExpired
            | Refusal::TokenWithoutExp
            | Refusal::TokenWithoutId
            | Refusal::TokenWithoutType
            | Refusal::TokenOfWrongType
            | Refusal::TokenWithoutUser => Self::from_guard(
                Code::TokenNotValid,
                Problem::of(Rejection::Token(VerifyError::Refused(refusal))),
            ),
            Refusal::TokenWithoutRefreshExp => {
                Self::new(Code::TokenNotValid, format!("Token has no '{}' claim", names.refresh_exp))
            }
            Refusal::TokenRefreshExpired => {
                Self::new(Code::TokenNotValid, format!("Token '{}' claim has expired", names.refresh_exp))
            }
            Refusal::AccountNotFound => Self::new(Code::UserNotFound, "User not found"),
            Refusal::AccountInactive => Self::new(Code::UserInactive, "User is inactive"),
            Refusal::PasswordChanged => {
                Self::new(Code::PasswordChanged, "The user's password has been changed.")
            }
            Refusal::TokenRevoked(reason) => {
                let problem = Problem::of(Rejection::Token(VerifyError::Refused(refusal)));
                Self { reason, ..Self::from_guard(Code::TokenNotValid, problem) }
            }
            Refusal::BadCredentials => {
                Self::new(Code::BadCredentials, "No active account found with the given credentials")
            }
            Refusal::EmailNotVerified => {
                Self::new(Code::EmailNotVerified, "The e-mail address of this account is not verified.")
            }
            Refusal::PasswordChangeRequired => {
                Self::new(Code::PasswordChangeRequired, "The password of this account must be changed first.")
            }
            Refusal::WrongPassword => Self::new(Code::WrongPassword, "The password is wrong."),
            Refusal::SessionNotFound => Self::new(Code::NotFound, "Not found."),
            Refusal::SessionRequired => {
                Self::new(Code::SessionRequired, "The token has no session of this service.")
            }
            Refusal::NameRefused(fault) => Self::of_fields(Map::from_iter([(
                "username".to_owned(),
                json!([format!("The name {fault}.")]),
            )])),
            Refusal::NameTaken => Self::new(Code::NameTaken, "Another account has this name."),
            Refusal::ChangeNotAllowed => Self::new(Code::ChangeNotAllowed, "Users cannot change this here."),
            Refusal::NoActiveAccount => {
                Self::new(Code::NoActiveAccount, "No active account found for the given token.")
            }
            Refusal::TokensOfTwoAccounts => Self::new(
                Code::TokensOfTwoAccounts,
                "The access token and the refresh token belong to two accounts.",
            ),
            Refusal::LinkInvalid => {
                Self::new(Code::LinkNotValid, "The link or the code is not valid, or is not valid any more.")
            }
            Refusal::RegistrationTaken => Self::new(
                Code::RegistrationTaken,
                "Another account has taken the name or the address since. Register again.",
            ),
            Refusal::PasswordRefused(fault) => {
                Self::new(Code::PasswordRefused, format!("The new password {fault}."))
            }
        }
    }

    fn unavailable(unavailable: &Unavailable) -> Self {
        let (retry_after, detail) = match unavailable {
            Unavailable::NetworkQueueFull { retry_after }
            | Unavailable::NetworkThrottled { retry_after }
            | Unavailable::AccountThrottled { retry_after }
            | Unavailable::AccountQueueFull { retry_after } => {
                let secs = whole_seconds(*retry_after);
                let detail = format!(
                    "Request was throttled. Expected available in {secs} second{}.",
                    if secs == 1 { "" } else { "s" }
                );
                return Self { retry_after: Some(*retry_after), ..Self::new(Code::Throttled, detail) };
            }
            Unavailable::HashQueueFull { retry_after } => (*retry_after, "Too many sign-ins are waiting."),
            Unavailable::Contended => (Duration::from_secs(1), "Too many requests for one session at once."),
            Unavailable::StoreFull | Unavailable::StoreFailed(_) => {
                (Duration::from_secs(5), "The service cannot use its store now.")
            }
            // If this request was a refresh, repeating it within the grace period returns the same tokens.
            Unavailable::OutcomeUnknown(_) => {
                (Duration::from_secs(1), "It is not known whether the request was carried out. Try again.")
            }
            Unavailable::ForeignKeysUnavailable => {
                return Self::from_guard(
                    Code::Unavailable,
                    Problem::of(Rejection::Token(VerifyError::KeysUnavailable)),
                );
            }
            // Lasts until the operator changes a setting.
            Unavailable::NoSigningKey => {
                let detail = "The service has no key to sign with.";
                return Self {
                    retry_after: Some(Duration::from_secs(60)),
                    ..Self::new(Code::NoSigningKey, detail)
                };
            }
            Unavailable::Unsigned => (Duration::from_secs(1), "The service cannot sign now."),
            Unavailable::Stale => {
                return Self::from_guard(
                    Code::Unavailable,
                    Problem::of(Rejection::Token(VerifyError::Stale)),
                );
            }
        };
        Self { retry_after: Some(retry_after), ..Self::new(Code::Unavailable, detail) }
    }
}

/// Rounds up to whole seconds, at least one, as in `Retry-After`.
pub(crate) fn whole_seconds(span: Duration) -> u64 {
    span.as_millis().div_ceil(1000).try_into().unwrap_or(u64::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_rounded_up() {
        for (millis, secs) in [(0, 1), (1, 1), (1000, 1), (1001, 2)] {
            assert_eq!(whole_seconds(Duration::from_millis(millis)), secs);
        }
    }
}
