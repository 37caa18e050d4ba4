//! Verifies a token without consequences: reports whether a request with it would be accepted.

use quash_core::decide::{
    PresentedForeign, TokenRequest, is_of_another_password, recheck_foreign, recheck_presented,
    recheck_sliding,
};
use quash_core::model::{Account, AccountStatus, InactiveAccounts, Reason, Refusal, Session};
use quash_core::token::{Authentic, Origin, TokenType};
use quash_verify::VerifyError;

use crate::context::{Context, Service};
use crate::failure::Failure;

impl Service {
    /// Checks that a token of any type is valid now. A spent refresh token is refused, but its session
    /// doesn't end.
    ///
    /// # Errors
    /// The token is refused, or can't be judged now.
    pub async fn verify(&self, text: &str) -> Result<(), Failure> {
        let context = &*self.context;
        let token = context.guard.authenticate(text).await?;
        match token.claims().token_type {
            Some(TokenType::Refresh) if token.namespace().is_none() => {
                let began = context.clock.uptime();
                context.recheck(&token, TokenType::Refresh).await?;
                context.check_in_time(began)
            }
            Some(purpose) => match context.guard.check(text, &[purpose]).await {
                Ok(_) => context.check_bearer(&token).await,
                Err(VerifyError::Refused(refusal @ Refusal::TokenRevoked(_))) => {
                    Err(context.why_revoked(refusal, &token).await?)
                }
                Err(denied) => Err(denied.into()),
            },
            None => {
                token.check_for_any_purpose(&context.token_policy(), context.clock.now())?;
                Err(Failure::Refused(Refusal::TokenOfWrongType))
            }
        }
    }
}

impl Service {
    /// Returns whether a token is another issuer's, and was issued for another password than its account has.
    /// Only for the wording of an answer.
    pub async fn is_of_another_password(&self, text: &str) -> bool {
        match self.context.guard.authenticate(text).await {
            Ok(token) if matches!(token.origin(), Origin::Foreign(_)) => {
                matches!(
                    self.context.foreign_account(&token).await,
                    Err(Failure::Refused(Refusal::PasswordChanged))
                )
            }
            _ => false,
        }
    }
}

/// The session and the account behind a token, as the store has them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct LoadedToken {
    /// The token's session, if it has one.
    pub(crate) session: Option<Session>,
    /// The token's owner, if it is one of our accounts.
    pub(crate) account: Option<Account>,
}

impl LoadedToken {
    pub(crate) fn of(found: Option<(Session, Account)>) -> Self {
        let (session, account) = found.unzip();
        Self { session, account }
    }
}

impl Context {
    /// Loads the session and the account behind a token that could be exchanged.
    ///
    /// # Errors
    /// The refusal that exchanging the token would produce.
    pub(crate) async fn recheck(
        &self,
        token: &Authentic,
        purpose: TokenType,
    ) -> Result<LoadedToken, Failure> {
        let now = self.clock.now();
        match TokenRequest::new(token, purpose, &self.token_policy(), now)? {
            TokenRequest::Refresh(presented) => {
                let loaded = self.store.session(presented.session).await?;
                let judged = recheck_presented(&presented, &loaded, &self.policy, &self.keys.refresh);
                self.explained(judged, loaded.found.as_ref(), &loaded.head).await?;
                Ok(LoadedToken::of(loaded.found))
            }
            TokenRequest::Sliding(presented) => {
                let loaded = self.store.session(presented.session).await?;
                let judged = recheck_sliding(&presented, &loaded, &self.keys.refresh);
                self.explained(judged, loaded.found.as_ref(), &loaded.head).await?;
                Ok(LoadedToken::of(loaded.found))
            }
            TokenRequest::Foreign(presented) => {
                let loaded = self.foreign(&presented, now).await?;
                let judged = recheck_foreign(&presented, &loaded, &self.policy);
                self.explained(judged, loaded.adopted.as_ref(), &loaded.account.head).await?;
                Ok(match loaded.adopted {
                    Some(adopted) => LoadedToken::of(Some(adopted)),
                    None => LoadedToken { session: None, account: loaded.account.account },
                })
            }
        }
    }

    /// Checks two facts about an access or sliding token that the guard can't: that the account of another
    /// issuer's token may be used (our own sessions end with their account), and that a sliding token's id is
    /// genuine.
    pub(crate) async fn check_bearer(&self, token: &Authentic) -> Result<(), Failure> {
        match (token.origin(), token.claims().token_type) {
            // The users of another namespace aren't our accounts.
            (Origin::Foreign(issuer), _) if issuer.namespace.is_some() => Ok(()),
            (Origin::Foreign(_), _) => {
                self.foreign_account(token).await?;
                Ok(())
            }
            (Origin::Ours, Some(TokenType::Sliding)) => {
                self.recheck(token, TokenType::Sliding).await?;
                Ok(())
            }
            (Origin::Ours, _) => Ok(()),
        }
    }

    /// The account of another issuer's token.
    pub(crate) async fn foreign_account(&self, token: &Authentic) -> Result<Account, Failure> {
        let now = self.clock.now();
        let presented = PresentedForeign::new(token, &self.policy.tokens)?;
        let by = presented.account.as_ref().ok_or(Refusal::AccountNotFound)?;
        let account = self.store.account(by, now).await?.account.ok_or(Refusal::AccountNotFound)?;
        if account.status(now) == AccountStatus::Deactivated
            && self.policy.accounts.inactive == InactiveAccounts::Refused
        {
            return Err(Refusal::AccountInactive.into());
        }
        if is_of_another_password(token.claims().password_mark.as_deref(), &account, &self.policy) {
            return Err(Refusal::PasswordChanged.into());
        }
        Ok(account)
    }

    /// Adds the reason to the refusal of a revoked token, as far as its key, its account or its session
    /// reveals it.
    pub(crate) async fn why_revoked(&self, refusal: Refusal, token: &Authentic) -> Result<Failure, Failure> {
        if self.guard.ring().is_revoked(token.kid()) {
            return Ok(Failure::Refused(Refusal::TokenRevoked(Some(Reason::KeyRemoved))));
        }
        let Ok((session, _)) = token.session_and_rsq() else {
            return Ok(match self.foreign_account(token).await {
                Err(Failure::Refused(Refusal::PasswordChanged)) => Failure::Refused(Refusal::PasswordChanged),
                _ => Failure::Refused(refusal),
            });
        };
        let loaded = self.store.session(session).await?;
        Ok(self.explain(refusal, loaded.found.as_ref(), &loaded.head).await)
    }
}
