//! What ends all sessions of an account but one, or all for the sake of a new password.
//!
//! The session that lives on is moved past the watermark in the same transaction: its `opened_seq`, and the `rsq` of
//! its new tokens, become the number of the entry that ends the others.

use crate::model::{
    Account, AccountFields, AccountLoaded, Actor, Change, Ends, Invalid, PasswordHash, Policy, Refusal, Road, ScopeHasher, Seq, Session,
    SessionLoaded, Survivor, Timestamp,
};
use crate::token::{Authentic, Bearer, Grant, RefreshKey, TokenType};

use super::account::edit_account;
use super::lock::unlocked;
use super::presented::{check_live, check_sliding_id};
use super::sign_in::{bounded, idle_until, sliding_until};

/// What the session gets that lives on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LivesOn {
    /// An access token and a refresh token.
    Pair,
    /// A sliding token.
    Sliding {
        /// Until when it can be exchanged: no longer than the one before.
        refresh_until: Timestamp,
    },
}

/// The end of an account's other sessions.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Survival {
    /// What to write.
    pub change: Change,
    lives_on: LivesOn,
    after: Session,
    bearer: Bearer,
}

impl Survival {
    /// What to mint for the session that lives on, once the change got the number `seq`.
    pub fn grant(self, seq: Seq) -> Grant {
        let session = Session { opened_seq: seq, ..self.after };
        match self.lives_on {
            LivesOn::Pair => Grant::of_both(&session, self.bearer, seq),
            // Not a moment longer than the one before could have been exchanged for.
            LivesOn::Sliding { refresh_until } => {
                let session = Session { ends_at: Some(session.idle_until), ..session };
                Grant::of_sliding(&session, self.bearer, bounded(refresh_until, session.ends_at), seq)
            }
        }
    }
}

impl LivesOn {
    /// What a live token's session gets. A sliding token comes alone, so its id must be genuine, too.
    ///
    /// # Errors
    /// The session isn't live, or the token was minted before it survived the end of others the last time.
    pub fn of(token: &Authentic, loaded: &SessionLoaded, secret: &RefreshKey) -> Result<Self, Refusal> {
        let (_, rsq) = token.place()?;
        let (session, account) = loaded.found.as_ref().ok_or(Invalid::UnknownSession)?;
        check_live(session, account, loaded)?;
        if rsq < session.opened_seq {
            return Err(Invalid::Superseded.into());
        }
        if token.claims().token_type != Some(TokenType::Sliding) {
            return Ok(Self::Pair);
        }
        check_sliding_id(token, loaded, secret)?;
        let refresh_until = token.claims().refresh_exp.map(Timestamp::from_secs).ok_or(Refusal::TokenWithoutRefreshExp)?;
        Ok(Self::Sliding { refresh_until })
    }
}

/// A user changes the password: all other sessions end, this one gets new tokens.
///
/// # Errors
/// This session isn't live.
pub fn change_password(
    lives_on: LivesOn,
    loaded: &SessionLoaded,
    password: PasswordHash,
    policy: &Policy,
    scopes: &ScopeHasher,
    now: Timestamp,
) -> Result<Survival, Refusal> {
    survive(lives_on, loaded, Some(password), Road::PasswordChanged, policy, scopes, now)
}

/// A user logs out everywhere else.
///
/// # Errors
/// This session isn't live.
pub fn end_others(
    lives_on: LivesOn,
    loaded: &SessionLoaded,
    policy: &Policy,
    scopes: &ScopeHasher,
    now: Timestamp,
) -> Result<Survival, Refusal> {
    survive(lives_on, loaded, None, Road::LogOutElsewhere, policy, scopes, now)
}

/// A password is reset: all sessions end, and so does a lock.
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
    let fields = unlocked(account, AccountFields { password: Some(Some(password)), ..AccountFields::default() });
    Ok(Change::EditAccount(Box::new(edit_account(account, Road::PasswordReset, fields, actor.into(), policy, scopes, now))))
}

fn survive(
    lives_on: LivesOn,
    loaded: &SessionLoaded,
    password: Option<PasswordHash>,
    road: Road,
    policy: &Policy,
    scopes: &ScopeHasher,
    now: Timestamp,
) -> Result<Survival, Refusal> {
    let found = loaded.found.as_ref().filter(|(session, account)| session.is_live(account, &loaded.head));
    let (session, account) = found.ok_or(Refusal::TokenRevoked(None))?;
    let idle_until = match lives_on {
        LivesOn::Pair => idle_until(session.ends_at, policy, now),
        LivesOn::Sliding { refresh_until } => sliding_until(bounded(refresh_until, session.ends_at), session.ends_at, policy),
    };
    let survivor = Survivor { session: session.id, generation: session.generation, rotated_at: now, idle_until };
    let with_password = Account { password: password.clone().or(account.password.clone()), ..account.clone() };
    let bearer = Bearer::of(&with_password, &session.claims, &policy.tokens.names)?;
    let fields = AccountFields { password: password.map(Some), ..AccountFields::default() };
    let mut edit = edit_account(account, road, fields, Actor::Owner.into(), policy, scopes, now);
    if let Ends::Sessions { survivor: lives_on, .. } = &mut edit.ends {
        *lives_on = Some(survivor);
    }
    let change = Change::EditAccount(Box::new(edit));
    let after = Session { generation: session.generation.next(), rotated_at: now, idle_until, ..session.clone() };
    Ok(Survival { change, lives_on, after, bearer })
}
