//! Tokens presented for an exchange or to end a session: the data trusted before the store is read, and the
//! check against the store that they are genuine.

use std::time::Duration;

use crate::model::{
    Account, AccountBy, AccountState, CustomClaims, Generation, InactiveAccounts, Invalid, Policy, Refusal,
    ScopeKey, ScopeKind, Seq, Session, SessionId, SessionLoaded, SessionState, Timestamp, TokenPolicy,
};
use crate::token::{Authentic, Claims, Issuer, Origin, RefreshKey, TokenType};

/// A refresh or sliding token that is valid by its own claims. Only the store can tell whether it is genuine.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum TokenRequest {
    Refresh(PresentedRefresh),
    Sliding(PresentedSliding),
    Foreign(PresentedForeign),
}

/// A refresh token of this issuer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PresentedRefresh {
    pub session: SessionId,
    pub generation: Generation,
    /// The log's head at which the token was minted.
    pub rsq: Seq,
    jti: String,
}

/// A sliding token of this issuer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PresentedSliding {
    pub session: SessionId,
    /// The log's head at which the token was minted.
    pub rsq: Seq,
    /// The time until which it can be exchanged, if it says so.
    pub refresh_until: Option<Timestamp>,
    jti: String,
}

/// A token of another issuer, of any type.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PresentedForeign {
    /// The token's own scope, under which it is stored and revoked.
    pub key: ScopeKey,
    /// The scopes under which the log could have an entry for the token: its own, its key's, and in a namespace
    /// its session's.
    pub scopes: Vec<ScopeKey>,
    /// The token's session in its namespace, and the longest lifetime of such a session's tokens.
    pub(super) session: Option<(ScopeKey, Duration)>,
    /// The account that it names; `None` if that can't be one of our accounts.
    pub account: Option<AccountBy>,
    /// The scope of the account, by the token's name for it.
    pub user: ScopeKey,
    /// True if the issuer's users are our accounts.
    pub is_ours: bool,
    pub minted_at: Timestamp,
    pub expires_at: Timestamp,
    /// The time until which it can be exchanged, if it is a sliding token that says so.
    pub refresh_until: Option<Timestamp>,
    pub(super) password_mark: Option<String>,
    pub(super) claims: CustomClaims,
}

impl TokenRequest {
    /// Reads a token that is presented for an exchange.
    ///
    /// # Errors
    /// The token isn't valid now, isn't of this type, or is incomplete.
    pub fn new(
        token: &Authentic,
        purpose: TokenType,
        policy: &TokenPolicy,
        now: Timestamp,
    ) -> Result<Self, Refusal> {
        token.check(&[purpose], policy, now)?;
        let refresh_until = token.claims().refresh_exp.map(Timestamp::from_secs);
        if let Origin::Foreign(_) = token.origin() {
            return PresentedForeign::new(token, policy).map(Self::Foreign);
        }
        let (session, rsq) = token.session_and_rsq()?;
        let jti = token.claims().jti.clone().ok_or(Invalid::Claim)?;
        Ok(match purpose {
            TokenType::Sliding => Self::Sliding(PresentedSliding { session, rsq, refresh_until, jti }),
            TokenType::Refresh | TokenType::Access => {
                let generation = token.claims().generation.ok_or(Invalid::Claim)?;
                Self::Refresh(PresentedRefresh { session, generation, rsq, jti })
            }
        })
    }
}

impl PresentedRefresh {
    /// Returns the token's session, after checking that the id is genuine and the session live.
    pub(super) fn session<'a>(
        &self,
        loaded: &'a SessionLoaded,
        secret: &RefreshKey,
    ) -> Result<(&'a Session, &'a Account), Refusal> {
        let genuine = |session: &Session| secret.jti(session.id, &session.seed, self.generation).to_string();
        live_session(loaded, self.rsq, &self.jti, genuine)
    }
}

impl PresentedSliding {
    /// Returns the token's session, after checking that the id is genuine and the session live.
    pub(super) fn session<'a>(
        &self,
        loaded: &'a SessionLoaded,
        secret: &RefreshKey,
    ) -> Result<(&'a Session, &'a Account), Refusal> {
        live_session(loaded, self.rsq, &self.jti, |session| sliding_id(session, secret))
    }
}

impl PresentedForeign {
    /// Reads a checked token of another issuer.
    ///
    /// # Errors
    /// The token is one of ours, or has more claims than a session can carry.
    pub fn new(token: &Authentic, policy: &TokenPolicy) -> Result<Self, Refusal> {
        let Origin::Foreign(issuer) = token.origin() else { return Err(Invalid::Claim.into()) };
        let claims = token.claims();
        let (jti, user_id) = claims.jti.as_deref().zip(claims.user_id.as_deref()).ok_or(Invalid::Claim)?;
        let (iat, exp) = claims.iat.zip(claims.exp).ok_or(Invalid::Claim)?;
        let key = issuer.scopes.key_of(ScopeKind::Token, jti);
        let of_its_key = token.scopes().first().copied().ok_or(Invalid::Claim)?;
        let account =
            AccountBy::user_id(policy.names.user_id_field, user_id).filter(|_| issuer.scopes.is_ours());
        let session = claims.session.as_deref().zip(issuer.namespace.as_ref()).map(|(session, namespace)| {
            (issuer.scopes.key_of(ScopeKind::Session, session), namespace.max_lifetime)
        });
        let of_its_session = session.map(|(session, _)| session);
        Ok(Self {
            key,
            scopes: [key, of_its_key].into_iter().chain(of_its_session).collect(),
            session,
            account,
            user: issuer.scopes.user_id(user_id),
            is_ours: issuer.scopes.is_ours(),
            minted_at: Timestamp::from_secs(iat),
            expires_at: Timestamp::from_secs(exp),
            refresh_until: claims.refresh_exp.map(Timestamp::from_secs),
            password_mark: claims.password_mark.clone(),
            claims: custom(claims, issuer, policy)?,
        })
    }
}

/// Returns the custom claims for the tokens of the session. `sid`, `rsq` and `gen` are left out, because quash
/// writes its own, and so are claims that concern the issuer's own sessions.
fn custom(claims: &Claims, issuer: &Issuer, policy: &TokenPolicy) -> Result<CustomClaims, Invalid> {
    let is_kept = |name: &String| !policy.names.reserves(name) && !issuer.dropped.contains(name);
    let kept: Vec<_> = claims.custom.iter().filter(|(name, _)| is_kept(name)).cloned().collect();
    CustomClaims::new(&kept).map_err(|_| Invalid::Claim)
}

/// Checks by the store alone that the session of our access token is live. For callers that ask on behalf of
/// others and must not learn what this process happens to remember. `watch/gate.rs` checks the log's entries.
///
/// # Errors
/// The session isn't known or isn't live, or its account may not be used.
pub fn recheck_access(token: &Authentic, loaded: &SessionLoaded, policy: &Policy) -> Result<(), Refusal> {
    let (_, rsq) = token.session_and_rsq()?;
    let (session, account) = loaded.found.as_ref().ok_or(Invalid::UnknownSession)?;
    if rsq > loaded.head.seq {
        return Err(Invalid::FromTheFuture.into());
    }
    check_live(session, account, loaded)?;
    check_active(account, policy)
}

/// Returns the session of one of our tokens. The id is compared first, in constant time: an attacker with a
/// stolen signing key can't end sessions with it.
fn live_session<'a>(
    loaded: &'a SessionLoaded,
    rsq: Seq,
    jti: &str,
    genuine: impl Fn(&Session) -> String,
) -> Result<(&'a Session, &'a Account), Refusal> {
    let (session, account) = loaded.found.as_ref().ok_or(Invalid::UnknownSession)?;
    check_id(jti, &genuine(session))?;
    if rsq > loaded.head.seq {
        return Err(Invalid::FromTheFuture.into());
    }
    check_live(session, account, loaded)?;
    if rsq < session.opened_seq {
        return Err(Invalid::Superseded.into());
    }
    Ok((session, account))
}

/// Checks that the id of a sliding token is the one that its session gives, even for an expired token.
pub(super) fn check_sliding_id(
    token: &Authentic,
    loaded: &SessionLoaded,
    secret: &RefreshKey,
) -> Result<(), Refusal> {
    let (session, _) = loaded.found.as_ref().ok_or(Invalid::UnknownSession)?;
    check_id(token.claims().jti.as_deref().unwrap_or_default(), &sliding_id(session, secret))
}

fn sliding_id(session: &Session, secret: &RefreshKey) -> String {
    secret.sliding_jti(session.id, &session.seed, session.generation).to_string()
}

/// Compares in constant time, so that an attacker can't guess an id piece by piece.
fn check_id(presented: &str, genuine: &str) -> Result<(), Refusal> {
    let equal = aws_lc_rs::constant_time::verify_slices_are_equal(genuine.as_bytes(), presented.as_bytes());
    equal.map_err(|_| Invalid::WrongId.into())
}

/// Checks by a session's row and the watermarks that its tokens are live.
pub(super) fn check_live(
    session: &Session,
    account: &Account,
    loaded: &SessionLoaded,
) -> Result<(), Refusal> {
    match &session.state {
        SessionState::Ended(ending) => Err(Refusal::TokenRevoked(Some(ending.reason))),
        SessionState::Live if !session.is_live(account, &loaded.head) => Err(Refusal::TokenRevoked(None)),
        SessionState::Live => Ok(()),
    }
}

/// Checks that an account's tokens may be exchanged.
pub(super) fn check_active(account: &Account, policy: &Policy) -> Result<(), Refusal> {
    let deactivated = matches!(account.state, AccountState::Deactivated { .. });
    if deactivated && policy.accounts.inactive == InactiveAccounts::Refused {
        Err(Refusal::NoActiveAccount)
    } else {
        Ok(())
    }
}
