//! Sign-in decisions and the opening of sessions. The caller has already hashed and compared the password,
//! exactly once for every decision.

use crate::model::{
    Account, AccountLoaded, AccountStatus, Actor, Adopted, Change, CustomClaims, DeviceId, Entropy,
    Generation, LastLogin, PasswordHash, Policy, Reason, Refusal, ScopeHasher, Session, SessionEnd,
    SessionId, SessionOpening, SessionState, Timestamp, draw, limits,
};
use crate::token::{Bearer, Grant};

use super::cause::{Cause, session_end};

/// A client's description of itself.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Device {
    /// The user agent, as sent.
    pub user_agent: Option<String>,
    pub address: Option<String>,
}

/// The result of comparing a password.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PasswordCheck {
    /// The password is wrong, or wasn't compared.
    Wrong,
    Right,
    /// The password is right, and the client is a known device of the account: a lock doesn't apply to it.
    RightFromKnownDevice,
}

/// The kind of tokens that a session has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// An access token and a refresh token.
    Pair,
    /// One token that serves as both.
    Sliding,
}

/// A session about to be opened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Opened {
    pub change: Change,
    /// The tokens to mint once the change is written.
    pub grant: Grant,
}

/// Decides whether an account may sign in. Only a client that knows the password learns that the address
/// isn't verified or that the password must be changed.
///
/// # Errors
/// [`Refusal::BadCredentials`], [`Refusal::EmailNotVerified`] or [`Refusal::PasswordChangeRequired`].
pub fn judge_sign_in(
    loaded: &AccountLoaded,
    tried: PasswordCheck,
    now: Timestamp,
) -> Result<&Account, Refusal> {
    let account = loaded.account.as_ref().filter(|_| tried.is_right()).ok_or(Refusal::BadCredentials)?;
    match tried.status(account, now) {
        AccountStatus::Active | AccountStatus::Unverified if account.has_temporary_password(now) => {
            Err(Refusal::PasswordChangeRequired)
        }
        AccountStatus::Active | AccountStatus::Unverified if account.temporary_until.is_some() => {
            Err(Refusal::BadCredentials)
        }
        AccountStatus::Active => Ok(account),
        AccountStatus::Unverified => Err(Refusal::EmailNotVerified),
        AccountStatus::Locked | AccountStatus::Deactivated => Err(Refusal::BadCredentials),
    }
}

/// Decides whether the password given again by a signed-in user is right. A temporary password is refused: it
/// can only be changed.
///
/// # Errors
/// [`Refusal::BadCredentials`].
pub fn judge_reauthentication(
    loaded: &AccountLoaded,
    tried: PasswordCheck,
    now: Timestamp,
) -> Result<&Account, Refusal> {
    let account =
        loaded.account.as_ref().filter(|account| tried.is_right() && account.temporary_until.is_none());
    account.filter(|account| tried.may_authenticate(account, now)).ok_or(Refusal::BadCredentials)
}

/// Decides whether a password is a temporary one that hasn't expired.
///
/// # Errors
/// [`Refusal::BadCredentials`].
pub fn judge_one_time_password(
    loaded: &AccountLoaded,
    tried: PasswordCheck,
    now: Timestamp,
) -> Result<&Account, Refusal> {
    let account =
        loaded.account.as_ref().filter(|account| tried.is_right() && account.has_temporary_password(now));
    account.filter(|account| tried.may_authenticate(account, now)).ok_or(Refusal::BadCredentials)
}

impl PasswordCheck {
    pub const fn is_right(self) -> bool {
        matches!(self, Self::Right | Self::RightFromKnownDevice)
    }

    fn status(self, account: &Account, now: Timestamp) -> AccountStatus {
        match self {
            Self::Wrong | Self::Right => account.status(now),
            Self::RightFromKnownDevice => account.status_past_lock(),
        }
    }

    fn may_authenticate(self, account: &Account, now: Timestamp) -> bool {
        matches!(self.status(account, now), AccountStatus::Active | AccountStatus::Unverified)
    }
}

/// Opens a session for an account that may sign in. If the account is over its limit, the session idle
/// longest ends. `presented` is the known device whose token the client has presented: the session is bound
/// to it. `knows` is the device on which the account is known from then on: that one, or a new one.
///
/// A known device that signs in past a lock doesn't reset the count of consecutive locks.
///
/// # Errors
/// The account lacks a field that the policy wants in its tokens.
#[expect(
    clippy::too_many_arguments,
    reason = "each is an input of the decision; a struct would only hide them"
)]
pub fn open_session(
    kind: Kind,
    loaded: &AccountLoaded,
    account: &Account,
    rehash: Option<PasswordHash>,
    device: &Device,
    presented: Option<DeviceId>,
    known_device: Option<DeviceId>,
    policy: &Policy,
    scopes: &ScopeHasher,
    now: Timestamp,
    entropy: &dyn Entropy,
) -> Result<Opened, Refusal> {
    let session =
        Session { known_device: presented, ..new_session(loaded, account, device, policy, now, entropy) };
    let bearer = Bearer::of(account, &session.claims, &policy.tokens.names)?;
    let versions = loaded.head.versions();
    let (session, grant) = match kind {
        Kind::Pair => {
            let grant = Grant::of_both(&session, bearer, versions);
            (session, grant)
        }
        Kind::Sliding => {
            let refresh_until = bounded(now + policy.tokens.sliding_refresh_lifetime, session.ends_at);
            let session =
                Session { idle_until: sliding_until(refresh_until, session.ends_at, policy), ..session };
            let grant = Grant::of_sliding(&session, bearer, refresh_until, versions);
            (session, grant)
        }
    };
    let Room { evict, most_live } = room(loaded, policy, scopes, now);
    let opening = SessionOpening {
        session,
        version: account.version,
        // The site still has the former hash.
        rehash: rehash.map(|hash| (hash, account.node_mark())),
        evict,
        most_live,
        known_device,
        last_login: (policy.accounts.last_login == LastLogin::Recorded).then_some(now),
        locks: (account.locks > 0 && account.status(now) != AccountStatus::Locked).then_some(0),
        adopts: None,
        claims: None,
    };
    Ok(Opened { change: Change::OpenSession(Box::new(opening)), grant })
}

/// Returns a new session: live, at generation 0, with the full refresh lifetime left.
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

/// The room that an account has for one more session.
pub(super) struct Room {
    /// The session to end.
    pub(super) evict: Option<SessionEnd>,
    /// The most live sessions that the account may have afterwards.
    pub(super) most_live: u32,
}

/// Makes room for one more session. A limit that was lowered doesn't end the sessions above it: their number only stops
/// growing.
pub(super) fn room(loaded: &AccountLoaded, policy: &Policy, scopes: &ScopeHasher, now: Timestamp) -> Room {
    let limit = policy.sessions.max_per_account;
    if loaded.live_sessions < limit {
        return Room { evict: None, most_live: limit };
    }
    let cause = Cause { reason: Reason::OverLimit, actor: Actor::Rule };
    let evict =
        loaded.longest_idle.as_ref().map(|longest_idle| session_end(longest_idle, &cause, scopes, now));
    Room { evict, most_live: loaded.live_sessions }
}

/// Returns the expiry of a refresh token minted now: whole seconds, and never after its session.
pub(super) fn idle_until(ends_at: Option<Timestamp>, policy: &Policy, now: Timestamp) -> Timestamp {
    bounded(now + policy.tokens.refresh_lifetime, ends_at)
}

/// Returns the expiry of a session's last sliding token, which may be issued at the last moment of the
/// exchange.
pub(super) fn sliding_until(
    refresh_until: Timestamp,
    ends_at: Option<Timestamp>,
    policy: &Policy,
) -> Timestamp {
    bounded(refresh_until + policy.tokens.sliding_lifetime, ends_at)
}

/// Rounds down to whole seconds, and never past the session's end.
pub(super) fn bounded(moment: Timestamp, ends_at: Option<Timestamp>) -> Timestamp {
    let moment = moment.floor_to_secs();
    ends_at.map_or(moment, |ends_at| ends_at.min(moment))
}

/// Returns the longest prefix of `text` that fits into `bytes`.
fn cut(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}
