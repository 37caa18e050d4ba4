//! A token that is watched for longer than a request: a stream, a WebSocket or a download can end when its
//! token does.
//!
//! ```
//! use quash_verify::{VerifyError, test::TestIssuer};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() {
//! let issuer = TestIssuer::new();
//! let token = issuer.token("dana").mint();
//! // The layer puts such a guard into each request's extensions; with axum, extract it.
//! let guard = issuer.verifier().watch(token.as_str()).await.expect("a live token");
//!
//! issuer.revoke_session(token.session());
//! assert!(matches!(guard.revoked().await, VerifyError::Refused(_)));
//! # }
//! ```

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use quash_core::model::Timestamp;
use quash_core::watch::Freshness;
use zeroize::Zeroizing;

use crate::accepted::Accepted;
use crate::shared::Uncertain;
use crate::stale::WhenStale;
use crate::verifier::Verifier;
use crate::verify_error::VerifyError;

/// The token that a request was accepted with. Clones are cheap.
#[derive(Clone)]
pub struct TokenGuard {
    accepted: Accepted,
    text: Arc<Zeroizing<String>>,
    verifier: Verifier,
    when_stale: WhenStale,
}

/// The longest pause between two looks at the clock: it may be set, and machines sleep.
const AT_LEAST_EVERY: Duration = Duration::from_secs(10);
/// The interval between introspection requests for one token while the verifier is stale.
const UNCERTAIN_EVERY: Duration = Duration::from_secs(3);

impl TokenGuard {
    pub(crate) fn new(accepted: Accepted, text: &str, verifier: Verifier, when_stale: WhenStale) -> Self {
        Self { accepted, text: Arc::new(Zeroizing::new(text.to_owned())), verifier, when_stale }
    }

    /// Returns the token as it was accepted.
    pub fn accepted(&self) -> &Accepted {
        &self.accepted
    }

    /// Completes as soon as the token is no longer accepted, with the reason: it has been revoked, it has
    /// expired, or its revocation can no longer be ruled out.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// # let issuer = quash_verify::test::TestIssuer::new();
    /// # let (verifier, token) = (issuer.verifier(), issuer.token("dana").mint());
    /// # let guard = verifier.watch(token.as_str()).await.expect("a live token");
    /// # issuer.revoke_session(token.session());
    /// # let work = std::future::pending::<()>();
    /// tokio::select! {
    ///     () = work => println!("done"),
    ///     why = guard.revoked() => println!("cut: {why:?}"),
    /// }
    /// # }
    /// ```
    pub async fn revoked(&self) -> VerifyError {
        loop {
            // Subscribes before the check, so that no change is missed.
            let mut cursor = self.verifier.inner.shared.cursor.subscribe();
            let wait = match self.check_again().await {
                Ok(wait) => wait,
                Err(denied) => return denied,
            };
            // The loop checks again after a change and after a timeout alike.
            let _ = tokio::time::timeout(wait, cursor.changed()).await;
        }
    }

    /// Checks the token again, and returns how long the result is valid unless a revocation arrives.
    async fn check_again(&self) -> Result<Duration, VerifyError> {
        if self.verifier.inner.has_left() {
            return Err(VerifyError::Stale);
        }
        let shared = &self.verifier.inner.shared;
        match shared.check_state_again(self.accepted.live().to_authentic()) {
            Ok(_) => {
                let now = shared.clock.now();
                let expires_in =
                    self.accepted.live().claims().exp.map(|exp| Timestamp::from_secs(exp).since(now));
                let fresh_for = match shared.state.load().freshness {
                    Freshness::Until(until) | Freshness::Proven { until, .. } => {
                        until.saturating_sub(shared.clock.uptime())
                    }
                    Freshness::Always | Freshness::Never => AT_LEAST_EVERY,
                };
                // One millisecond more: waking at the very edge would check again and again.
                Ok(expires_in.unwrap_or_default().min(fresh_for).min(AT_LEAST_EVERY)
                    + Duration::from_millis(1))
            }
            Err(Uncertain::Refused(refusal)) => Err(VerifyError::Refused(refusal)),
            Err(Uncertain::Behind { .. } | Uncertain::Stale | Uncertain::Boot) => {
                self.verifier.decide(&self.text, self.when_stale).await.map(|_| UNCERTAIN_EVERY)
            }
        }
    }
}

impl Verifier {
    /// Like [`Verifier::check`], for work that lasts longer than a request.
    ///
    /// # Errors
    /// Returns an error if the token is refused, or if its revocation can't be ruled out.
    pub async fn watch(&self, token: &str) -> Result<TokenGuard, VerifyError> {
        self.watch_when_stale(token, self.inner.when_stale).await
    }

    /// Like [`Verifier::watch`], with another policy for the time while the verifier is stale.
    ///
    /// # Errors
    /// Returns an error if the token is refused, or if its revocation can't be ruled out.
    pub async fn watch_when_stale(
        &self,
        token: &str,
        when_stale: WhenStale,
    ) -> Result<TokenGuard, VerifyError> {
        let accepted = self.check_when_stale(token, when_stale).await?;
        Ok(TokenGuard::new(accepted, token, self.clone(), when_stale))
    }
}

impl fmt::Debug for TokenGuard {
    /// Omits the token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenGuard").field("accepted", &self.accepted).finish_non_exhaustive()
    }
}
