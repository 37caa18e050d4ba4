//! Revocation by an operator's tool: what it would end, and the end itself.

use quash_core::decide::{KeyRefusal, NameRevocation, RevokedKeySessions, RevokedName};
use quash_core::model::{
    AccountBy, Actor, EndCause, KeyState, Kid, Namespace, Reason, Refusal, Seq, SessionId, Subject,
};
use quash_verify::VerifyError;
use zeroize::Zeroizing;

use crate::context::Service;
use crate::failure::Failure;
use crate::use_cases::keys::rotation::KeyChangeFault;
use crate::use_cases::session::revoke::TokenRevoked;

/// What an operator's tool revokes.
pub enum RevocationTarget<'a> {
    Session {
        session: SessionId,
        reason: Reason,
    },
    Account {
        subject: Subject,
        cause: EndCause,
    },
    /// The session of a token, or the token itself if it has none.
    Token(Zeroizing<String>),
    Key {
        kid: Kid,
        sessions: RevokedKeySessions,
    },
    /// Everything in the namespace of another issuer.
    Namespace(&'a Namespace),
    Everything,
}

/// The extent of a revocation.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct RevocationExtent {
    /// The live sessions that end. `None`: not counted, or quash doesn't know them.
    pub sessions: Option<u64>,
    /// The accounts whose sessions end.
    pub accounts: Option<u64>,
}

/// The result of a revocation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TargetRevoked {
    /// The sequence number of its entry in the log, if there is one.
    pub seq: Option<Seq>,
    pub extent: RevocationExtent,
}

/// The reason why nothing is revoked.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RevocationFault {
    #[error("there is no such session, account or key, or the token isn't valid")]
    Unknown,
    #[error("it has ended already")]
    Ended,
    /// A failure on our side.
    #[error("it can't be revoked now")]
    Failed(Failure),
}

impl RevocationExtent {
    const ONE: Self = Self { sessions: Some(1), accounts: Some(1) };
    const NONE: Self = Self { sessions: Some(0), accounts: Some(0) };
    const UNKNOWN: Self = Self { sessions: None, accounts: None };
}

impl Service {
    /// Returns what a revocation would end now, without revoking anything.
    ///
    /// # Errors
    /// There is nothing to revoke, or the store is unavailable.
    pub async fn revocation_extent(
        &self,
        target: &RevocationTarget<'_>,
    ) -> Result<RevocationExtent, RevocationFault> {
        match target {
            RevocationTarget::Session { session, .. } => match self.session_by_id(*session).await? {
                Some((info, _)) if info.live => Ok(RevocationExtent::ONE),
                // An expired session can still be ended.
                Some((info, _)) if info.ending.is_none() => Ok(RevocationExtent::NONE),
                Some(_) => Err(RevocationFault::Ended),
                None => Err(RevocationFault::Unknown),
            },
            RevocationTarget::Account { subject, .. } => self.extent_of_account(subject).await,
            RevocationTarget::Token(token) => self.extent_of_token(token).await,
            RevocationTarget::Key { kid, sessions } => {
                let keys = self.keys().await?;
                let key = keys.own.iter().find(|key| key.kid == *kid).ok_or(RevocationFault::Unknown)?;
                match (key.state, sessions) {
                    (KeyState::Revoked { .. }, _) => Err(RevocationFault::Ended),
                    (_, RevokedKeySessions::End) => self.extent_of_everything().await,
                    (_, RevokedKeySessions::Continue) => Ok(RevocationExtent::NONE),
                }
            }
            RevocationTarget::Namespace(_) => Ok(RevocationExtent::UNKNOWN),
            RevocationTarget::Everything => self.extent_of_everything().await,
        }
    }

    /// Revokes. Once this returns, this process refuses the tokens.
    ///
    /// # Errors
    /// There is nothing to revoke, or the store is unavailable.
    pub async fn revoke_target(
        &self,
        target: RevocationTarget<'_>,
        actor: Actor,
    ) -> Result<TargetRevoked, RevocationFault> {
        let revoked = |seq, extent| Ok(TargetRevoked { seq, extent });
        match target {
            RevocationTarget::Session { session, reason } => {
                let ended = self.end_session(session, reason, actor).await.map_err(not_ended)?;
                revoked(ended.seq, RevocationExtent::ONE)
            }
            RevocationTarget::Account { subject, cause } => {
                let extent = self.extent_of_account(&subject).await?;
                let ended = self.end_account(&subject, cause, actor).await.map_err(not_ended)?;
                revoked(ended.seq, extent)
            }
            RevocationTarget::Token(token) => {
                let extent = self.extent_of_token(&token).await?;
                let token = self.context.guard.authenticate(&token).await.map_err(Failure::from)?;
                match self.context.revoke_authentic(&token, &actor).await? {
                    TokenRevoked::Ended(ended) => revoked(ended.seq, extent),
                    TokenRevoked::Nothing | TokenRevoked::OfAnotherClient => Err(RevocationFault::Ended),
                }
            }
            RevocationTarget::Key { kid, sessions } => {
                let key = self.revoke_key(&kid, sessions, actor).await.map_err(|fault| match fault {
                    KeyChangeFault::Refused(KeyRefusal::Revoked { .. }) => RevocationFault::Ended,
                    KeyChangeFault::Refused(_) => RevocationFault::Unknown,
                    KeyChangeFault::Failed(failure) => RevocationFault::Failed(failure),
                })?;
                let extent = match sessions {
                    RevokedKeySessions::End => RevocationExtent::UNKNOWN,
                    RevokedKeySessions::Continue => RevocationExtent::NONE,
                };
                revoked(key.seq, extent)
            }
            RevocationTarget::Namespace(namespace) => {
                let all = [NameRevocation::now(RevokedName::Everything)];
                let names = self.revoke_names_by(actor, namespace, &all).await?;
                revoked(Some(names.seq), RevocationExtent::UNKNOWN)
            }
            RevocationTarget::Everything => {
                let ended = self.end_everything(Reason::Revoked, actor).await?;
                revoked(ended.seq, RevocationExtent::UNKNOWN)
            }
        }
    }

    async fn extent_of_account(&self, subject: &Subject) -> Result<RevocationExtent, RevocationFault> {
        let context = &*self.context;
        let of = AccountBy::Subject(subject.clone());
        let loaded = context.store.account(&of, context.clock.now()).await.map_err(Failure::from)?;
        loaded.account.ok_or(RevocationFault::Unknown)?;
        Ok(RevocationExtent { sessions: Some(loaded.live_sessions.into()), accounts: Some(1) })
    }

    async fn extent_of_token(&self, token: &str) -> Result<RevocationExtent, RevocationFault> {
        let context = &*self.context;
        let token = context.guard.authenticate(token).await.map_err(|error| match error {
            VerifyError::Refused(_) => RevocationFault::Unknown,
            error => RevocationFault::Failed(error.into()),
        })?;
        let Some((session, _)) = context.session_of(&token).await? else {
            return Ok(RevocationExtent::NONE);
        };
        match self.session_by_id(session.id).await? {
            Some((info, _)) if info.live => Ok(RevocationExtent::ONE),
            // Access tokens of an expired session may still be valid.
            Some((info, _)) if info.ending.is_none() => Ok(RevocationExtent::NONE),
            Some(_) | None => Err(RevocationFault::Ended),
        }
    }

    async fn extent_of_everything(&self) -> Result<RevocationExtent, RevocationFault> {
        let counts = self.counts().await?;
        Ok(RevocationExtent {
            sessions: Some(counts.live_sessions),
            accounts: Some(counts.active + counts.unverified + counts.locked + counts.deactivated),
        })
    }
}

fn not_ended(failure: Failure) -> RevocationFault {
    match failure {
        Failure::Refused(Refusal::TokenRevoked(_)) => RevocationFault::Ended,
        Failure::Refused(_) => RevocationFault::Unknown,
        failure => RevocationFault::Failed(failure),
    }
}

impl From<Failure> for RevocationFault {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}
