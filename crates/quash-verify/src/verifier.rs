//! The verifier: checks tokens in a process that receives revocations from an issuer, and knows when its
//! answers may be out of date.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use quash_core::model::{Invalid, Refusal, Seq, Timestamp};
use quash_core::token::Purposes;

use crate::accepted::Accepted;
#[cfg(feature = "follow")]
use crate::follow::fault::StartError;
#[cfg(feature = "follow")]
use crate::follow::following::Following;
#[cfg(feature = "follow")]
use crate::introspection::{Answer, Introspection, Question, question};
use crate::shared::{Uncertain, VerifierShared};
use crate::stale::WhenStale;
use crate::state::{Counts, VerifierMetrics, VerifierState};
use crate::verify_error::VerifyError;

/// Verifies an issuer's tokens in an application.
///
/// Clones are cheap and share their state. The tasks that follow the issuer end with the last clone.
#[derive(Clone)]
pub struct Verifier {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) shared: Arc<VerifierShared>,
    pub(crate) when_stale: WhenStale,
    /// Set if any route accepts unvouched tokens. Reported to the issuer.
    pub(crate) unbound: Arc<AtomicBool>,
    #[cfg(feature = "follow")]
    pub(crate) introspection: Option<Introspection>,
    pub(crate) counts: Counts,
    /// Set once the verifier gives its lease back: it accepts no token any more.
    pub(crate) has_left: AtomicBool,
    /// The connection to the issuer; dropping it ends the tasks that follow.
    #[cfg(feature = "follow")]
    pub(crate) following: Option<Following>,
}

impl Verifier {
    /// Checks a token. Accepts it only if the issuer's keys signed it, its type is accepted, it is valid now
    /// and it hasn't been revoked.
    ///
    /// # Errors
    /// Returns an error if the token is refused, or if its revocation can't be ruled out.
    pub async fn check(&self, token: &str) -> Result<Accepted, VerifyError> {
        self.check_when_stale(token, self.inner.when_stale).await
    }

    /// Like [`Verifier::check`], with another policy for the time while the verifier is stale.
    ///
    /// # Errors
    /// Returns an error if the token is refused, or if its revocation can't be ruled out.
    pub async fn check_when_stale(
        &self,
        token: &str,
        when_stale: WhenStale,
    ) -> Result<Accepted, VerifyError> {
        self.report_unbound(when_stale);
        let decided = self.decide(token, when_stale).await;
        self.inner.counts.count(decided.as_ref().err().copied());
        decided
    }

    /// Checks a token like [`Verifier::check`], but without a future. Returns `None` where that check would
    /// have to wait: the verifier hasn't started, an entry or a key is missing, or the issuer must be asked.
    /// Then wait for [`Verifier::check`], after `settled` for a verifier that has just started.
    ///
    /// ```
    /// use quash_verify::{Accepted, VerifyError, Verifier, test::TestIssuer};
    ///
    /// async fn check(verifier: &Verifier, token: &str) -> Result<Accepted, VerifyError> {
    ///     match verifier.check_now(token) {
    ///         Some(decided) => decided,
    ///         None => verifier.check(token).await,
    ///     }
    /// }
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// let issuer = TestIssuer::new();
    /// let (verifier, token) = (issuer.verifier(), issuer.token("dana").mint());
    /// assert!(matches!(verifier.check_now(token.as_str()), Some(Ok(_))));
    ///
    /// issuer.stop_leases();
    /// assert!(verifier.check_now(token.as_str()).is_none(), "the issuer must be asked");
    /// assert_eq!(check(&verifier, token.as_str()).await.err(), Some(VerifyError::Stale));
    /// # }
    /// ```
    pub fn check_now(&self, token: &str) -> Option<Result<Accepted, VerifyError>> {
        self.check_now_when_stale(token, self.inner.when_stale)
    }

    /// Like [`Verifier::check_now`], with another policy for the time while the verifier is stale.
    pub fn check_now_when_stale(
        &self,
        token: &str,
        when_stale: WhenStale,
    ) -> Option<Result<Accepted, VerifyError>> {
        self.report_unbound(when_stale);
        let decided = self.decide_now(token, when_stale)?;
        let decided = self.inner.unless_left(decided);
        self.inner.counts.count(decided.as_ref().err().copied());
        Some(decided)
    }

    /// Checks a token like [`Verifier::check_now`], for an application that can decide otherwise, too: returns
    /// `None` wherever it doesn't accept the token, and doesn't count that.
    pub fn accept_now(&self, token: &str, when_stale: WhenStale) -> Option<Accepted> {
        self.report_unbound(when_stale);
        let decided = self.decide_now(token, when_stale)?;
        let accepted = self.inner.unless_left(decided).ok()?;
        self.inner.counts.count(None);
        Some(accepted)
    }

    /// Returns the number of the newest known entry of the issuer's log, for an application that issues
    /// tokens of its own: a revocation with a higher number covers such a token. `None` while the verifier
    /// can't vouch for the number: newer entries may have been confirmed.
    ///
    /// ```
    /// use quash_verify::test::TestIssuer;
    /// let issuer = TestIssuer::new();
    /// let verifier = issuer.verifier();
    /// let before = verifier.head().expect("a fresh verifier");
    /// issuer.revoke_subject("dana");
    /// assert_eq!(verifier.head(), Some(before + 1));
    /// issuer.stop_leases();
    /// assert_eq!(verifier.head(), None);
    /// ```
    pub fn head(&self) -> Option<u64> {
        let Inner { shared, .. } = &*self.inner;
        let state = shared.state.load();
        let can_vouch =
            state.trust.is_some() && state.freshness.holds(shared.clock.uptime()) && !self.inner.has_left();
        can_vouch.then(|| state.revoked.cursor().as_u64())
    }

    /// Waits until the entry `seq` is known here, `within` at most, and returns whether it is: the next check
    /// applies it. For an application that has just revoked something.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use quash_verify::test::TestIssuer;
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// let issuer = TestIssuer::new();
    /// let verifier = issuer.verifier();
    /// let head = verifier.head().expect("a fresh verifier");
    /// assert!(!verifier.caught_up(head + 1, Duration::from_millis(1)).await);
    /// issuer.revoke_subject("dana");
    /// assert!(verifier.caught_up(head + 1, Duration::from_millis(50)).await);
    /// # }
    /// ```
    pub async fn caught_up(&self, seq: u64, within: Duration) -> bool {
        self.inner.shared.caught_up(Seq::from_u64(seq), within).await.is_ok()
    }

    /// Waits until a verifier that was started in the background can decide about tokens, and returns its
    /// state: FRESH, or STALE if it knows the revocations and no lease arrives. The wait ends `within` after
    /// the verifier was *started*, so that only the first requests of a process wait.
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # use quash_verify::{StartError, Verifier};
    /// # async fn start() -> Result<(), StartError> {
    /// let builder = Verifier::builder("https://id.example.org").credential("qv_…");
    /// let verifier = builder.start_in_background()?;
    /// // Before the first check:
    /// let state = verifier.settled(Duration::from_secs(10)).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Returns an error if the verifier can't start, or if the issuer doesn't answer in time.
    #[cfg(feature = "follow")]
    pub async fn settled(&self, within: Duration) -> Result<VerifierState, StartError> {
        if let Some(following) = &self.inner.following {
            let since = self.inner.shared.clock.uptime().saturating_sub(following.began_at());
            following.settled(within.saturating_sub(since)).await?;
        }
        Ok(self.state())
    }

    /// Returns the verifier's current state.
    pub fn state(&self) -> VerifierState {
        if self.inner.has_left() { VerifierState::Left } else { self.inner.shared.verifier_state() }
    }

    /// Stops accepting tokens, for good and on all clones, and then gives the verifier's lease back to the
    /// issuer. Call it when the process is about to end: otherwise a request that waits for all verifiers
    /// waits for this one until its lease has expired. Takes 200 ms at most; if the issuer doesn't answer by
    /// then, the lease expires by itself.
    ///
    /// ```
    /// use quash_verify::{VerifyError, VerifierState, test::TestIssuer};
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// let issuer = TestIssuer::new();
    /// let (verifier, token) = (issuer.verifier(), issuer.token("dana").mint());
    /// assert!(verifier.check(token.as_str()).await.is_ok());
    ///
    /// // After the server has answered its last request:
    /// verifier.leave().await;
    /// assert_eq!(verifier.state(), VerifierState::Left);
    /// assert_eq!(verifier.check(token.as_str()).await.err(), Some(VerifyError::Stale));
    /// # }
    /// ```
    pub async fn leave(&self) {
        // First of all: the issuer confirms revocations without this verifier from the request on.
        if self.inner.has_left.swap(true, Ordering::SeqCst) {
            return;
        }
        // The guards of streams then end.
        self.inner.shared.wake();
        #[cfg(feature = "follow")]
        if let Some(following) = &self.inner.following {
            following.leave().await;
        }
    }

    /// Returns the random id of this verifier, by which the issuer lists it. A test issuer's verifier has none.
    #[cfg(feature = "follow")]
    pub fn instance(&self) -> Option<&str> {
        self.inner.following.as_ref().map(Following::instance)
    }

    /// Returns the verifier's current state and counters.
    pub fn metrics(&self) -> VerifierMetrics {
        let Inner { shared, counts, .. } = &*self.inner;
        let (entries, cursor) = {
            let state = shared.state.load();
            (state.revoked.len(), state.revoked.cursor())
        };
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        VerifierMetrics {
            state: self.state(),
            cursor: cursor.as_u64(),
            lag: shared.lag(cursor),
            entries,
            accepted: of(&counts.accepted),
            refused: of(&counts.refused),
            stale: of(&counts.stale),
        }
    }

    /// Makes leases report to the issuer that unvouched tokens are accepted, if `when_stale` allows that.
    pub(crate) fn report_unbound(&self, when_stale: WhenStale) {
        if !when_stale.is_bound() {
            self.inner.unbound.store(true, Ordering::Relaxed);
        }
    }

    pub(crate) async fn decide(&self, token: &str, when_stale: WhenStale) -> Result<Accepted, VerifyError> {
        if self.inner.has_left() {
            return Err(VerifyError::Stale);
        }
        let decided = self.decide_and_wait(token, when_stale).await;
        self.inner.unless_left(decided)
    }

    /// Returns `None` where [`Verifier::decide`] would wait.
    fn decide_now(&self, token: &str, when_stale: WhenStale) -> Option<Result<Accepted, VerifyError>> {
        if self.inner.has_left() {
            return Some(Err(VerifyError::Stale));
        }
        let shared = &self.inner.shared;
        match shared.check_state(token, Purposes::Accepted) {
            Ok(accepted) => Some(Ok(accepted)),
            Err(Uncertain::Refused(Refusal::TokenInvalid(Invalid::Key))) if shared.fetches_keys() => None,
            Err(Uncertain::Behind { .. }) => None,
            Err(Uncertain::Refused(refusal)) => Some(Err(VerifyError::Refused(refusal))),
            Err(Uncertain::Boot) => self.never_starts().then_some(Err(VerifyError::Stale)),
            Err(Uncertain::Stale) => self.decide_unvouched(token, when_stale),
        }
    }

    #[cfg(feature = "follow")]
    pub(crate) fn never_starts(&self) -> bool {
        self.inner.following.as_ref().is_some_and(Following::never_starts)
    }

    /// Without the feature `follow`, no verifier is ever starting.
    #[cfg(not(feature = "follow"))]
    pub(crate) fn never_starts(&self) -> bool {
        true
    }

    async fn decide_and_wait(&self, token: &str, when_stale: WhenStale) -> Result<Accepted, VerifyError> {
        let shared = &self.inner.shared;
        let mut judged = shared.check_state(token, Purposes::Accepted);
        if judged.as_ref().err() == Some(&Uncertain::Refused(Refusal::TokenInvalid(Invalid::Key))) {
            shared.look_for_key_of(token).await?;
            judged = shared.check_state(token, Purposes::Accepted);
        }
        if let Err(Uncertain::Behind { rsq, exists }) = judged {
            shared.wait_for_named(rsq, exists).await;
            judged = shared.check_state(token, Purposes::Accepted);
        }
        match judged {
            Ok(accepted) => Ok(accepted),
            Err(Uncertain::Refused(refusal)) => Err(VerifyError::Refused(refusal)),
            Err(Uncertain::Boot) => Err(VerifyError::Stale),
            Err(Uncertain::Behind { .. } | Uncertain::Stale) => {
                self.apply_stale_policy(token, when_stale).await
            }
        }
    }

    async fn apply_stale_policy(&self, token: &str, when_stale: WhenStale) -> Result<Accepted, VerifyError> {
        match self.decide_unvouched(token, when_stale) {
            Some(decided) => decided,
            None => self.introspect(token).await,
        }
    }

    /// Returns `None` if the issuer must be asked.
    fn decide_unvouched(&self, token: &str, when_stale: WhenStale) -> Option<Result<Accepted, VerifyError>> {
        let shared = &self.inner.shared;
        let accepted = match shared.check_state_unvouched(token) {
            Ok(accepted) => accepted,
            Err(denied) => return Some(Err(denied)),
        };
        match when_stale {
            WhenStale::Deny => Some(Err(VerifyError::Stale)),
            WhenStale::Allow => Some(Ok(accepted)),
            WhenStale::AllowYoung(age) => {
                let minted_at = accepted.live().claims().iat.map(Timestamp::from_secs);
                let is_young = minted_at.is_some_and(|at| shared.clock.now() < at + age);
                Some(if is_young { Ok(accepted) } else { Err(VerifyError::Stale) })
            }
            WhenStale::IntrospectThenDeny => None,
        }
    }

    #[cfg(feature = "follow")]
    async fn introspect(&self, token: &str) -> Result<Accepted, VerifyError> {
        let introspection = self.inner.introspection.as_ref().ok_or(VerifyError::Stale)?;
        let accepted = self.inner.shared.check_state_unvouched(token)?;
        let answer = match accepted.named() {
            // The credential may have rights in the namespace alone.
            Some(named) => introspection.ask(Question::Name(&question(&named))).await,
            None => introspection.ask(Question::Token(token)).await,
        };
        match answer {
            // A revocation that arrived meanwhile overrides the issuer's answer.
            Answer::Active => self.inner.shared.check_state_unvouched(token),
            Answer::Inactive => Err(VerifyError::Refused(Refusal::TokenRevoked(None))),
            Answer::Unavailable | Answer::Silent => Err(VerifyError::Stale),
        }
    }

    /// Without the feature `follow` no issuer can be asked.
    #[cfg(not(feature = "follow"))]
    async fn introspect(&self, _token: &str) -> Result<Accepted, VerifyError> {
        Err(VerifyError::Stale)
    }
}

impl Inner {
    pub(crate) fn has_left(&self) -> bool {
        self.has_left.load(Ordering::SeqCst)
    }

    /// Drops a decision if the verifier has left meanwhile.
    fn unless_left(&self, decided: Result<Accepted, VerifyError>) -> Result<Accepted, VerifyError> {
        if self.has_left() { Err(VerifyError::Stale) } else { decided }
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier").field("metrics", &self.metrics()).finish_non_exhaustive()
    }
}
