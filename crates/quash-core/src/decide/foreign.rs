//! Exchanges and checks tokens of other issuers. A token's first exchange adopts it: it opens a session, and from
//! then on counts as one of the session's own tokens.
//!
//! An adopted refresh token counts as the session's generation 0, and the token issued for it as generation 1. If
//! the adopted token is presented again, the usual rules for the parent and for spent tokens apply.

use crate::model::{
    Account, AccountClaims, Actor, Adopted, Adoption, Change, CustomClaims, Entropy, ForeignLoaded,
    Generation, LastLogin, Policy, Reason, Refusal, ScopeHasher, Session, SessionLoaded, SessionOpening,
    Timestamp, limits,
};
use crate::token::{Bearer, Grant};

use super::cause::{Cause, token_entry};
use super::presented::{PresentedForeign, check_active, check_live};
use super::refresh::{Refreshed, recheck_generation, spend};
use super::sign_in::{Device, Kind, Room, bounded, new_session, room, sliding_until};
use super::sliding::exchangeable;

/// Exchanges a refresh token of another issuer.
///
/// # Errors
/// The token has been revoked, or its account or the session that it has opened can't be used.
pub fn refresh_foreign(
    presented: &PresentedForeign,
    loaded: &ForeignLoaded,
    device: &Device,
    policy: &Policy,
    scopes: &ScopeHasher,
    now: Timestamp,
    entropy: &dyn Entropy,
) -> Result<Refreshed, Refusal> {
    match adopted(presented, loaded, policy)? {
        Some((session, account)) => {
            check_active(account, policy)?;
            spend(Generation(0), session, account, &loaded.account.head, policy, scopes, now)
        }
        None => adopt(Kind::Pair, presented, loaded, device, policy, scopes, now, entropy),
    }
}

/// Exchanges a sliding token of another issuer.
///
/// # Errors
/// The token has been revoked, its account or the session that it has opened can't be used, or it can't be
/// exchanged any more.
pub fn refresh_foreign_sliding(
    presented: &PresentedForeign,
    loaded: &ForeignLoaded,
    device: &Device,
    policy: &Policy,
    scopes: &ScopeHasher,
    now: Timestamp,
    entropy: &dyn Entropy,
) -> Result<Refreshed, Refusal> {
    match adopted(presented, loaded, policy)? {
        Some((session, account)) => {
            check_active(account, policy)?;
            let refresh_until = exchangeable(presented.refresh_until, session, policy, now)?;
            let bearer = Bearer::of(account, &session.claims, &policy.tokens.names)?;
            Ok(Refreshed::Answer {
                grant: Grant::of_sliding(session, bearer, refresh_until, loaded.account.head.versions()),
            })
        }
        None => adopt(Kind::Sliding, presented, loaded, device, policy, scopes, now, entropy),
    }
}

/// Checks, for `verify`, a token of another issuer that `watch/gate.rs` doesn't check. Changes nothing.
///
/// # Errors
/// The refusal that an exchange would give; a spent token counts as revoked.
pub fn recheck_foreign(
    presented: &PresentedForeign,
    loaded: &ForeignLoaded,
    policy: &Policy,
) -> Result<(), Refusal> {
    match adopted(presented, loaded, policy)? {
        Some((session, _)) => recheck_generation(Generation(0), session, policy),
        // The issuer's users aren't our accounts: the token can open no session, but may be valid.
        None if !presented.is_ours => check_current(presented, loaded),
        None => adoptable(presented, loaded, policy).map(|_| ()),
    }
}

/// Returns the session that the token has opened, if that is live, with its account.
pub(super) fn adopted<'a>(
    presented: &PresentedForeign,
    loaded: &'a ForeignLoaded,
    policy: &Policy,
) -> Result<Option<(&'a Session, &'a Account)>, Refusal> {
    let Some((session, account)) = &loaded.adopted else {
        return if loaded.revoked { Err(refusal_of_revoked(presented, loaded, policy)) } else { Ok(None) };
    };
    let as_loaded = SessionLoaded { head: loaded.account.head, found: None };
    check_live(session, account, &as_loaded)?;
    // The token's key may have been revoked.
    if loaded.revoked { Err(Refusal::TokenRevoked(None)) } else { Ok(Some((session, account))) }
}

/// Checks three conditions. A token that fails one of them counts as revoked, even without an entry in the log:
///
/// - It was minted after the last time that its account's sessions, or all sessions, were ended. The issuer's clock
///   counts seconds: a token minted in the same second counts as minted before.
/// - It belongs to the account that has its name or address now, not to an earlier one. The issuer's clock
///   may be ahead of ours by [`limits::LEEWAY`].
/// - No entry deleted from the log may have revoked it.
pub(super) fn check_current(presented: &PresentedForeign, loaded: &ForeignLoaded) -> Result<(), Refusal> {
    let (head, account) = (&loaded.account.head, loaded.account.account.as_ref());
    let ended = account.map_or(head.foreign_after, |account| account.foreign_after.max(head.foreign_after));
    let is_after_end = presented.minted_at.as_secs() > ended.as_secs();
    let is_of_another =
        loaded.freed_at.is_some_and(|freed_at| presented.minted_at <= freed_at + limits::LEEWAY);
    if is_after_end && !is_of_another && !head.forgotten.reaches(presented.minted_at, presented.expires_at) {
        Ok(())
    } else {
        Err(Refusal::TokenRevoked(None))
    }
}

/// Returns the refusal of a revoked token, in Simple JWT's terms: a changed password if the token carries the
/// mark of another password, else a revoked token.
pub(super) fn refusal_of_revoked(
    presented: &PresentedForeign,
    loaded: &ForeignLoaded,
    policy: &Policy,
) -> Refusal {
    match &loaded.account.account {
        Some(account) if is_of_another_password(presented.password_mark.as_deref(), account, policy) => {
            Refusal::PasswordChanged
        }
        _ => Refusal::TokenRevoked(None),
    }
}

/// Returns whether a token of another issuer carries the mark of another password than the account's, if the
/// policy requires marks.
pub fn is_of_another_password(mark: Option<&str>, account: &Account, policy: &Policy) -> bool {
    policy.tokens.names.password_mark.is_some() && mark != Some(&account.password_mark())
}

/// Returns the account that the token can open a session for.
fn adoptable<'a>(
    presented: &PresentedForeign,
    loaded: &'a ForeignLoaded,
    policy: &Policy,
) -> Result<&'a Account, Refusal> {
    let account = loaded.account.account.as_ref().ok_or(Refusal::NoActiveAccount)?;
    check_active(account, policy)?;
    if is_of_another_password(presented.password_mark.as_deref(), account, policy) {
        return Err(Refusal::PasswordChanged);
    }
    check_current(presented, loaded).map(|()| account)
}

/// Opens the token's session. A token with the mark of another password is revoked instead.
#[expect(
    clippy::too_many_arguments,
    reason = "each is an input of the decision; a struct would only hide them"
)]
fn adopt(
    kind: Kind,
    presented: &PresentedForeign,
    loaded: &ForeignLoaded,
    device: &Device,
    policy: &Policy,
    scopes: &ScopeHasher,
    now: Timestamp,
    entropy: &dyn Entropy,
) -> Result<Refreshed, Refusal> {
    let account = match adoptable(presented, loaded, policy) {
        Ok(account) => account,
        Err(Refusal::PasswordChanged) => return Ok(revoke_stale(presented, now)),
        Err(refusal) => return Err(refusal),
    };
    let new = new_session(&loaded.account, account, device, policy, now, entropy);
    let new = Session {
        claims: presented.claims.clone(),
        adopted: Some(Adopted { key: presented.key, until: presented.expires_at }),
        ..new
    };
    let bearer = Bearer::of(account, &new.claims, &policy.tokens.names)?;
    let versions = loaded.account.head.versions();
    let (session, grant) = match kind {
        Kind::Pair if policy.rotation.rotate => {
            let session = Session { generation: Generation(1), ..new };
            let grant = Grant::of_both(&session, bearer, versions);
            (session, grant)
        }
        // The token remains the session's refresh token until it expires.
        Kind::Pair => {
            let session = Session { idle_until: bounded(presented.expires_at, new.ends_at), ..new };
            let grant = Grant::of_access(&session, bearer, versions);
            (session, grant)
        }
        Kind::Sliding => {
            let refresh_until = exchangeable(presented.refresh_until, &new, policy, now)?;
            let session = Session { idle_until: sliding_until(refresh_until, new.ends_at, policy), ..new };
            let grant = Grant::of_sliding(&session, bearer, refresh_until, versions);
            (session, grant)
        }
    };
    let Room { evict, most_live } = room(&loaded.account, policy, scopes, now);
    let opening = SessionOpening {
        session,
        version: account.version,
        rehash: None,
        evict,
        most_live,
        last_login: (policy.accounts.last_login == LastLogin::Recorded).then_some(now),
        known_device: None,
        locks: None,
        adopts: Some(Adoption { minted_at: presented.minted_at, scopes: presented.scopes.to_vec() }),
        claims: (account.claims == AccountClaims::Unset && presented.claims != CustomClaims::default())
            .then(|| presented.claims.clone()),
    };
    Ok(Refreshed::Write { change: Change::OpenSession(Box::new(opening)), grant })
}

/// Revokes a token that carries the mark of another password, as Simple JWT does.
fn revoke_stale(presented: &PresentedForeign, now: Timestamp) -> Refreshed {
    let cause = Cause { reason: Reason::PasswordChanged, actor: Actor::Rule };
    let tokens = vec![token_entry(presented.key, presented.expires_at, &cause, now)];
    Refreshed::End {
        change: Change::EndSessions { sessions: Vec::new(), tokens },
        refusal: Refusal::PasswordChanged,
    }
}
