//! Signing in, and how a session begins. The password has been hashed and compared before: exactly once, whatever is
//! decided here.

use crate::model::{
    Account, AccountLoaded, Actor, Adopted, Change, CustomClaims, DeviceId, Entropy, Generation, LastLogin,
    Opening, PasswordHash, Policy, Reason, Refusal, ScopeHasher, Session, SessionEnd, SessionId,
    SessionState, Standing, Timestamp, draw, limits,
};
use crate::token::{Bearer, Grant};

use super::cause::{Cause, session_end};

/// What a client tells about itself.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Device {
    /// Its user agent, as sent.
    pub user_agent: Option<String>,
    /// Its address.
    pub address: Option<String>,
}

/// What was found out about a password.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tried {
    /// It isn't the account's, or wasn't compared.
    Wrong,
    /// It is the account's.
    Right,
    /// It is the account's, and comes from a device that the account is known on: a lock doesn't keep it out.
    RightFromKnownDevice,
}

/// What kind of tokens a session has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// An access token and a refresh token.
    Pair,
    /// One token that does both.
    Sliding,
}

/// A session about to be opened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Opened {
    /// What to write.
    pub change: Change,
    /// What to mint once that is written.
    pub grant: Grant,
}

/// Whether an account may sign in. That the address isn't verified, or the password is good for once, is told only to who
/// knows the password.
///
/// # Errors
/// [`Refusal::BadCredentials`], [`Refusal::EmailNotVerified`] or [`Refusal::PasswordChangeRequired`].
pub fn judge_sign_in(loaded: &AccountLoaded, tried: Tried, now: Timestamp) -> Result<&Account, Refusal> {
    let account = loaded.account.as_ref().filter(|_| tried.is_right()).ok_or(Refusal::BadCredentials)?;
    match tried.standing(account, now) {
        Standing::Active | Standing::Unverified if account.is_good_for_once(now) => {
            Err(Refusal::PasswordChangeRequired)
        }
        Standing::Active | Standing::Unverified if account.must_change.is_some() => {
            Err(Refusal::BadCredentials)
        }
        Standing::Active => Ok(account),
        Standing::Unverified => Err(Refusal::EmailNotVerified),
        Standing::Locked | Standing::Deactivated => Err(Refusal::BadCredentials),
    }
}

/// Whether a password that is asked for again is right, for an account that is signed in already. One that is good for
/// once is for nothing but being changed.
///
/// # Errors
/// [`Refusal::BadCredentials`].
pub fn judge_again(loaded: &AccountLoaded, tried: Tried, now: Timestamp) -> Result<&Account, Refusal> {
    let account = loaded.account.as_ref().filter(|account| tried.is_right() && account.must_change.is_none());
    account.filter(|account| tried.may_try(account, now)).ok_or(Refusal::BadCredentials)
}

/// Whether a password is one that is good for once, and still good.
///
/// # Errors
/// [`Refusal::BadCredentials`].
pub fn judge_one_time_password(
    loaded: &AccountLoaded,
    tried: Tried,
    now: Timestamp,
) -> Result<&Account, Refusal> {
    let account = loaded.account.as_ref().filter(|account| tried.is_right() && account.is_good_for_once(now));
    account.filter(|account| tried.may_try(account, now)).ok_or(Refusal::BadCredentials)
}

impl Tried {
    /// Whether the password is the account's.
    pub const fn is_right(self) -> bool {
        matches!(self, Self::Right | Self::RightFromKnownDevice)
    }

    fn standing(self, account: &Account, now: Timestamp) -> Standing {
        match self {
            Self::Wrong | Self::Right => account.standing(now),
            Self::RightFromKnownDevice => account.standing_past_lock(),
        }
    }

    fn may_try(self, account: &Account, now: Timestamp) -> bool {
        matches!(self.standing(account, now), Standing::Active | Standing::Unverified)
    }
}

/// Opens a session for an account that may sign in. One over the limit ends the session idle longest. `presented` is the
/// known device whose token the client has presented: the session is bound to it. `knows` is the device that the account
/// is known on from then on: that one, or a new one.
///
/// What a known device was let past says nothing against those that it was to keep out: locks in a row go on being counted.
///
/// # Errors
/// The account has no such field as the site wants its tokens to name.
#[expect(
    clippy::too_many_arguments,
    reason = "each is one of what a decision may depend on; a bundle would only hide them"
)]
pub fn open_session(
    kind: Kind,
    loaded: &AccountLoaded,
    account: &Account,
    rehash: Option<PasswordHash>,
    device: &Device,
    presented: Option<DeviceId>,
    knows: Option<DeviceId>,
    policy: &Policy,
    scopes: &ScopeHasher,
    now: Timestamp,
    entropy: &dyn Entropy,
) -> Result<Opened, Refusal> {
    let session =
        Session { known_device: presented, ..new_session(loaded, account, device, policy, now, entropy) };
    let bearer = Bearer::of(account, &session.claims, &policy.tokens.names)?;
    let rsq = loaded.head.seq;
    let (session, grant) = match kind {
        Kind::Pair => {
            let grant = Grant::of_both(&session, bearer, rsq);
            (session, grant)
        }
        Kind::Sliding => {
            let refresh_until = bounded(now + policy.tokens.sliding_refresh_lifetime, session.ends_at);
            let session =
                Session { idle_until: sliding_until(refresh_until, session.ends_at, policy), ..session };
            let grant = Grant::of_sliding(&session, bearer, refresh_until, rsq);
            (session, grant)
        }
    };
    let opening = Opening {
        session,
        version: account.version,
        rehash,
        evict: evicted(loaded, policy, scopes, now),
        knows,
        last_login: (policy.accounts.last_login == LastLogin::Recorded).then_some(now),
        locks: (account.locks > 0 && account.standing(now) != Standing::Locked).then_some(0),
        adopts: None,
        claims: None,
    };
    Ok(Opened { change: Change::OpenSession(Box::new(opening)), grant })
}

/// A session as it begins: live, at generation 0, with the refresh lifetime ahead of it.
pub(super) fn new_session(
    loaded: &AccountLoaded,
    account: &Account,
    device: &Device,
    policy: &Policy,
    now: Timestamp,
    entropy: &dyn Entropy,
) -> Session {
    let ends_at = policy.sessions.absolute_lifetime.map(|lifetime| (now + lifetime).floor_to_secs());
    Session {
        id: SessionId::new(now, entropy),
        subject: account.subject.clone(),
        generation: Generation::default(),
        rotated_at: now,
        seed: draw(entropy),
        opened_seq: loaded.head.seq,
        opened_at: now,
        idle_until: idle_until(ends_at, policy, now),
        ends_at,
        state: SessionState::Live,
        device: device.user_agent.as_deref().map(|text| cut(text, limits::DEVICE_BYTES).to_owned()),
        address: device.address.clone(),
        claims: CustomClaims::default(),
        adopted: None::<Adopted>,
        known_device: None,
        client: None,
    }
}

/// The session that makes room for one more.
pub(super) fn evicted(
    loaded: &AccountLoaded,
    policy: &Policy,
    scopes: &ScopeHasher,
    now: Timestamp,
) -> Option<SessionEnd> {
    let over = loaded.live_sessions >= policy.sessions.max_per_account;
    let one_over = Cause { reason: Reason::OverLimit, actor: Actor::Rule };
    loaded.idlest.as_ref().filter(|_| over).map(|idlest| session_end(idlest, &one_over, scopes, now))
}

/// When a refresh token minted now expires: whole seconds, and never after its session.
pub(super) fn idle_until(ends_at: Option<Timestamp>, policy: &Policy, now: Timestamp) -> Timestamp {
    bounded(now + policy.tokens.refresh_lifetime, ends_at)
}

/// When the last of a session's sliding tokens expires: one may be exchanged in the last moment.
pub(super) fn sliding_until(
    refresh_until: Timestamp,
    ends_at: Option<Timestamp>,
    policy: &Policy,
) -> Timestamp {
    bounded(refresh_until + policy.tokens.sliding_lifetime, ends_at)
}

/// Whole seconds, and never after the session.
pub(super) fn bounded(moment: Timestamp, ends_at: Option<Timestamp>) -> Timestamp {
    let moment = moment.floor_to_secs();
    ends_at.map_or(moment, |ends_at| ends_at.min(moment))
}

/// The longest start of `text` that fits into `bytes`.
fn cut(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}
