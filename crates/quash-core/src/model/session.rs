//! A session: what a sign-in opens. One row, constant in size however often its refresh token is rotated.

use super::{
    Account, Actor, ClientName, CustomClaims, DeviceId, Generation, Head, Reason, ScopeKey, Seq, SessionId,
    Subject, Timestamp,
};

/// A session as the store keeps it. No token is in it: a refresh token's `jti` is derived from `seed`, the id, the
/// generation and a key that isn't in the store.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Session {
    /// The claim `sid`; never changes.
    pub id: SessionId,
    /// Whose it is.
    pub subject: Subject,
    /// The generation of the current refresh token.
    pub generation: Generation,
    /// When the current refresh token was minted; its `iat` is this, cut to the second.
    pub rotated_at: Timestamp,
    /// Random; part of what each refresh token's `jti` is made from.
    pub seed: [u8; 16],
    /// The head that was read before the session was opened, or before it survived the end of the others.
    pub opened_seq: Seq,
    /// When it was opened.
    pub opened_at: Timestamp,
    /// The `exp` of the current refresh token.
    pub idle_until: Timestamp,
    /// The absolute end; `None`: endless.
    pub ends_at: Option<Timestamp>,
    /// Live or ended.
    pub state: SessionState,
    /// The user agent that opened it, cut to its limit.
    pub device: Option<String>,
    /// The address that opened it.
    pub address: Option<String>,
    /// Claims that all its tokens carry besides our own.
    pub claims: CustomClaims,
    /// The token of another issuer that opened it.
    pub adopted: Option<Adopted>,
    /// The known device whose token the client has presented, at the sign-in or at a refresh.
    pub known_device: Option<DeviceId>,
    /// The client that opened it; `None`: it was opened at a door that needs no client.
    pub client: Option<ClientName>,
}

/// The token of another issuer that a session was opened with. It goes on being the session's, and opens no other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Adopted {
    /// Its scope: what it is known and revoked by.
    pub key: ScopeKey,
    /// Its `exp`: until then it must be remembered.
    pub until: Timestamp,
}

/// Live or ended. There is no way back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SessionState {
    /// Its tokens are good, as far as the row itself tells.
    Live,
    /// Its tokens are dead.
    Ended(Ending),
}

/// Why, when and by whom a session was ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ending {
    /// Why.
    pub reason: Reason,
    /// When.
    pub at: Timestamp,
    /// By whom.
    pub actor: Actor,
}

impl Session {
    /// Whether the row is live and no watermark covers it. Expiry isn't looked at: an expired session's tokens are
    /// refused as expired.
    pub fn is_live(&self, account: &Account, head: &Head) -> bool {
        self.state == SessionState::Live
            && self.opened_seq >= account.sessions_before.max(head.sessions_before)
    }
}
