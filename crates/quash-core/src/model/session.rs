//! Sessions: what a sign-in opens. A session is one row of constant size, however often its refresh token is
//! rotated.

use super::{
    Account, Actor, ClientName, CustomClaims, DeviceId, Generation, Head, Reason, ScopeKey, Seq, SessionId,
    Subject, Timestamp,
};

/// A session as the store keeps it. It contains no token: a refresh token's `jti` is derived from `seed`, the
/// id, the generation and a key that isn't in the store.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Session {
    /// The claim `sid`. Never changes.
    pub id: SessionId,
    pub subject: Subject,
    /// The generation of the current refresh token.
    pub generation: Generation,
    /// The time at which the current refresh token was minted. The token's `iat` is this, truncated to the
    /// second.
    pub rotated_at: Timestamp,
    /// Random bytes that each refresh token's `jti` is derived from.
    pub seed: [u8; 16],
    /// The head that was read before the session was opened, or before it survived the end of the account's
    /// other sessions.
    pub opened_seq: Seq,
    pub opened_at: Timestamp,
    /// The `exp` of the current refresh token.
    pub idle_until: Timestamp,
    /// The absolute end of the session; `None`: unlimited.
    pub ends_at: Option<Timestamp>,
    pub state: SessionState,
    /// The user agent that opened the session, truncated to
    /// [`limits::DEVICE_BYTES`](super::limits::DEVICE_BYTES).
    pub device: Option<String>,
    /// The network address that opened the session.
    pub address: Option<String>,
    pub claims: CustomClaims,
    /// The token of another issuer that opened the session.
    pub adopted: Option<Adopted>,
    /// The known device whose token the client presented, at the sign-in or at a refresh.
    pub known_device: Option<DeviceId>,
    /// The client that opened the session; `None` if the endpoint requires no client.
    pub client: Option<ClientName>,
}

/// The token of another issuer that opened a session. It remains the session's, and opens no other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Adopted {
    /// The token's scope, by which it is recognised and revoked.
    pub key: ScopeKey,
    /// The token's `exp`. It must be remembered until then.
    pub until: Timestamp,
}

/// Live or ended. An ended session never becomes live again.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SessionState {
    /// The session's tokens are valid as far as its row determines.
    Live,
    Ended(Ending),
}

/// The reason, time and actor of a session's end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ending {
    pub reason: Reason,
    pub at: Timestamp,
    pub actor: Actor,
}

impl Session {
    /// Returns whether the row is live and no watermark covers it. Ignores expiry: an expired session's
    /// tokens are refused as expired.
    pub fn is_live(&self, account: &Account, head: &Head) -> bool {
        self.state == SessionState::Live
            && self.opened_seq >= account.sessions_before.max(head.sessions_before)
    }
}
