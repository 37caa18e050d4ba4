//! Introspecting: whether a token holds, for a client that asks on behalf of whom it was shown to. It is judged by what the
//! store says, never by what this process remembers, and nothing ends because of it.

use std::sync::Arc;

use quash_core::decide::recheck_access;
use quash_core::model::{Account, Client, ClientName, Invalid, Refusal, Right, Scope};
use quash_core::token::{Authentic, Claims, Origin, TokenType};
use quash_core::watch::{Revoked, Verdict, admit};
use quash_verify::Denied;

use crate::context::{Desk, Service};
use crate::failure::Failure;
use crate::use_cases::session::verify::Held;

/// What a client is told of a token that holds.
#[derive(Clone, PartialEq, Debug)]
pub struct Introspected {
    /// What it is for.
    pub token_type: TokenType,
    /// What it says.
    pub claims: Claims,
    /// Whose it is, where that is one of our accounts.
    pub account: Option<Account>,
    /// The client that has opened its session, if one has.
    pub client: Option<ClientName>,
}

impl Service {
    /// What a token says that holds now, or nothing (RFC 7662 2.2): it doesn't hold, its session is another client's, or it
    /// is a refresh token and the client may not revoke. Resource servers accept each token that is reported as active.
    ///
    /// # Errors
    /// It can't be judged now.
    pub async fn introspect(&self, client: &Client, text: &str) -> Result<Option<Introspected>, Failure> {
        let desk = &*self.desk;
        let token = match desk.guard.authenticate(text).await {
            Ok(token) => token,
            Err(Denied::Refused(_)) => return Ok(None),
            Err(denied) => return Err(denied.into()),
        };
        let is_refresh = token.claims().token_type == Some(TokenType::Refresh);
        if is_refresh && !client.may(Right::Revoke) {
            return Ok(None);
        }
        let held = match desk.judge_by_store(&token).await {
            Ok(held) => held,
            Err(Failure::Refused(_)) => return Ok(None),
            Err(failure) => return Err(failure),
        };
        let opened_by = held.session.and_then(|session| session.client);
        if opened_by.as_ref().is_some_and(|name| *name != client.name) {
            return Ok(None);
        }
        let claims = token.claims().clone();
        Ok(claims.token_type.map(|token_type| Introspected {
            token_type,
            claims,
            account: held.account,
            client: opened_by,
        }))
    }
}

impl Desk {
    /// What a token stands for that would be taken now, as the store tells it.
    ///
    /// # Errors
    /// It is refused, or can't be judged now.
    pub(crate) async fn judge_by_store(&self, token: &Authentic) -> Result<Held, Failure> {
        let purpose = token.claims().token_type.unwrap_or(TokenType::Access);
        if purpose != TokenType::Refresh {
            self.pass_the_gate(token, purpose).await?;
        }
        match (token.origin(), purpose) {
            (_, TokenType::Refresh) | (Origin::Ours, TokenType::Sliding) => {
                self.recheck(token, purpose).await
            }
            (Origin::Foreign(issuer), _) if !issuer.scopes.is_ours() => Ok(Held::of(None)),
            (Origin::Foreign(_), _) => {
                Ok(Held { session: None, account: Some(self.foreign_account(token).await?) })
            }
            (Origin::Ours, TokenType::Access) => {
                let (session, _) = token.place()?;
                let loaded = self.store.session(session).await?;
                let judged = recheck_access(token, &loaded, &self.policy);
                self.explained(judged, loaded.found.as_ref(), &loaded.head).await?;
                Ok(Held::of(loaded.found))
            }
        }
    }

    /// Asks the gate, with all that the log in the store says of the token. The head is read after the token came: one
    /// that was minted at a later head was minted by nobody. And it is read after the entries: it tells of what was deleted.
    async fn pass_the_gate(&self, token: &Authentic, purpose: TokenType) -> Result<(), Failure> {
        let mut scopes = token.scopes().to_vec();
        scopes.push(self.guard.scopes().key(&Scope::Everything));
        let entries = self.store.entries_of(&scopes).await?;
        let head = self.store.head().await?;
        let known = Revoked::from_snapshot(head.seq, head.chain, &entries).forgetting(head.forgotten);
        match admit(Arc::new(token.clone()), &[purpose], &self.policy.tokens, &known, self.clock.now()) {
            Ok(_) => Ok(()),
            Err(Verdict::Refused(refusal)) => Err(refusal.into()),
            Err(Verdict::Behind { .. }) => Err(Refusal::from(Invalid::FromTheFuture).into()),
        }
    }
}
