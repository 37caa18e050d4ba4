//! Introspection: tells a client whether a token that was presented to it is valid. The verdict comes from
//! the store, never from this process's memory, and nothing ends because of it.

use std::sync::Arc;

use quash_core::decide::recheck_access;
use quash_core::model::{Account, Client, ClientName, Invalid, Refusal, Right, Scope};
use quash_core::token::{Authentic, Claims, Origin, TokenType};
use quash_core::watch::{Revoked, Verdict, admit};
use quash_verify::VerifyError;

use crate::context::{Context, Service};
use crate::failure::Failure;
use crate::use_cases::session::verify::LoadedToken;

/// The answer about a valid token.
#[derive(Clone, PartialEq, Debug)]
pub struct Introspected {
    pub token_type: TokenType,
    pub claims: Claims,
    /// The token's owner, if it is one of our accounts.
    pub account: Option<Account>,
    /// The client that opened its session, if any.
    pub client: Option<ClientName>,
}

impl Service {
    /// Returns the claims of a valid token, or `None` (RFC 7662 2.2) if it is invalid, if another client
    /// opened its session, or if protected paths wouldn't accept its type and the client may not revoke: a
    /// refresh token, or a sliding token where only access tokens are accepted. Resource servers accept each
    /// token that is reported as active.
    ///
    /// # Errors
    /// The token can't be judged now.
    pub async fn introspect(&self, client: &Client, text: &str) -> Result<Option<Introspected>, Failure> {
        let context = &*self.context;
        let token = match context.guard.authenticate(text).await {
            Ok(token) => token,
            Err(VerifyError::Refused(_)) => return Ok(None),
            Err(denied) => return Err(denied.into()),
        };
        let is_refresh = token.claims().token_type == Some(TokenType::Refresh);
        let gives_access = !is_refresh && token.is_of_accepted_type(&context.policy.tokens);
        if !gives_access && !client.may(Right::Revoke) {
            return Ok(None);
        }
        let began = context.clock.uptime();
        let held = match context.judge_by_store(&token).await {
            Ok(held) => held,
            Err(Failure::Refused(_)) => return Ok(None),
            Err(failure) => return Err(failure),
        };
        let opened_by = held.session.and_then(|session| session.client);
        if opened_by.as_ref().is_some_and(|name| *name != client.name) {
            return Ok(None);
        }
        context.check_in_time(began)?;
        let claims = token.claims().clone();
        Ok(claims.token_type.map(|token_type| Introspected {
            token_type,
            claims,
            account: held.account,
            client: opened_by,
        }))
    }
}

impl Context {
    /// The session and the account behind a token that is valid now, according to the store.
    ///
    /// # Errors
    /// The token is refused, or can't be judged now.
    pub(crate) async fn judge_by_store(&self, token: &Authentic) -> Result<LoadedToken, Failure> {
        let purpose = token.claims().token_type.unwrap_or(TokenType::Access);
        if purpose != TokenType::Refresh || token.namespace().is_some() {
            self.admit_by_log(token, purpose).await?;
        }
        match (token.origin(), purpose) {
            // Its users aren't our accounts, and none of its tokens can be exchanged here.
            (Origin::Foreign(issuer), _) if issuer.namespace.is_some() => Ok(LoadedToken::of(None)),
            (_, TokenType::Refresh) | (Origin::Ours, TokenType::Sliding) => {
                self.recheck(token, purpose).await
            }
            (Origin::Foreign(_), _) => {
                Ok(LoadedToken { session: None, account: Some(self.foreign_account(token).await?) })
            }
            (Origin::Ours, TokenType::Access) => {
                let (session, _) = token.session_and_rsq()?;
                let loaded = self.store.session(session).await?;
                let judged = recheck_access(token, &loaded, &self.policy);
                self.explained(judged, loaded.found.as_ref(), &loaded.head).await?;
                Ok(LoadedToken::of(loaded.found))
            }
        }
    }

    /// Admits or refuses a token by the store's log entries for its scopes. The head is read after the token
    /// arrived: a token minted at a later head is forged. It is also read after the entries, because it
    /// reports which ones were pruned.
    async fn admit_by_log(&self, token: &Authentic, purpose: TokenType) -> Result<(), Failure> {
        let mut scopes = token.scopes().to_vec();
        scopes.push(self.guard.scopes().key(&Scope::Everything));
        let entries = self.store.entries_of(&scopes).await?;
        let head = self.store.head().await?;
        let known = Revoked::from_snapshot(head.seq, head.chain, &entries).forgetting(head.forgotten);
        match admit(Arc::new(token.clone()), &[purpose], &self.token_policy(), &known, self.clock.now()) {
            Ok(_) => Ok(()),
            Err(Verdict::Refused(refusal)) => Err(refusal.into()),
            Err(Verdict::Behind { .. }) => Err(Refusal::from(Invalid::FromTheFuture).into()),
        }
    }
}
