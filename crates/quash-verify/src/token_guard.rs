//! A token for as long as a request goes on: a stream, a WebSocket or a download is cut when its token stops to hold.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use quash_core::model::Timestamp;
use quash_core::watch::Freshness;
use zeroize::Zeroizing;

use crate::accepted::Accepted;
use crate::denied::Denied;
use crate::shared::Doubt;
use crate::stale::WhenStale;
use crate::verifier::Verifier;

/// The token that a request was let in with. Cloning it is cheap.
#[derive(Clone)]
pub struct TokenGuard {
    accepted: Accepted,
    text: Arc<Zeroizing<String>>,
    verifier: Verifier,
    when_stale: WhenStale,
}

/// How long nobody looks at the clock: it may be moved, and machines sleep.
const AT_LEAST_EVERY: Duration = Duration::from_secs(10);
/// How often the issuer is asked about a token that nobody here can vouch for.
const IN_DOUBT_EVERY: Duration = Duration::from_secs(3);

impl TokenGuard {
    pub(crate) fn new(accepted: Accepted, text: &str, verifier: Verifier, when_stale: WhenStale) -> Self {
        Self { accepted, text: Arc::new(Zeroizing::new(text.to_owned())), verifier, when_stale }
    }

    /// The token as it was let in.
    pub fn accepted(&self) -> &Accepted {
        &self.accepted
    }

    /// Completes when the token isn't let in any more, and says why: it is revoked or expired, or nobody can vouch for it.
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
    pub async fn revoked(&self) -> Denied {
        loop {
            // From here on no change is missed.
            let mut cursor = self.verifier.inner.shared.cursor.subscribe();
            let wait = match self.again().await {
                Ok(wait) => wait,
                Err(denied) => return denied,
            };
            // It is asked again in any case.
            let _ = tokio::time::timeout(wait, cursor.changed()).await;
        }
    }

    /// Asks again, and says for how long that is good unless something becomes known.
    async fn again(&self) -> Result<Duration, Denied> {
        let shared = &self.verifier.inner.shared;
        match shared.judge_again(self.accepted.live().to_authentic()) {
            Ok(_) => {
                let now = shared.clock.now();
                let expires_in =
                    self.accepted.live().claims().exp.map(|exp| Timestamp::from_secs(exp).since(now));
                let fresh_for = match shared.state.load().freshness {
                    Freshness::Until(until) => until.saturating_sub(shared.clock.uptime()),
                    Freshness::Always | Freshness::Never => AT_LEAST_EVERY,
                };
                // A millisecond more: at the edge itself it would be asked again and again.
                Ok(expires_in.unwrap_or_default().min(fresh_for).min(AT_LEAST_EVERY)
                    + Duration::from_millis(1))
            }
            Err(Doubt::Refused(refusal)) => Err(Denied::Refused(refusal)),
            Err(Doubt::Behind { .. } | Doubt::Stale | Doubt::Boot) => {
                self.verifier.decide(&self.text, self.when_stale).await.map(|_| IN_DOUBT_EVERY)
            }
        }
    }
}

impl Verifier {
    /// As [`Verifier::check`], for what goes on longer than a request.
    ///
    /// # Errors
    /// The token is refused, or nobody can tell.
    pub async fn watch(&self, token: &str) -> Result<TokenGuard, Denied> {
        let when_stale = self.inner.when_stale;
        self.check(token).await.map(|accepted| TokenGuard::new(accepted, token, self.clone(), when_stale))
    }
}

impl fmt::Debug for TokenGuard {
    /// Without the token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenGuard").field("accepted", &self.accepted).finish_non_exhaustive()
    }
}
