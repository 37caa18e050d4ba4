//! Revocations of the application's own tokens in their namespace, and of quash's own sessions, over HTTP.

use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Request};
use serde::{Deserialize, Serialize};

use crate::follow::fault::IssuerError;
use crate::follow::http::Http;
use crate::revocation::{Receipt, Revocation};
use crate::verifier::Verifier;

/// The reason why a request that revokes has failed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RevokeError {
    /// The request is wrong. Sending it again doesn't help.
    #[error("the issuer refused the revocations: {0}")]
    Invalid(String),
    /// The issuer doesn't know the credential.
    #[error("the issuer refused the credential: create one with `quash client add NAME {}`", flag(.namespace.as_deref()))]
    CredentialRefused {
        /// The namespace of the request.
        namespace: Option<String>,
    },
    /// The credential may not revoke in this namespace.
    #[error("the credential may not revoke {}: create another with `quash client add NAME {}`",
        .namespace.as_ref().map_or_else(|| "quash's own sessions".to_owned(), |name| format!("in the namespace \"{name}\"")),
        flag(.namespace.as_deref()))]
    NotAllowed {
        /// The namespace of the request.
        namespace: Option<String>,
    },
    /// No address has an answer of quash: another program answers there, or a version without this request.
    /// Sending it again doesn't help.
    #[error(
        "the issuer's address answered revocations with status {0}: check the address and the proxies before it, \
         POST /v1/revocations must reach quash"
    )]
    WrongAddress(u16),
    /// No address of the issuer has answered in time. The revocations may have been written: send them again,
    /// with the same key.
    #[error("the issuer didn't confirm the revocations: {0}; send them again")]
    Unavailable(IssuerError),
    /// The verifier belongs to a test issuer.
    #[error("the verifier follows no server: in tests, use TestIssuer::revoke_named")]
    NoServer,
}

#[derive(Serialize)]
struct Body<'a> {
    namespace: Option<&'a str>,
    revocations: &'a [Revocation],
}

#[derive(Deserialize)]
struct Answer {
    seq: u64,
    written: usize,
    #[serde(default)]
    effective: Option<Effective>,
}

#[derive(Deserialize)]
struct Effective {
    verifiers: Verifiers,
    ms: u64,
}

#[derive(Deserialize)]
struct Verifiers {
    confirmed: usize,
    stale: usize,
    not_bound: usize,
}

#[derive(Deserialize)]
struct Problem {
    detail: String,
    #[serde(default)]
    errors: Option<serde_json::Value>,
}

/// The longest shown part of the errors of items, in characters.
const SHOWN_ERRORS: usize = 500;

impl Verifier {
    /// Revokes in the namespace of the application's own tokens: 1 to 1,000 revocations, all of them or none.
    /// Without a namespace, ends quash's own sessions by their `sid`, or all sessions of subjects. Uses the verifier's addresses and credential, one address after the other. A repeated request with the
    /// same `key` gets the first answer again, for ten minutes. With `wait`, returns once every verifier knows
    /// the revocations or refuses tokens by itself, which takes a lease's term at most.
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # use quash_verify::{Revocation, RevokeError, Verifier};
    /// # async fn log_out(verifier: &Verifier) -> Result<(), RevokeError> {
    /// let ended = [Revocation::session("f0c1").reason("log_out")];
    /// let receipt = verifier.revoke(Some("shop"), &ended, Some("log-out-4711"), false).await?;
    /// // From here on, this process refuses the session, too:
    /// verifier.caught_up(receipt.seq, Duration::from_millis(50)).await;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Returns an error if the issuer refuses the request, or if no address answers in time.
    pub async fn revoke(
        &self,
        namespace: Option<&str>,
        revocations: &[Revocation],
        key: Option<&str>,
        wait: bool,
    ) -> Result<Receipt, RevokeError> {
        let following = self.inner.following.as_ref().ok_or(RevokeError::NoServer)?;
        following.http().revoke(namespace, revocations, key, wait).await
    }
}

impl Http {
    /// Sends revocations to the first address that answers.
    async fn revoke(
        &self,
        namespace: Option<&str>,
        revocations: &[Revocation],
        key: Option<&str>,
        wait: bool,
    ) -> Result<Receipt, RevokeError> {
        let body = serde_json::to_string(&Body { namespace, revocations })
            .map_err(|error| RevokeError::Invalid(error.to_string()))?;
        let key = key.map(HeaderValue::from_str).transpose();
        let key = key.map_err(|_| RevokeError::Invalid("the key must be ASCII without line ends".into()))?;
        let (mut unavailable, mut wrong) = (None, None);
        for _ in 0..self.address_count() {
            let mut request = Request::post(self.url("/v1/revocations"))
                .header(AUTHORIZATION, self.credential())
                .header(ACCEPT, "application/json")
                .header(CONTENT_TYPE, "application/json");
            if let Some(key) = &key {
                request = request.header("idempotency-key", key.clone());
            }
            if wait {
                request = request.header("prefer", "wait=effective");
            }
            match self.post(request, body.clone(), wait).await {
                Ok((200, answer)) => {
                    let answer: Answer = serde_json::from_slice(&answer)
                        .map_err(|_| RevokeError::Unavailable(IssuerError::Unreadable))?;
                    return Ok(answer.into());
                }
                Ok((400 | 413 | 415, answer)) => return Err(RevokeError::Invalid(detail(&answer))),
                Ok((401, _)) => {
                    return Err(RevokeError::CredentialRefused { namespace: namespace.map(str::to_owned) });
                }
                Ok((403, _)) => {
                    return Err(RevokeError::NotAllowed { namespace: namespace.map(str::to_owned) });
                }
                Ok((status, _)) if is_final(status) => wrong = Some(status),
                Ok((status, _)) => unavailable = Some(IssuerError::Status(status)),
                Err(fault) => unavailable = Some(fault),
            }
            self.try_next_address();
        }
        // An address that may answer later decides.
        Err(match (unavailable, wrong) {
            (None, Some(status)) => RevokeError::WrongAddress(status),
            (fault, _) => RevokeError::Unavailable(fault.unwrap_or(IssuerError::Unreachable)),
        })
    }
}

/// Returns whether the same request would get this status again. Of the client errors, these may pass: 408
/// and 425, 429, and 409, with which proxies answer a repeated `Idempotency-Key` whose first request runs.
fn is_final(status: u16) -> bool {
    matches!(status, 400..500) && !matches!(status, 408 | 409 | 425 | 429)
}

impl From<Answer> for Receipt {
    fn from(answer: Answer) -> Self {
        let Answer { seq, written, effective } = answer;
        let verifiers = effective.as_ref().map(|effective| &effective.verifiers);
        Self {
            seq,
            written,
            confirmed: verifiers.map(|verifiers| verifiers.confirmed),
            stale: verifiers.map(|verifiers| verifiers.stale),
            not_bound: verifiers.map(|verifiers| verifiers.not_bound),
            ms: effective.map(|effective| effective.ms),
        }
    }
}

/// The flags with which a credential for this namespace is created.
fn flag(namespace: Option<&str>) -> String {
    namespace.map_or_else(|| "--right revoke".to_owned(), |name| format!("--namespace {name}"))
}

/// Returns the text of a problem, with the errors of items.
fn detail(answer: &[u8]) -> String {
    let Ok(Problem { detail, errors }) = serde_json::from_slice(answer) else {
        return "the answer is malformed".into();
    };
    match errors {
        Some(errors) => {
            format!("{detail} {}", errors.to_string().chars().take(SHOWN_ERRORS).collect::<String>())
        }
        None => detail,
    }
}
