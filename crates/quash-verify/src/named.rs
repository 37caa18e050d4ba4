//! Sessions and tokens that another system issues and verifies, and that quash revokes by their names.
//!
//! [`Verifier::ask`] checks the names of a token. `Verifier::revoke` sends a [`Revocation`](crate::Revocation)
//! to the issuer.

use quash_core::model::{Refusal, Timestamp};
pub use quash_core::watch::Named;
use quash_core::watch::{Freshness, NamedVerdict, admit_named, admit_named_without_lease};

#[cfg(feature = "follow")]
use crate::introspection::{Answer, Question, question};
use crate::shared::{Uncertain, VerifierShared};
use crate::stale::WhenStale;
use crate::verifier::Verifier;
use crate::verify_error::VerifyError;

/// The reason why a named session or token isn't accepted.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AskError {
    /// It is refused, or its revocation can't be ruled out now.
    #[error("{}", match .0 {
        VerifyError::Refused(_) => "the session or token is revoked or can't be judged",
        VerifyError::Stale | VerifyError::KeysUnavailable => "the session or token may have been revoked",
    })]
    Denied(VerifyError),
    /// The issuer's settings have no such namespace. Waiting doesn't help.
    #[error(
        "the issuer has no namespace \"{0}\": write it into a section [foreign.<name>] of quash's settings"
    )]
    UnknownNamespace(String),
}

/// The reason why a name can't be accepted at once.
enum NotYet {
    Of(Uncertain),
    UnknownNamespace,
}

type Decision = Result<(), AskError>;

impl Verifier {
    /// Checks a session or token that another system issued and verified, by its names: returns `Ok` if no
    /// revocation covers it. Waits where an entry is missing or the issuer must be asked.
    ///
    /// ```
    /// use quash_verify::{AskError, Named, Revocation, VerifyError, WhenStale, test::TestIssuer};
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// let issuer = TestIssuer::with_namespace("shop");
    /// let verifier = issuer.verifier();
    /// let now = issuer.now();
    /// let token = Named {
    ///     namespace: Some("shop"),
    ///     session: Some("f0c1"),
    ///     subject: Some("17"),
    ///     // Read before the token was issued, and written into it:
    ///     position: verifier.head(),
    ///     issued_at: now,
    ///     expires_at: now + 300,
    ///     ..Named::default()
    /// };
    /// assert_eq!(verifier.ask(&token, WhenStale::Deny).await, Ok(()));
    ///
    /// issuer.revoke_named("shop", &Revocation::session("f0c1"));
    /// let denied = verifier.ask(&token, WhenStale::Deny).await;
    /// assert!(matches!(denied, Err(AskError::Denied(VerifyError::Refused(_)))));
    ///
    /// let unknown = Named { namespace: Some("shpo"), ..token };
    /// let denied = verifier.ask(&unknown, WhenStale::Deny).await;
    /// assert_eq!(denied, Err(AskError::UnknownNamespace("shpo".into())));
    /// # }
    /// ```
    ///
    /// # Errors
    /// Returns an error if a revocation covers it or can't be ruled out, or if the namespace is unknown.
    pub async fn ask(&self, named: &Named<'_>, when_stale: WhenStale) -> Result<(), AskError> {
        self.report_unbound(when_stale);
        let decided = self.ask_and_wait(named, when_stale).await;
        self.asked(decided)
    }

    /// Like [`Verifier::ask`], but without a future. Returns `None` where that would have to wait: the
    /// verifier hasn't started, an entry is missing, or the issuer must be asked.
    ///
    /// ```
    /// use quash_verify::{Named, WhenStale, test::TestIssuer};
    ///
    /// let issuer = TestIssuer::with_namespace("shop");
    /// let verifier = issuer.verifier();
    /// let (issued_at, expires_at) = (issuer.now(), issuer.now() + 300);
    /// let token = Named { namespace: Some("shop"), issued_at, expires_at, ..Named::default() };
    /// assert_eq!(verifier.ask_now(&token, WhenStale::Deny), Some(Ok(())));
    ///
    /// // A position that the verifier doesn't know yet:
    /// let newer = Named { position: verifier.head().map(|head| head + 1), ..token };
    /// assert_eq!(verifier.ask_now(&newer, WhenStale::Deny), None);
    /// ```
    pub fn ask_now(&self, named: &Named<'_>, when_stale: WhenStale) -> Option<Result<(), AskError>> {
        self.report_unbound(when_stale);
        let decided = match self.inner.shared.check_named(named) {
            Ok(()) => Ok(()),
            Err(NotYet::UnknownNamespace) => Err(unknown(named)),
            Err(NotYet::Of(Uncertain::Refused(refusal))) => Err(refused(refusal)),
            Err(NotYet::Of(Uncertain::Behind { .. })) if !self.inner.has_left() => return None,
            Err(NotYet::Of(Uncertain::Boot)) if !self.inner.has_left() && !self.never_starts() => {
                return None;
            }
            Err(NotYet::Of(Uncertain::Boot | Uncertain::Behind { .. })) => Err(stale()),
            Err(NotYet::Of(Uncertain::Stale)) if self.inner.has_left() => Err(stale()),
            Err(NotYet::Of(Uncertain::Stale)) => self.decide_named_unvouched(named, when_stale)?,
        };
        Some(self.asked(decided))
    }

    /// Counts a decision, and drops it if the verifier has left meanwhile.
    fn asked(&self, decided: Decision) -> Decision {
        let decided = if self.inner.has_left() { Err(stale()) } else { decided };
        self.inner.counts.count(decided.as_ref().err().map(|error| match error {
            AskError::Denied(denied) => *denied,
            AskError::UnknownNamespace(_) => VerifyError::Stale,
        }));
        decided
    }

    async fn ask_and_wait(&self, named: &Named<'_>, when_stale: WhenStale) -> Decision {
        if self.inner.has_left() {
            return Err(stale());
        }
        let shared = &self.inner.shared;
        let mut judged = shared.check_named(named);
        if let Err(NotYet::Of(Uncertain::Behind { rsq, exists })) = judged {
            shared.wait_for_named(rsq, exists).await;
            judged = shared.check_named(named);
        }
        match judged {
            Ok(()) => Ok(()),
            Err(NotYet::UnknownNamespace) => Err(unknown(named)),
            Err(NotYet::Of(Uncertain::Refused(refusal))) => Err(refused(refusal)),
            Err(NotYet::Of(Uncertain::Boot)) => Err(stale()),
            Err(NotYet::Of(Uncertain::Behind { .. } | Uncertain::Stale)) => {
                match self.decide_named_unvouched(named, when_stale) {
                    Some(decided) => decided,
                    None => self.introspect_named(named).await,
                }
            }
        }
    }

    /// Returns `None` if the issuer must be asked.
    fn decide_named_unvouched(&self, named: &Named<'_>, when_stale: WhenStale) -> Option<Decision> {
        let shared = &self.inner.shared;
        if let Err(denied) = shared.check_named_unvouched(named) {
            return Some(Err(denied));
        }
        match when_stale {
            WhenStale::Deny => Some(Err(stale())),
            WhenStale::Allow => Some(Ok(())),
            WhenStale::AllowYoung(age) => {
                let is_young = shared.clock.now() < Timestamp::from_secs(named.issued_at) + age;
                Some(if is_young { Ok(()) } else { Err(stale()) })
            }
            WhenStale::IntrospectThenDeny => None,
        }
    }

    #[cfg(feature = "follow")]
    async fn introspect_named(&self, named: &Named<'_>) -> Decision {
        let Some(introspection) = self.inner.introspection.as_ref() else { return Err(stale()) };
        match introspection.ask(Question::Name(&question(named))).await {
            // A revocation that arrived meanwhile overrides the issuer's answer.
            Answer::Active => self.inner.shared.check_named_unvouched(named),
            Answer::Inactive => Err(refused(Refusal::TokenRevoked(None))),
            Answer::Unavailable | Answer::Silent => Err(stale()),
        }
    }

    /// Without the feature `follow` no issuer can be asked.
    #[cfg(not(feature = "follow"))]
    #[expect(clippy::unused_async, reason = "the same signature with the feature")]
    async fn introspect_named(&self, _named: &Named<'_>) -> Decision {
        Err(stale())
    }
}

impl VerifierShared {
    /// Applies the known revocations first, even those of a stale state, and checks the freshness afterwards.
    fn check_named(&self, named: &Named<'_>) -> Result<(), NotYet> {
        let state = self.state.load();
        let trust = state.trust.as_ref().ok_or(NotYet::Of(Uncertain::Boot))?;
        let (policy, scopes) = (&trust.terms.policy, &trust.terms.scopes);
        admit_named(named, policy, scopes, &state.revoked, self.clock.now()).map_err(
            |verdict| match verdict {
                NamedVerdict::Refused(refusal) => NotYet::Of(Uncertain::Refused(refusal)),
                NamedVerdict::Behind { position } => {
                    NotYet::Of(Uncertain::Behind { rsq: position, exists: false })
                }
                NamedVerdict::UnknownNamespace => NotYet::UnknownNamespace,
            },
        )?;
        match state.freshness {
            Freshness::Always => Ok(()),
            bounded if bounded.holds(self.clock.uptime()) => Ok(()),
            Freshness::Until(_) | Freshness::Proven { .. } | Freshness::Never => {
                Err(NotYet::Of(Uncertain::Stale))
            }
        }
    }

    /// Checks a name against the known revocations, although some may be missing.
    fn check_named_unvouched(&self, named: &Named<'_>) -> Decision {
        let state = self.state.load();
        let trust = state.trust.as_ref().ok_or_else(stale)?;
        let (policy, scopes) = (&trust.terms.policy, &trust.terms.scopes);
        admit_named_without_lease(named, policy, scopes, &state.revoked, self.clock.now()).map_err(
            |verdict| match verdict {
                NamedVerdict::Refused(refusal) => refused(refusal),
                NamedVerdict::UnknownNamespace => unknown(named),
                NamedVerdict::Behind { .. } => stale(),
            },
        )
    }
}

fn stale() -> AskError {
    AskError::Denied(VerifyError::Stale)
}

fn refused(refusal: Refusal) -> AskError {
    AskError::Denied(VerifyError::Refused(refusal))
}

fn unknown(named: &Named<'_>) -> AskError {
    AskError::UnknownNamespace(named.namespace.unwrap_or_default().to_owned())
}
