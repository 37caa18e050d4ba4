//! The verifier: decides on tokens in a process that is told of revocations by an issuer, and knows when it can't
//! vouch for its answers.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use quash_core::model::{Invalid, Refusal, Timestamp};

use crate::accepted::Accepted;
use crate::denied::Denied;
use crate::guard::CATCH_UP;
#[cfg(feature = "follow")]
use crate::introspection::{Answer, Introspection};
use crate::shared::{Doubt, Purposes, Shared};
use crate::stale::WhenStale;

/// Decides on tokens. Cloning it is cheap; all clones see the same, and what feeds them ends with the last one.
#[derive(Clone)]
pub struct Verifier {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) shared: Arc<Shared>,
    pub(crate) when_stale: WhenStale,
    /// Whether any route lets in what nobody has vouched for: the issuer is told.
    pub(crate) unbound: Arc<AtomicBool>,
    #[cfg(feature = "follow")]
    pub(crate) introspection: Option<Introspection>,
    pub(crate) counts: Counts,
    /// What feeds it, for as long as somebody asks.
    pub(crate) _feed: Option<Box<dyn Send + Sync>>,
}

/// What a verifier has decided since it began.
#[derive(Default)]
pub(crate) struct Counts {
    accepted: AtomicU64,
    refused: AtomicU64,
    stale: AtomicU64,
}

/// How far a verifier can vouch for its answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum VerifierState {
    /// It knows nothing yet: no token is let in.
    Boot,
    /// It knows every revocation that was confirmed longer ago than a lease holds; mostly it is milliseconds.
    Fresh,
    /// It can't tell whether it knows all.
    Stale,
    /// It can vouch for what it knows, and knows that there is more.
    Behind,
}

/// What there is to know about a verifier at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct VerifierMetrics {
    /// How far it can vouch for its answers.
    pub state: VerifierState,
    /// The number of the newest entry that it knows.
    pub cursor: u64,
    /// How many entries it knows to exist, and doesn't know.
    pub lag: u64,
    /// How many scopes it knows to be revoked.
    pub entries: usize,
    /// How many tokens it has let in.
    pub accepted: u64,
    /// How many it has refused.
    pub refused: u64,
    /// How often it couldn't tell.
    pub stale: u64,
}

impl Verifier {
    /// Checks a token. It is let in only if the issuer's keys have signed it for this purpose, it holds now, and nobody
    /// has revoked it.
    ///
    /// # Errors
    /// It is refused, or nobody can tell.
    pub async fn check(&self, token: &str) -> Result<Accepted, Denied> {
        self.check_when_stale(token, self.inner.when_stale).await
    }

    /// As [`Verifier::check`], with another way to go on while the verifier can't vouch for its answers.
    ///
    /// # Errors
    /// It is refused, or nobody can tell.
    pub async fn check_when_stale(&self, token: &str, when_stale: WhenStale) -> Result<Accepted, Denied> {
        let decided = self.decide(token, when_stale).await;
        self.inner.counts.count(&decided);
        decided
    }

    /// How far it can vouch for its answers now.
    pub fn state(&self) -> VerifierState {
        self.inner.shared.standing()
    }

    /// What there is to know about it now.
    pub fn metrics(&self) -> VerifierMetrics {
        let Inner { shared, counts, .. } = &*self.inner;
        let (entries, cursor) = {
            let state = shared.state.load();
            (state.revoked.len(), state.revoked.cursor())
        };
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        VerifierMetrics {
            state: shared.standing(),
            cursor: cursor.as_u64(),
            lag: shared.lag(cursor),
            entries,
            accepted: of(&counts.accepted),
            refused: of(&counts.refused),
            stale: of(&counts.stale),
        }
    }

    /// Tells the issuer that a route lets in what nobody has vouched for, if it does.
    pub(crate) fn goes_on_with(&self, when_stale: WhenStale) {
        if !when_stale.is_bound() {
            self.inner.unbound.store(true, Ordering::Relaxed);
        }
    }

    pub(crate) async fn decide(&self, token: &str, when_stale: WhenStale) -> Result<Accepted, Denied> {
        let shared = &self.inner.shared;
        let mut judged = shared.judge(token, Purposes::Accepted);
        if judged.as_ref().err() == Some(&Doubt::Refused(Refusal::TokenInvalid(Invalid::Key))) {
            shared.look_for_key_of(token).await?;
            judged = shared.judge(token, Purposes::Accepted);
        }
        if let Err(Doubt::Behind { rsq }) = judged {
            shared.prove(rsq);
            shared.poked.notify_one();
            // Whether it has come is seen by asking again.
            let _ = shared.caught_up(rsq, CATCH_UP).await;
            judged = shared.judge(token, Purposes::Accepted);
        }
        match judged {
            Ok(accepted) => Ok(accepted),
            Err(Doubt::Refused(refusal)) => Err(Denied::Refused(refusal)),
            Err(Doubt::Boot) => Err(Denied::Stale),
            Err(Doubt::Behind { .. } | Doubt::Stale) => self.decide_in_doubt(token, when_stale).await,
        }
    }

    async fn decide_in_doubt(&self, token: &str, when_stale: WhenStale) -> Result<Accepted, Denied> {
        let shared = &self.inner.shared;
        let accepted = shared.judge_unvouched(token)?;
        match when_stale {
            WhenStale::Deny => Err(Denied::Stale),
            WhenStale::Allow => Ok(accepted),
            WhenStale::AllowYoung(age) => {
                let minted_at = accepted.live().claims().iat.map(Timestamp::from_secs);
                if minted_at.is_some_and(|at| shared.clock.now() < at + age) {
                    Ok(accepted)
                } else {
                    Err(Denied::Stale)
                }
            }
            WhenStale::IntrospectThenDeny => self.introspect(token).await,
        }
    }

    #[cfg(feature = "follow")]
    async fn introspect(&self, token: &str) -> Result<Accepted, Denied> {
        let introspection = self.inner.introspection.as_ref().ok_or(Denied::Stale)?;
        match introspection.ask(token).await {
            // What has become known meanwhile holds, whatever was answered.
            Answer::Active => self.inner.shared.judge_unvouched(token),
            Answer::Inactive => Err(Denied::Refused(Refusal::TokenRevoked(None))),
            Answer::Away => Err(Denied::Stale),
        }
    }

    /// There is nobody to ask.
    #[cfg(not(feature = "follow"))]
    async fn introspect(&self, _token: &str) -> Result<Accepted, Denied> {
        Err(Denied::Stale)
    }
}

impl Counts {
    fn count(&self, decided: &Result<Accepted, Denied>) {
        let count = match decided {
            Ok(_) => &self.accepted,
            Err(Denied::Refused(_)) => &self.refused,
            Err(Denied::Stale | Denied::KeysAway) => &self.stale,
        };
        count.fetch_add(1, Ordering::Relaxed);
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier").field("metrics", &self.metrics()).finish_non_exhaustive()
    }
}
