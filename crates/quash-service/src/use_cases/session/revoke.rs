//! Revocation by a client (RFC 7009): a token's session ends, with all its access and refresh tokens.

use quash_core::decide::{PresentedForeign, TokenRequest};
use quash_core::model::{Account, Actor, Client, Refusal, Session};
use quash_core::token::{Authentic, Origin, TokenType};
use quash_verify::VerifyError;

use crate::context::{Context, Service};
use crate::failure::Failure;
use crate::retry::retry;
use crate::use_cases::session::end::{Ended, Ends, LOG_OUT_WITH};

/// The result of a client's revocation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TokenRevoked {
    /// The token's session, or the token itself, was ended.
    Ended(Ended),
    /// The token was invalid before: it isn't ours, has expired, or has been revoked.
    Nothing,
    /// Another client opened its session, which stays.
    OfAnotherClient,
}

impl Service {
    /// Ends a token's session, or the token itself if it has none. Once this returns, this process refuses
    /// the token, even if another request ended it.
    ///
    /// # Errors
    /// The token can't be judged or the end can't be written now, so the token may still be valid.
    pub async fn revoke_token(&self, client: &Client, text: &str) -> Result<TokenRevoked, Failure> {
        let context = &*self.context;
        let token = match context.guard.authenticate(text).await {
            Ok(token) => token,
            Err(VerifyError::Refused(_)) => return Ok(TokenRevoked::Nothing),
            Err(denied) => return Err(denied.into()),
        };
        let opened = context.session_of(&token).await?;
        if opened.and_then(|(session, _)| session.client).is_some_and(|name| name != client.name) {
            return Ok(TokenRevoked::OfAnotherClient);
        }
        context.revoke_authentic(&token, &Actor::Client(client.name.clone())).await
    }
}

impl Context {
    /// Ends a token's session, or the token itself if it has none, whichever client opened it.
    pub(super) async fn revoke_authentic(
        &self,
        token: &Authentic,
        actor: &Actor,
    ) -> Result<TokenRevoked, Failure> {
        retry!({
            let mut ends = Ends::default();
            match self.end_token(token, &mut ends).await {
                Ok(()) => {}
                Err(Failure::Refused(_)) => return Ok(TokenRevoked::Nothing),
                Err(failure) => return Err(failure.into()),
            }
            Ok(TokenRevoked::Ended(self.end(ends.by(actor).into_change()).await?))
        })
    }

    /// The session of a token, with its account. The client that opened it never changes.
    pub(super) async fn session_of(&self, token: &Authentic) -> Result<Option<(Session, Account)>, Failure> {
        Ok(match (token.session_and_rsq(), self.exchangeable(token)) {
            (Ok((session, _)), _) => self.store.session(session).await?.found,
            (Err(_), Ok(presented)) => self.foreign(&presented, self.clock.now()).await?.adopted,
            (Err(_), Err(_)) => None,
        })
    }

    /// Adds the end for a token. Our access and sliding tokens may have expired: their session is what the
    /// client wants to end.
    async fn end_token(&self, token: &Authentic, ends: &mut Ends) -> Result<(), Failure> {
        match (token.origin(), token.claims().token_type) {
            (_, Some(TokenType::Refresh)) => {
                self.end_refresh(token, ends).await?;
                Ok(())
            }
            (Origin::Ours, _) => {
                token.check_even_expired(&LOG_OUT_WITH, &self.token_policy(), self.clock.now())?;
                self.end_access_alone(token, ends).await
            }
            (Origin::Foreign(_), _) => {
                token.check(&LOG_OUT_WITH, &self.token_policy(), self.clock.now())?;
                self.end_access_alone(token, ends).await
            }
        }
    }

    /// Another issuer's token that could open a session, or has opened one.
    fn exchangeable(&self, token: &Authentic) -> Result<PresentedForeign, Refusal> {
        let purpose = token.claims().token_type.filter(|purpose| *purpose != TokenType::Access);
        let purpose = purpose.ok_or(Refusal::TokenOfWrongType)?;
        match TokenRequest::new(token, purpose, &self.token_policy(), self.clock.now())? {
            TokenRequest::Foreign(presented) => Ok(presented),
            TokenRequest::Refresh(_) | TokenRequest::Sliding(_) => Err(Refusal::TokenOfWrongType),
        }
    }
}
