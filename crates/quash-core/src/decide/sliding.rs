//! Sliding tokens: one token that authorizes requests and is exchanged for one that expires later. Its
//! session has no generations, so a second bearer of the token can't be noticed.

use crate::model::{Policy, Refusal, Session, SessionLoaded, Timestamp};
use crate::token::{Bearer, Grant, RefreshKey};

use super::presented::{PresentedSliding, check_active};
use super::sign_in::bounded;

/// Exchanges a sliding token. Nothing is written, and the token's id stays the same.
///
/// # Errors
/// The token isn't genuine, its session or account can't be used, or it can't be exchanged any more.
pub fn refresh_sliding(
    presented: &PresentedSliding,
    loaded: &SessionLoaded,
    policy: &Policy,
    secret: &RefreshKey,
    now: Timestamp,
) -> Result<Grant, Refusal> {
    let (session, account) = presented.session(loaded, secret)?;
    check_active(account, policy)?;
    let refresh_until = exchangeable(presented.refresh_until, session, policy, now)?;
    let bearer = Bearer::of(account, &session.claims, &policy.tokens.names)?;
    Ok(Grant::of_sliding(session, bearer, refresh_until, loaded.head.versions()))
}

/// Checks a sliding token without consequences: for `verify`.
///
/// # Errors
/// The refusal that the sliding endpoint would give, except those about the exchange: a token that can't be
/// exchanged any more may still authorize requests.
pub fn recheck_sliding(
    presented: &PresentedSliding,
    loaded: &SessionLoaded,
    secret: &RefreshKey,
) -> Result<(), Refusal> {
    presented.session(loaded, secret).map(|_| ())
}

/// Returns the time until which a sliding token can be exchanged, at most its session's end.
///
/// # Errors
/// The token doesn't name the time, or the time is over.
pub(super) fn exchangeable(
    until: Option<Timestamp>,
    session: &Session,
    policy: &Policy,
    now: Timestamp,
) -> Result<Timestamp, Refusal> {
    let until = until.ok_or(Refusal::TokenWithoutRefreshExp)?;
    if until <= now - policy.tokens.leeway {
        return Err(Refusal::TokenRefreshExpired);
    }
    Ok(bounded(until, session.ends_at))
}
