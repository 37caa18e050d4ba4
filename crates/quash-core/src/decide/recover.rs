//! Ends all sessions of an account but one, or all of them for a new password.
//!
//! The same transaction moves the surviving session past the watermark: its `opened_seq`, and the `rsq` of
//! its new tokens, become the number of the entry that ends the others.

use std::time::Duration;

use crate::model::{
    AccountFields, AccountLoaded, Actor, Change, EndCause, Ends, HeadVersions, Invalid, PasswordHash, Policy,
    Refusal, ScopeHasher, Seq, Session, SessionLoaded, Survivor, Timestamp, limits,
};
use crate::token::{Authentic, Bearer, Grant, RefreshKey, TokenType};

use super::account::edit_account;
use super::presented::{check_live, check_sliding_id};
use super::sign_in::{bounded, idle_until, sliding_until};

/// The tokens that the surviving session gets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SurvivorTokens {
    Pair,
    Sliding {
        /// The time until which it can be exchanged: no later than for the previous one.
        refresh_until: Timestamp,
    },
}

/// The end of an account's other sessions.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SessionSurvival {
    pub change: Change,
    survivor_tokens: SurvivorTokens,
    after: Session,
    bearer: Bearer,
    /// The head at the time of the decision.
    versions: HeadVersions,
}

impl SessionSurvival {
    /// Returns whether other sessions end, so that the change has an entry in the log.
    pub fn ends_others(&self) -> bool {
        !matches!(self.change, Change::Rotate { .. })
    }

    /// Returns the tokens to mint for the surviving session. `seq` is the number of the change's entry, if it
    /// has one.
    pub fn grant(self, seq: Option<Seq>) -> Grant {
        let session = Session { opened_seq: seq.unwrap_or(self.after.opened_seq), ..self.after };
        let versions = HeadVersions { seq: seq.unwrap_or(self.versions.seq), ..self.versions };
        match self.survivor_tokens {
            SurvivorTokens::Pair => Grant::of_both(&session, self.bearer, versions),
            // Its new token expires no later than the last exchange of the previous one could have allowed.
            SurvivorTokens::Sliding { refresh_until } => {
                let session = Session { ends_at: Some(session.idle_until), ..session };
                Grant::of_sliding(&session, self.bearer, bounded(refresh_until, session.ends_at), versions)
            }
        }
    }
}

impl SurvivorTokens {
    /// Returns the kind of tokens for a live token's session. A sliding token comes without a refresh token,
    /// so its id must be genuine, too.
    ///
    /// # Errors
    /// The session isn't live, or the token was minted before its session last survived the end of the
    /// others.
    pub fn of(token: &Authentic, loaded: &SessionLoaded, secret: &RefreshKey) -> Result<Self, Refusal> {
        let (_, rsq) = token.session_and_rsq()?;
        let (session, account) = loaded.found.as_ref().ok_or(Invalid::UnknownSession)?;
        check_live(session, account, loaded)?;
        if rsq < session.opened_seq {
            return Err(Invalid::Superseded.into());
        }
        if token.claims().token_type != Some(TokenType::Sliding) {
            return Ok(Self::Pair);
        }
        check_sliding_id(token, loaded, secret)?;
        let refresh_until =
            token.claims().refresh_exp.map(Timestamp::from_secs).ok_or(Refusal::TokenWithoutRefreshExp)?;
        Ok(Self::Sliding { refresh_until })
    }
}

/// Changes the password for its user: all other sessions end, this one gets new tokens.
///
/// # Errors
/// This session isn't live.
pub fn change_password(
    survivor_tokens: SurvivorTokens,
    loaded: &SessionLoaded,
    password: PasswordHash,
    policy: &Policy,
    scopes: &ScopeHasher,
    now: Timestamp,
) -> Result<SessionSurvival, Refusal> {
    survive(survivor_tokens, loaded, Some(password), EndCause::PasswordChanged, policy, scopes, now)
}

/// Logs a user out of all other sessions. If no other is live, this session's tokens are rotated, and nothing
/// is revoked. `counted` has the account's sessions as of [`counted_from`].
///
/// # Errors
/// This session isn't live.
pub fn end_others(
    survivor_tokens: SurvivorTokens,
    loaded: &SessionLoaded,
    counted: &AccountLoaded,
    policy: &Policy,
    scopes: &ScopeHasher,
    now: Timestamp,
) -> Result<SessionSurvival, Refusal> {
    let mut survival =
        survive(survivor_tokens, loaded, None, EndCause::LogOutElsewhere, policy, scopes, now)?;
    if is_alone(counted, policy, now)
        && let Some((session, _)) = &loaded.found
    {
        let Session { rotated_at, idle_until, .. } = survival.after;
        survival.change =
            Change::Rotate { session: session.id, from: session.generation, rotated_at, idle_until };
    }
    Ok(survival)
}

/// Returns the time as of which sessions are counted to learn that an account has no other live token. A
/// session's access token may outlive its refresh token, by at most its own lifetime.
pub fn counted_from(policy: &Policy, now: Timestamp) -> Timestamp {
    now - longest_authorizing_lifetime(policy)
}

/// Returns whether an entry for all tokens of the account would cover only those of the surviving session. In
/// doubt it returns false: tokens of other issuers have no session here, and a session's row is deleted
/// [`limits::SESSION_KEPT`] after its last refresh token has expired, regardless of its access token.
fn is_alone(counted: &AccountLoaded, policy: &Policy, now: Timestamp) -> bool {
    counted.live_sessions <= 1
        && !policy.tokens.foreign.are_accepted(now)
        && longest_authorizing_lifetime(policy) <= limits::SESSION_KEPT
}

/// Returns the longest lifetime of a token that authorizes requests, with the leeway.
fn longest_authorizing_lifetime(policy: &Policy) -> Duration {
    policy.tokens.access_lifetime.max(policy.tokens.sliding_lifetime) + policy.tokens.leeway
}

/// Resets a password: all sessions end, and so does a lock.
///
/// # Errors
/// There is no such account.
pub fn reset_password(
    loaded: &AccountLoaded,
    password: PasswordHash,
    actor: Actor,
    policy: &Policy,
    scopes: &ScopeHasher,
    now: Timestamp,
) -> Result<Change, Refusal> {
    let account = loaded.account.as_ref().ok_or(Refusal::NoActiveAccount)?;
    let fields = AccountFields { password: Some(Some(password)), ..AccountFields::default() };
    Ok(Change::EditAccount(Box::new(edit_account(
        account,
        EndCause::PasswordReset,
        fields,
        actor.into(),
        policy,
        scopes,
        now,
    ))))
}

fn survive(
    survivor_tokens: SurvivorTokens,
    loaded: &SessionLoaded,
    password: Option<PasswordHash>,
    cause: EndCause,
    policy: &Policy,
    scopes: &ScopeHasher,
    now: Timestamp,
) -> Result<SessionSurvival, Refusal> {
    let found = loaded.found.as_ref().filter(|(session, account)| session.is_live(account, &loaded.head));
    let (session, account) = found.ok_or(Refusal::TokenRevoked(None))?;
    let idle_until = match survivor_tokens {
        SurvivorTokens::Pair => idle_until(session.ends_at, policy, now),
        SurvivorTokens::Sliding { refresh_until } => {
            sliding_until(bounded(refresh_until, session.ends_at), session.ends_at, policy)
        }
    };
    let survivor =
        Survivor { session: session.id, generation: session.generation, rotated_at: now, idle_until };
    let bearer = Bearer::of(account, &session.claims, &policy.tokens.names)?;
    let fields = AccountFields { password: password.map(Some), ..AccountFields::default() };
    let mut edit = edit_account(account, cause, fields, Actor::Owner.into(), policy, scopes, now);
    if let Ends::Sessions { survivor: survivor_tokens, .. } = &mut edit.ends {
        *survivor_tokens = Some(survivor);
    }
    let change = Change::EditAccount(Box::new(edit));
    let after =
        Session { generation: session.generation.next(), rotated_at: now, idle_until, ..session.clone() };
    Ok(SessionSurvival { change, survivor_tokens, after, bearer, versions: loaded.head.versions() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ForeignTokens, Forgotten, Head};

    #[test]
    fn sessions_are_alone_only_when_certain() {
        let now = Timestamp::from_secs(1_800_000_000);
        let (seq, chain, foreign_after, forgotten) =
            (Seq::ZERO, [0; 32], Timestamp::from_secs(0), Forgotten::NOTHING);
        let counted = |live_sessions| {
            let (ring, settings, longest_lifetime) = (0, 0, Duration::ZERO);
            let head = Head {
                seq,
                chain,
                sessions_before: seq,
                foreign_after,
                forgotten,
                ring,
                settings,
                longest_lifetime,
            };
            AccountLoaded { head, account: None, live_sessions, longest_idle: None }
        };
        let policy = Policy::default();
        assert!(is_alone(&counted(1), &policy, now) && !is_alone(&counted(2), &policy, now));
        assert_eq!(
            counted_from(&policy, now),
            now - Duration::from_secs(300),
            "an access token outlives its session"
        );
        let with = |change: fn(&mut Policy)| {
            let mut policy = Policy::default();
            change(&mut policy);
            is_alone(&counted(1), &policy, now)
        };
        assert!(
            !with(|policy| policy.tokens.foreign = ForeignTokens::Accept),
            "foreign tokens have no session here"
        );
        assert!(with(
            |policy| policy.tokens.foreign = ForeignTokens::Until(Timestamp::from_secs(1_800_000_000))
        ));
        assert!(with(|policy| policy.tokens.access_lifetime = limits::SESSION_KEPT));
        assert!(
            !with(|policy| policy.tokens.access_lifetime = limits::SESSION_KEPT + Duration::from_millis(1)),
            "one past the edge"
        );
        assert!(!with(
            |policy| policy.tokens.sliding_lifetime = limits::SESSION_KEPT + Duration::from_millis(1)
        ));
    }
}
