//! Signing in. The password has been hashed and compared before: exactly once, whatever is decided here.

use crate::model::{
    Account, AccountLoaded, Actor, Change, Entropy, Generation, PasswordHash, Policy, Reason, Refusal, ScopeHasher, Session, SessionId,
    SessionState, Standing, Timestamp, draw, limits,
};
use crate::token::Grant;

use super::cause::{Cause, session_end};

/// What a client tells about itself.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Device {
    /// Its user agent, as sent.
    pub user_agent: Option<String>,
    /// Its address.
    pub address: Option<String>,
}

/// A session about to be opened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Opened {
    /// What to write.
    pub change: Change,
    /// What to mint once that is written.
    pub grant: Grant,
}

/// Whether an account may sign in. That the address isn't verified is told only to who knows the password.
///
/// # Errors
/// [`Refusal::BadCredentials`] or [`Refusal::EmailNotVerified`].
pub fn judge_sign_in(loaded: &AccountLoaded, password_is_right: bool, now: Timestamp) -> Result<&Account, Refusal> {
    let account = loaded.account.as_ref().filter(|_| password_is_right).ok_or(Refusal::BadCredentials)?;
    match account.standing(now) {
        Standing::Active => Ok(account),
        Standing::Unverified => Err(Refusal::EmailNotVerified),
        Standing::Locked | Standing::Deactivated => Err(Refusal::BadCredentials),
    }
}

/// Opens a session for an account that may sign in. One over the limit ends the session idle longest.
#[expect(clippy::too_many_arguments, reason = "each is one of what a decision may depend on; a bundle would only hide them")]
pub fn open_session(
    loaded: &AccountLoaded,
    account: &Account,
    rehash: Option<PasswordHash>,
    device: &Device,
    policy: &Policy,
    scopes: &ScopeHasher,
    now: Timestamp,
    entropy: &dyn Entropy,
) -> Opened {
    let ends_at = policy.sessions.absolute_lifetime.map(|lifetime| (now + lifetime).floor_to_secs());
    let session = Session {
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
    };
    let over = loaded.live_sessions >= policy.sessions.max_per_account;
    let one_over = Cause { reason: Reason::OverLimit, actor: Actor::Rule };
    let evict = loaded.idlest.filter(|_| over).map(|idlest| session_end(idlest, &one_over, scopes, now));
    let grant = Grant::of_both(&session, loaded.head.seq);
    Opened { change: Change::OpenSession { session, version: account.version, rehash, evict }, grant }
}

/// When a refresh token minted now expires: whole seconds, and never after its session.
pub(super) fn idle_until(ends_at: Option<Timestamp>, policy: &Policy, now: Timestamp) -> Timestamp {
    let unbounded = (now + policy.tokens.refresh_lifetime).floor_to_secs();
    ends_at.map_or(unbounded, |ends_at| ends_at.min(unbounded))
}

/// The longest start of `text` that fits into `bytes`.
fn cut(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}
