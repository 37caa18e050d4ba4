//! Exchanges refresh tokens for new pairs, sliding tokens for longer-lived ones, and tokens of other issuers
//! for ours.

use quash_core::decide::{
    Device, PresentedForeign, PresentedRefresh, PresentedSliding, Refreshed, TokenRequest, bind_exchanged,
    refresh, refresh_foreign, refresh_foreign_sliding, refresh_sliding,
};
use quash_core::model::{Account, Change, Invalid, Refusal, Session, Timestamp};
use quash_core::token::{Issued, TokenType};

use crate::context::{Context, Service};
use crate::failure::Failure;
use crate::known_device::DeviceTokenInput;
use crate::metrics::Exchanged;
use crate::retry::retry;

impl Service {
    /// Spends a refresh token, or returns its successor again; a reused token ends its session. Another
    /// issuer's token opens a session.
    ///
    /// # Errors
    /// The token is refused, or can't be judged now.
    pub async fn refresh(
        &self,
        token: &str,
        device: &Device,
        device_token: &DeviceTokenInput,
    ) -> Result<Issued, Failure> {
        self.exchange(token, TokenType::Refresh, device, device_token).await
    }

    /// Exchanges a sliding token for a longer-lived one.
    ///
    /// # Errors
    /// The token is refused, or can't be judged now.
    pub async fn refresh_sliding(
        &self,
        token: &str,
        device: &Device,
        device_token: &DeviceTokenInput,
    ) -> Result<Issued, Failure> {
        self.exchange(token, TokenType::Sliding, device, device_token).await
    }

    async fn exchange(
        &self,
        text: &str,
        purpose: TokenType,
        device: &Device,
        device_token: &DeviceTokenInput,
    ) -> Result<Issued, Failure> {
        let context = &*self.context;
        context.can_sign().await?;
        let token = context.guard.authenticate_before_look(text).await?;
        let checked = token.check_for_any_purpose(&context.token_policy(), context.clock.now());
        if checked == Err(Refusal::TokenInvalid(Invalid::Lifetime)) {
            // Another node may have allowed longer lifetimes a moment ago.
            context.guard.proven().await?;
        }
        retry!({
            let (decided, now) =
                match TokenRequest::new(&token, purpose, &context.token_policy(), context.clock.now())? {
                    TokenRequest::Refresh(presented) => {
                        context.decide_refresh(&presented, device_token).await?
                    }
                    TokenRequest::Sliding(presented) => {
                        context.decide_sliding(&presented, device_token).await?
                    }
                    TokenRequest::Foreign(presented) => {
                        context.decide_foreign(&presented, purpose, device, device_token).await?
                    }
                };
            let (change, outcome) = match decided {
                Refreshed::Answer { grant } => {
                    context.metrics.exchanged(Exchanged::answered);
                    return Ok(context.issue(grant, now).await?);
                }
                Refreshed::Write { change, grant } => (change, Ok(grant)),
                Refreshed::End { change, refusal } => (change, Err(refusal)),
            };
            // Another issuer's token opens a session, as a sign-in does.
            if let Change::OpenSession(opening) = &change {
                context.quotas.check(&opening.session.subject, context.clock.uptime())?;
            }
            let exchanged = if matches!(change, Change::BindSession { .. }) {
                Exchanged::answered
            } else {
                Exchanged::rotated
            };
            context.commit_and_announce(change).await?;
            match outcome {
                Ok(grant) => {
                    context.metrics.exchanged(exchanged);
                    Ok(context.issue(grant, now).await?)
                }
                Err(refusal) => {
                    context.metrics.exchanged(Exchanged::ended);
                    tracing::warn!(session = token.claims().sid.map(tracing::field::display), %refusal, "refused an exchange and ended the session or the token");
                    Err(refusal.into())
                }
            }
        })
    }
}

/// Each function reads the clock after the store. Otherwise a row that a concurrent request has just written
/// would lie in the future, which counts as a clock that was set back.
impl Context {
    async fn decide_refresh(
        &self,
        presented: &PresentedRefresh,
        device_token: &DeviceTokenInput,
    ) -> Result<(Refreshed, Timestamp), Failure> {
        let loaded = self.store.session(presented.session).await?;
        let now = self.clock.now();
        let decided = refresh(presented, &loaded, &self.policy, &self.keys.refresh, self.guard.scopes(), now);
        let decided = self.bound(decided, loaded.found.as_ref(), device_token);
        Ok((self.explained(decided, loaded.found.as_ref(), &loaded.head).await?, now))
    }

    async fn decide_sliding(
        &self,
        presented: &PresentedSliding,
        device_token: &DeviceTokenInput,
    ) -> Result<(Refreshed, Timestamp), Failure> {
        let loaded = self.store.session(presented.session).await?;
        let now = self.clock.now();
        let decided = refresh_sliding(presented, &loaded, &self.policy, &self.keys.refresh, now);
        let decided =
            self.bound(decided.map(|grant| Refreshed::Answer { grant }), loaded.found.as_ref(), device_token);
        Ok((self.explained(decided, loaded.found.as_ref(), &loaded.head).await?, now))
    }

    async fn decide_foreign(
        &self,
        presented: &PresentedForeign,
        purpose: TokenType,
        device: &Device,
        device_token: &DeviceTokenInput,
    ) -> Result<(Refreshed, Timestamp), Failure> {
        let loaded = self.foreign(presented, self.clock.now()).await?;
        let now = self.clock.now();
        let decide = if purpose == TokenType::Sliding { refresh_foreign_sliding } else { refresh_foreign };
        let decided =
            decide(presented, &loaded, device, &self.policy, self.guard.scopes(), now, &*self.entropy);
        let decided = self.bound(decided, loaded.adopted.as_ref(), device_token);
        Ok((self.explained(decided, loaded.adopted.as_ref(), &loaded.account.head).await?, now))
    }

    /// Binds the session to the known device whose token the client sends. From then on the session survives
    /// a lock.
    fn bound(
        &self,
        decided: Result<Refreshed, Refusal>,
        found: Option<&(Session, Account)>,
        device_token: &DeviceTokenInput,
    ) -> Result<Refreshed, Refusal> {
        let Some((session, account)) = found else { return decided };
        decided.map(|refreshed| {
            bind_exchanged(refreshed, session, self.device_key.presented(device_token, account))
        })
    }
}
