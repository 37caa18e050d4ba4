//! Ending sessions and tokens: by log-out, by blacklisting, by an operator.

use quash_core::decide::{
    Cause, ChangeAuthor, ForeignEnd, PresentedForeign, TokenRequest, edit_account, end_everything,
    end_foreign, end_presented, end_session, end_token_session, log_out_entry,
};
use quash_core::model::{
    Account, AccountBy, AccountFields, Actor, Change, EndCause, Head, NewEntry, Reason, Refusal, Seq,
    Session, SessionEnd, SessionId, SessionLoaded, Subject,
};
use quash_core::token::{Authentic, Origin, TokenType};

use quash_store::StoreError;

use crate::context::{Context, Service};
use crate::failure::Failure;
use crate::retry::retry;

/// The result of an end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ended {
    /// The sequence number of its entry in the log.
    pub seq: Option<Seq>,
}

/// A refusal to log out with the token in the header.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RefusedAccess {
    pub failure: Failure,
    /// The type of the token, if a trusted key has signed it.
    pub token_type: Option<TokenType>,
}

/// The sessions and tokens that a log-out is about to end.
#[derive(Default)]
pub(crate) struct Ends {
    sessions: Vec<SessionEnd>,
    tokens: Vec<NewEntry>,
}

/// The types of token that a client may log out with in the header.
pub(crate) const LOG_OUT_WITH: [TokenType; 2] = [TokenType::Access, TokenType::Sliding];

impl Service {
    /// Ends the session of a refresh token of any genuine generation. Another issuer's token that has opened
    /// no session is remembered until it expires.
    ///
    /// # Errors
    /// The token is refused (also when it is sent a second time), or can't be judged now.
    pub async fn blacklist(&self, refresh: &str) -> Result<Ended, Failure> {
        let context = &*self.context;
        let token = context.guard.authenticate(refresh).await?;
        retry!({
            let mut ends = Ends::default();
            context.end_refresh(&token, &mut ends).await?;
            Ok(context.end(ends.into_change()).await?)
        })
    }

    /// Checks the access or sliding token of a log-out. It may have expired.
    ///
    /// # Errors
    /// The token is refused, its account can't be used, or it can't be judged now.
    pub async fn access_for_log_out(&self, access: &str) -> Result<Authentic, RefusedAccess> {
        let context = &*self.context;
        let refused = |token_type| move |failure| RefusedAccess { failure, token_type };
        let access =
            context.guard.authenticate(access).await.map_err(Failure::from).map_err(refused(None))?;
        let token_type = access.claims().token_type;
        // An attacker with the key can write any session into an access token, so a token of a revoked key
        // ends none.
        if context.guard.ring().is_revoked(access.kid()) {
            return Err(refused(token_type)(Refusal::TokenRevoked(Some(Reason::KeyRemoved)).into()));
        }
        let checked = access.check_even_expired(&LOG_OUT_WITH, &context.token_policy(), context.clock.now());
        checked.map_err(Failure::from).map_err(refused(token_type))?;
        if let Origin::Foreign(_) = access.origin() {
            context.foreign_account(&access).await.map_err(refused(token_type))?;
        }
        Ok(access)
    }

    /// Logs out: ends the session of an access or sliding token, and that of a refresh token. If the tokens
    /// belong to different accounts, nothing ends.
    ///
    /// # Errors
    /// A token is refused, or can't be judged now.
    pub async fn log_out(&self, access: &Authentic, refresh: Option<&str>) -> Result<Ended, Failure> {
        let context = &*self.context;
        let refresh = match refresh {
            Some(text) => Some(context.guard.authenticate(text).await?),
            None => None,
        };
        retry!({
            let mut ends = Ends::default();
            if let Some(refresh) = &refresh {
                let owner = context.end_refresh(refresh, &mut ends).await?;
                if !context.is_of_one_account(access, refresh) {
                    return Err(Refusal::TokensOfTwoAccounts.into());
                }
                context.end_access_too(access, owner.as_ref(), &mut ends).await?;
            } else {
                context.end_access_alone(access, &mut ends).await?;
            }
            Ok(context.end(ends.into_change()).await?)
        })
    }

    /// Ends a session by its id.
    ///
    /// # Errors
    /// The session is unknown or not live, or the store is unavailable.
    pub async fn end_session(
        &self,
        session: SessionId,
        reason: Reason,
        actor: Actor,
    ) -> Result<Ended, Failure> {
        let context = &*self.context;
        let cause = Cause { reason, actor };
        retry!({
            let loaded = context.store.session(session).await?;
            let change = match end_session(&loaded, &cause, context.guard.scopes(), context.clock.now()) {
                Ok(end) => Change::EndSessions { sessions: vec![end], tokens: Vec::new() },
                Err(refusal) => {
                    context.announce(loaded.head.seq).await?;
                    return Err(context.explain(refusal, loaded.found.as_ref(), &loaded.head).await.into());
                }
            };
            Ok(context.end(change).await?)
        })
    }

    /// Ends all sessions of an account, and changes nothing else of it.
    ///
    /// # Errors
    /// There is no such account, or the store is unavailable.
    pub async fn end_account(
        &self,
        subject: &Subject,
        cause: EndCause,
        actor: Actor,
    ) -> Result<Ended, Failure> {
        self.context
            .edit_account(
                &AccountBy::Subject(subject.clone()),
                cause,
                &AccountFields::default(),
                &actor.into(),
            )
            .await
    }

    /// Ends everything issued so far.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn end_everything(&self, reason: Reason, actor: Actor) -> Result<Ended, Failure> {
        let context = &*self.context;
        let cause = Cause { reason, actor };
        retry!({
            let change = end_everything(&cause, context.guard.scopes(), context.clock.now());
            Ok(context.end(change).await?)
        })
    }
}

impl Context {
    /// Changes an account for a cause, and ends the sessions that the table in `quash-core` names for it.
    ///
    /// # Errors
    /// There is no such account, or the store is unavailable.
    pub(crate) async fn edit_account(
        &self,
        which: &AccountBy,
        cause: EndCause,
        fields: &AccountFields,
        by: &ChangeAuthor,
    ) -> Result<Ended, Failure> {
        retry!({
            let now = self.clock.now();
            let loaded = self.store.account(which, now).await?;
            let account = loaded.account.as_ref().ok_or(Refusal::NoActiveAccount)?;
            let edit = edit_account(
                account,
                cause,
                fields.clone(),
                by.clone(),
                &self.policy,
                self.guard.scopes(),
                now,
            );
            Ok(self.end(Change::EditAccount(Box::new(edit))).await?)
        })
    }

    /// Adds the end of a refresh token's session or of the token itself. Returns its owner, if the store
    /// knows it.
    pub(crate) async fn end_refresh(
        &self,
        token: &Authentic,
        ends: &mut Ends,
    ) -> Result<Option<Subject>, Failure> {
        let (now, scopes) = (self.clock.now(), self.guard.scopes());
        match TokenRequest::new(token, TokenType::Refresh, &self.token_policy(), now)? {
            TokenRequest::Refresh(presented) => {
                let loaded = self.store.session(presented.session).await?;
                let end = end_presented(&presented, &loaded, &self.keys.refresh, scopes, now);
                ends.sessions.push(self.explained_end(end, loaded.found.as_ref(), &loaded.head).await?);
                Ok(owner(&loaded).cloned())
            }
            TokenRequest::Foreign(presented) => self.end_exchangeable(&presented, ends).await,
            TokenRequest::Sliding(_) => Err(Failure::Refused(Refusal::TokenOfWrongType)),
        }
    }

    /// Adds the end of another issuer's token that could open a session, or of the session that it has
    /// opened. Returns the owner of that session.
    pub(crate) async fn end_exchangeable(
        &self,
        presented: &PresentedForeign,
        ends: &mut Ends,
    ) -> Result<Option<Subject>, Failure> {
        let now = self.clock.now();
        let loaded = self.foreign(presented, now).await?;
        let end = end_foreign(presented, &loaded, &self.policy, self.guard.scopes(), now);
        match self.explained_end(end, loaded.adopted.as_ref(), &loaded.account.head).await? {
            ForeignEnd::Session(end) => ends.sessions.push(end),
            ForeignEnd::Token(entry) => ends.tokens.push(entry),
        }
        Ok(loaded.adopted.map(|(session, _)| session.subject))
    }

    /// Adds the end of an access token's session, if it isn't the refresh token's; for another issuer's
    /// token, the end of the token itself. An end that has already happened is no error.
    async fn end_access_too(
        &self,
        access: &Authentic,
        owner_of_refresh: Option<&Subject>,
        ends: &mut Ends,
    ) -> Result<(), Failure> {
        let Ok((session, _)) = access.session_and_rsq() else {
            ends.tokens.extend(self.end_of_foreign(access).ok());
            return Ok(());
        };
        if ends.sessions.iter().any(|end| end.session == session) {
            return Ok(());
        }
        let loaded = self.store.session(session).await?;
        // An attacker with a stolen signing key can write any claim, but no row: the rows must also name one
        // account.
        if owner(&loaded).zip(owner_of_refresh).is_some_and(|(one, other)| one != other) {
            return Err(Failure::Refused(Refusal::TokensOfTwoAccounts));
        }
        ends.sessions.extend(end_token_session(
            access,
            &loaded,
            &self.keys.refresh,
            self.guard.scopes(),
            self.clock.now(),
        ));
        Ok(())
    }

    /// Adds the end for a token in the header that comes without a refresh token.
    pub(crate) async fn end_access_alone(&self, access: &Authentic, ends: &mut Ends) -> Result<(), Failure> {
        let Ok((session, _)) = access.session_and_rsq() else {
            return self.end_foreign_alone(access, ends).await;
        };
        let loaded = self.store.session(session).await?;
        let end =
            end_token_session(access, &loaded, &self.keys.refresh, self.guard.scopes(), self.clock.now());
        ends.sessions.push(self.explained_end(end, loaded.found.as_ref(), &loaded.head).await?);
        Ok(())
    }

    /// Like [`Context::explained`], for an end. One that has happened already is only refused once this process
    /// refuses the session's tokens.
    async fn explained_end<T>(
        &self,
        end: Result<T, Refusal>,
        found: Option<&(Session, Account)>,
        head: &Head,
    ) -> Result<T, Failure> {
        if end.is_err() {
            self.announce(head.seq).await?;
        }
        self.explained(end, found, head).await
    }

    /// Adds the end of another issuer's access token, or, for a sliding token, of the session that it has
    /// opened.
    async fn end_foreign_alone(&self, token: &Authentic, ends: &mut Ends) -> Result<(), Failure> {
        if token.claims().token_type == Some(TokenType::Sliding) {
            let presented = PresentedForeign::new(token, &self.policy.tokens)?;
            self.end_exchangeable(&presented, ends).await?;
            return Ok(());
        }
        ends.tokens.push(self.end_of_foreign(token)?);
        Ok(())
    }

    /// The end of another issuer's access or sliding token.
    fn end_of_foreign(&self, token: &Authentic) -> Result<NewEntry, Failure> {
        let presented = PresentedForeign::new(token, &self.policy.tokens)?;
        if self.guard.covers(token) {
            return Err(Failure::Refused(Refusal::TokenRevoked(None)));
        }
        Ok(log_out_entry(&presented, self.clock.now()))
    }

    fn is_of_one_account(&self, one: &Authentic, other: &Authentic) -> bool {
        let scopes = self.guard.scopes();
        let resolve_login =
            |token: &Authentic| token.claims().user_id.as_deref().map(|user_id| scopes.user_id(user_id));
        resolve_login(one) == resolve_login(other)
    }

    /// Commits and announces an end. A conflict if the loaded state has changed meanwhile.
    pub(crate) async fn end(&self, change: Change) -> Result<Ended, StoreError> {
        // The change may contain a mail about it.
        let may_mail = matches!(change, Change::Together(_));
        let receipt = self.commit_and_announce(change).await?;
        if may_mail {
            self.outbox.wake();
        }
        Ok(Ended { seq: receipt.seq })
    }
}

impl Ends {
    /// The same ends, caused by another actor than the tokens' bearer.
    pub(crate) fn by(mut self, actor: &Actor) -> Self {
        let of_sessions =
            self.sessions.iter_mut().flat_map(|end| std::iter::once(&mut end.entry).chain(&mut end.adopted));
        for entry in of_sessions.chain(&mut self.tokens) {
            entry.actor = actor.clone();
        }
        self
    }

    pub(crate) fn into_change(self) -> Change {
        Change::EndSessions { sessions: self.sessions, tokens: self.tokens }
    }
}

/// The session's owner, if the store knows it.
fn owner(loaded: &SessionLoaded) -> Option<&Subject> {
    loaded.found.as_ref().map(|(session, _)| &session.subject)
}
