//! Revocations that an application sends to its issuer, in the namespace of the application's own tokens.

use serde::Serialize;

/// A revocation in a namespace: of a session, a token, the tokens of a user, or all tokens.
///
/// ```
/// use quash_verify::Revocation;
/// let log_out = Revocation::session("f0c1").reason("log_out");
/// let reported_late = Revocation::subject("17").reason("password_changed").before(1_799_999_990.25);
/// ```
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Revocation {
    #[serde(flatten)]
    pub(crate) name: RevocationName,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) before: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exp: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RevocationName {
    Session(String),
    Token(String),
    Subject(String),
    Everything(bool),
}

/// The issuer's answer to a request that revokes.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[non_exhaustive]
pub struct Receipt {
    /// The number with which a verifier knows all of the request's revocations: see `Verifier::caught_up`.
    pub seq: u64,
    /// The number of entries that were written. Revoked sessions and tokens aren't written again.
    pub written: usize,
    /// The number of verifiers that have confirmed the revocations. Only if the request waited for them.
    pub confirmed: Option<usize>,
    /// The number of verifiers whose lease has expired, so that they refuse tokens by themselves.
    pub stale: Option<usize>,
    /// The number of verifiers that accept tokens without a lease.
    pub not_bound: Option<usize>,
    /// The time until the last of them, in milliseconds.
    pub ms: Option<u64>,
}

impl Revocation {
    /// Revokes every token of a session.
    pub fn session(name: impl Into<String>) -> Self {
        Self::of(RevocationName::Session(name.into()))
    }

    /// Revokes one token, by its id.
    pub fn token(name: impl Into<String>) -> Self {
        Self::of(RevocationName::Token(name.into()))
    }

    /// Revokes the tokens of a user issued so far.
    pub fn subject(name: impl Into<String>) -> Self {
        Self::of(RevocationName::Subject(name.into()))
    }

    /// Revokes all tokens of the namespace issued so far.
    pub fn everything() -> Self {
        Self::of(RevocationName::Everything(true))
    }

    /// Sets the time of the event, in seconds since 1970, if it is reported late: the tokens that a user got
    /// since stay valid. Has no effect on sessions and single tokens.
    #[must_use]
    pub fn before(self, secs: f64) -> Self {
        Self { before: Some(secs), ..self }
    }

    /// Sets the expiry of the session or token, in seconds since 1970. The default is the namespace's
    /// `max_lifetime` from now.
    #[must_use]
    pub fn expires_at(self, secs: i64) -> Self {
        Self { exp: Some(secs), ..self }
    }

    /// Sets the reason, a word of the audit such as `log_out` or `password_changed`; `revoked` by default.
    #[must_use]
    pub fn reason(self, word: impl Into<String>) -> Self {
        Self { reason: Some(word.into()), ..self }
    }

    fn of(name: RevocationName) -> Self {
        Self { name, before: None, exp: None, reason: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn revocations_are_written_as_items_of_the_request() {
        let text = |revocation: Revocation| serde_json::to_string(&revocation).expect("text");
        assert_eq!(text(Revocation::session("a").reason("log_out")), r#"{"session":"a","reason":"log_out"}"#);
        assert_eq!(text(Revocation::token("b").expires_at(9)), r#"{"token":"b","exp":9}"#);
        assert_eq!(text(Revocation::subject("17").before(1.25)), r#"{"subject":"17","before":1.25}"#);
        assert_eq!(text(Revocation::everything()), r#"{"everything":true}"#);
    }
}
