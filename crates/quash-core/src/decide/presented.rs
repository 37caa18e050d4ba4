//! Tokens that are presented to be exchanged or to end something: what is believed of them before the store is asked,
//! and whether what the store says makes them genuine.

use crate::model::{
    Account, AccountBy, AccountState, CustomClaims, Generation, InactiveAccounts, Invalid, Policy, Refusal,
    ScopeKey, ScopeKind, Seq, Session, SessionId, SessionLoaded, SessionState, Timestamp, TokenPolicy,
};
use crate::token::{Authentic, Claims, Origin, RefreshKey, TokenType};

/// A refresh or sliding token that holds as far as it tells itself. Whether it is genuine only the store can tell.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Presented {
    /// A refresh token of ours.
    Refresh(PresentedRefresh),
    /// A sliding token of ours.
    Sliding(PresentedSliding),
    /// A token of another issuer.
    Foreign(PresentedForeign),
}

/// A refresh token of ours.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PresentedRefresh {
    /// The session it names.
    pub session: SessionId,
    /// The generation it names.
    pub generation: Generation,
    /// The head it was minted at.
    pub rsq: Seq,
    jti: String,
}

/// A sliding token of ours.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PresentedSliding {
    /// The session it names.
    pub session: SessionId,
    /// The head it was minted at.
    pub rsq: Seq,
    /// Until when it can be exchanged, if it says so.
    pub refresh_until: Option<Timestamp>,
    jti: String,
}

/// A token of another issuer, of whatever type it was asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PresentedForeign {
    /// Its own scope: what it is known and revoked by.
    pub key: ScopeKey,
    /// The scopes under which the log could have an entry over it: its own and its key's.
    pub scopes: [ScopeKey; 2],
    /// Whom it names; `None` where that is none of our accounts.
    pub account: Option<AccountBy>,
    /// The scope of the account, as the token calls it.
    pub user: ScopeKey,
    /// Whether its issuer's users are our accounts.
    pub is_ours: bool,
    /// When it was minted.
    pub minted_at: Timestamp,
    /// Its `exp`.
    pub expires_at: Timestamp,
    /// Until when it can be exchanged, in a sliding token that says so.
    pub refresh_until: Option<Timestamp>,
    pub(super) password_mark: Option<String>,
    pub(super) claims: CustomClaims,
}

impl Presented {
    /// A token that is to be exchanged.
    ///
    /// # Errors
    /// It doesn't hold now, isn't of this type, or is incomplete.
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
        let (session, rsq) = token.place()?;
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
    /// Its session, once its id has proved that it is genuine and the session is live.
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
    /// Its session, once its id has proved that it is genuine and the session is live.
    pub(super) fn session<'a>(
        &self,
        loaded: &'a SessionLoaded,
        secret: &RefreshKey,
    ) -> Result<(&'a Session, &'a Account), Refusal> {
        live_session(loaded, self.rsq, &self.jti, |session| sliding_id(session, secret))
    }
}

impl PresentedForeign {
    /// What is believed of a token of another issuer, once it has been checked.
    ///
    /// # Errors
    /// It is one of ours, or says more than a session can carry on.
    pub fn new(token: &Authentic, policy: &TokenPolicy) -> Result<Self, Refusal> {
        let Origin::Foreign(issuer) = token.origin() else { return Err(Invalid::Claim.into()) };
        let claims = token.claims();
        let (jti, user_id) = claims.jti.as_deref().zip(claims.user_id.as_deref()).ok_or(Invalid::Claim)?;
        let (iat, exp) = claims.iat.zip(claims.exp).ok_or(Invalid::Claim)?;
        let key = issuer.scopes.key_of(ScopeKind::Token, jti);
        let of_its_key = token.scopes().first().copied().ok_or(Invalid::Claim)?;
        let account =
            AccountBy::user_id(policy.names.user_id_field, user_id).filter(|_| issuer.scopes.is_ours());
        Ok(Self {
            key,
            scopes: [key, of_its_key],
            account,
            user: issuer.scopes.user_id(user_id),
            is_ours: issuer.scopes.is_ours(),
            minted_at: Timestamp::from_secs(iat),
            expires_at: Timestamp::from_secs(exp),
            refresh_until: claims.refresh_exp.map(Timestamp::from_secs),
            password_mark: claims.password_mark.clone(),
            claims: custom(claims, policy)?,
        })
    }
}

/// The custom claims that the tokens of the session will have. `sid`, `rsq` and `gen` are not among them: quash writes its own.
fn custom(claims: &Claims, policy: &TokenPolicy) -> Result<CustomClaims, Invalid> {
    let kept: Vec<_> =
        claims.custom.iter().filter(|(name, _)| !policy.names.reserves(name)).cloned().collect();
    CustomClaims::new(&kept).map_err(|_| Invalid::Claim)
}

/// Whether the session of an access token of ours goes on, by the store alone: for whoever asks on behalf of others, and
/// mustn't be told what this process happens to remember. What the log says of the token is asked at the gate.
///
/// # Errors
/// Its session isn't known or isn't live, or its account may not be used.
pub fn recheck_access(token: &Authentic, loaded: &SessionLoaded, policy: &Policy) -> Result<(), Refusal> {
    let (_, rsq) = token.place()?;
    let (session, account) = loaded.found.as_ref().ok_or(Invalid::UnknownSession)?;
    if rsq > loaded.head.seq {
        return Err(Invalid::FromTheFuture.into());
    }
    check_live(session, account, loaded)?;
    check_active(account, policy)
}

/// The session of a token of ours. Its id is compared in constant time, before anything else is believed: who stole a
/// signing key can't end sessions with it.
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

/// Whether the id of a sliding token is the one that its session gives, be the token expired or not.
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

/// In constant time, so that nobody finds an id piece by piece.
fn check_id(presented: &str, genuine: &str) -> Result<(), Refusal> {
    let equal = aws_lc_rs::constant_time::verify_slices_are_equal(genuine.as_bytes(), presented.as_bytes());
    equal.map_err(|_| Invalid::WrongId.into())
}

/// Whether a session's tokens are good, as far as its row and the watermarks tell.
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

/// Whether an account's tokens may be exchanged.
pub(super) fn check_active(account: &Account, policy: &Policy) -> Result<(), Refusal> {
    let deactivated = matches!(account.state, AccountState::Deactivated { .. });
    if deactivated && policy.accounts.inactive == InactiveAccounts::Refused {
        Err(Refusal::NoActiveAccount)
    } else {
        Ok(())
    }
}
