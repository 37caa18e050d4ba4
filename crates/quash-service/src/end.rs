//! Ending: by log-out, by blacklisting, by an operator.

use quash_core::decide::{Cause, Presented, end_account, end_everything, end_presented, end_session, end_token_session};
use quash_core::model::{Actor, Change, Reason, Refusal, Seq, SessionId, SessionLoaded, Subject};
use quash_core::token::{Authentic, TokenType};

use crate::desk::{Desk, Service};
use crate::failure::{Conflicts, Failure};

/// What was ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ended {
    /// The number of its entry in the log.
    pub seq: Option<Seq>,
}

impl Service {
    /// Ends the session of a refresh token, of any genuine generation.
    ///
    /// # Errors
    /// The token is refused, a second time too, or can't be judged now.
    pub async fn blacklist(&self, refresh: &str) -> Result<Ended, Failure> {
        let desk = &*self.desk;
        let token = desk.guard.authenticate(refresh)?;
        let mut conflicts = Conflicts::default();
        loop {
            let now = desk.clock.now();
            let presented = Presented::new(&token, &desk.policy.tokens, now)?;
            let loaded = desk.store.session(presented.session).await?;
            let change = match end_presented(&presented, &loaded, &desk.keys.refresh, desk.guard.scopes(), now) {
                Ok(end) => Change::EndSessions { sessions: vec![end] },
                Err(refusal) => return Err(desk.explain(refusal, &loaded).await),
            };
            if let Some(ended) = desk.end(change, &mut conflicts).await? {
                return Ok(ended);
            }
        }
    }

    /// An access token to log out with. It may have expired.
    ///
    /// # Errors
    /// The token is refused.
    pub fn access_for_log_out(&self, access: &str) -> Result<Authentic, Failure> {
        let desk = &*self.desk;
        let access = desk.guard.authenticate(access)?;
        access.check_even_expired(TokenType::Access, &desk.policy.tokens, desk.clock.now())?;
        Ok(access)
    }

    /// Logs out: ends the session of an access token and that of a refresh token. Both must be of one account, else
    /// nothing ends.
    ///
    /// # Errors
    /// The refresh token is refused, or can't be judged now.
    pub async fn log_out(&self, access: &Authentic, refresh: &str) -> Result<Ended, Failure> {
        let desk = &*self.desk;
        let tokens = &desk.policy.tokens;
        let refresh = desk.guard.authenticate(refresh)?;
        let mut conflicts = Conflicts::default();
        loop {
            let now = desk.clock.now();
            let presented = Presented::new(&refresh, tokens, now)?;
            if access.claims().user_id != refresh.claims().user_id {
                return Err(Failure::Refused(Refusal::TokensOfTwoAccounts));
            }
            let loaded = desk.store.session(presented.session).await?;
            let mut sessions = match end_presented(&presented, &loaded, &desk.keys.refresh, desk.guard.scopes(), now) {
                Ok(end) => vec![end],
                Err(refusal) => return Err(desk.explain(refusal, &loaded).await),
            };
            let (other, _) = access.place()?;
            if other != presented.session {
                let others = desk.store.session(other).await?;
                // Who stole a signing key can write any claim, but no row: the rows must name one account too.
                if owner(&others).is_some_and(|subject| owner(&loaded) != Some(subject)) {
                    return Err(Failure::Refused(Refusal::TokensOfTwoAccounts));
                }
                // A session that has ended already is where it should be.
                sessions.extend(end_token_session(access, &others, desk.guard.scopes(), now));
            }
            let change = Change::EndSessions { sessions };
            if let Some(ended) = desk.end(change, &mut conflicts).await? {
                return Ok(ended);
            }
        }
    }

    /// Ends a session by its id.
    ///
    /// # Errors
    /// It isn't known or not live, or the store is away.
    pub async fn end_session(&self, session: SessionId, reason: Reason, actor: Actor) -> Result<Ended, Failure> {
        let desk = &*self.desk;
        let cause = Cause { reason, actor };
        let mut conflicts = Conflicts::default();
        loop {
            let loaded = desk.store.session(session).await?;
            let change = match end_session(&loaded, &cause, desk.guard.scopes(), desk.clock.now()) {
                Ok(end) => Change::EndSessions { sessions: vec![end] },
                Err(refusal) => return Err(desk.explain(refusal, &loaded).await),
            };
            if let Some(ended) = desk.end(change, &mut conflicts).await? {
                return Ok(ended);
            }
        }
    }

    /// Ends all sessions of an account.
    ///
    /// # Errors
    /// There is no such account, or the store is away.
    pub async fn end_account(&self, subject: &Subject, reason: Reason, actor: Actor) -> Result<Ended, Failure> {
        let desk = &*self.desk;
        let cause = Cause { reason, actor };
        let mut conflicts = Conflicts::default();
        loop {
            let now = desk.clock.now();
            let loaded = desk.store.account_by_subject(subject, now).await?;
            let change = end_account(&loaded, None, &cause, desk.guard.scopes(), now)?;
            if let Some(ended) = desk.end(change, &mut conflicts).await? {
                return Ok(ended);
            }
        }
    }

    /// Ends everything issued before.
    ///
    /// # Errors
    /// The store is away.
    pub async fn end_everything(&self, reason: Reason, actor: Actor) -> Result<Ended, Failure> {
        let desk = &*self.desk;
        let cause = Cause { reason, actor };
        let mut conflicts = Conflicts::default();
        loop {
            let change = end_everything(&cause, desk.guard.scopes(), desk.clock.now());
            if let Some(ended) = desk.end(change, &mut conflicts).await? {
                return Ok(ended);
            }
        }
    }
}

impl Desk {
    /// Commits and announces an end. `None`: what was read has changed meanwhile, load and decide again.
    async fn end(&self, change: Change, conflicts: &mut Conflicts) -> Result<Option<Ended>, Failure> {
        match self.commit_and_announce(change).await {
            Ok(receipt) => Ok(Some(Ended { seq: receipt.seq })),
            Err(error) => conflicts.again(error).map(|()| None),
        }
    }
}

/// Whose session it is, as the store knows it.
fn owner(loaded: &SessionLoaded) -> Option<&Subject> {
    loaded.found.as_ref().map(|(session, _)| &session.subject)
}
