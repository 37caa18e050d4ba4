//! What a use case has read before it decides. Each is one consistent look at the store, and in each the head was
//! read first: it becomes the `rsq` of whatever is minted.

use super::{Account, Chain, Seq, Session, Timestamp, limits};

/// The head of the log, and the watermark over everything.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Head {
    /// The newest number.
    pub seq: Seq,
    /// The hash over the log up to it.
    pub chain: Chain,
    /// Sessions opened before it are ended, whosesoever they are.
    pub sessions_before: Seq,
    /// Tokens of other issuers minted up to this moment count no longer, whosesoever they are.
    pub foreign_after: Timestamp,
    /// What has been deleted from the log.
    pub forgotten: Forgotten,
}

/// What has been deleted from a log. Nobody can tell any more what it said, but it can only have been about tokens that were
/// minted before; and each of these had expired when it was deleted, if the clock was right. So where none of them is taken,
/// nothing that was revoked comes back, whatever the clock says, and has said.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Forgotten {
    /// The highest number that was deleted.
    pub seq: Seq,
    /// When the newest of these entries was committed.
    pub at: Timestamp,
    /// The latest moment until which one of them was to be remembered.
    pub until: Timestamp,
}

impl Forgotten {
    /// What a new log has forgotten.
    pub const NOTHING: Self =
        Self { seq: Seq::start_of(1), at: Timestamp::from_secs(0), until: Timestamp::from_secs(0) };

    /// Whether an entry that is gone may have been about a token of another issuer, which carries no number. Its clock may be
    /// ahead of ours by as much as it may at the doors.
    pub fn reaches(&self, minted_at: Timestamp, expires_at: Timestamp) -> bool {
        minted_at <= self.at + limits::LEEWAY && expires_at <= self.until
    }
}

/// An account, with what opening a session for it must know.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AccountLoaded {
    /// The head, read first.
    pub head: Head,
    /// The account, if there is one.
    pub account: Option<Account>,
    /// How many of its sessions are live and unexpired.
    pub live_sessions: u32,
    /// Which of these has been idle longest.
    pub idlest: Option<Session>,
}

/// What there is about a token of another issuer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ForeignLoaded {
    /// The account that it names, with the head that was read first.
    pub account: AccountLoaded,
    /// The session that it has opened, and whose that is.
    pub adopted: Option<(Session, Account)>,
    /// Whether the log has an entry over the token or over its key, or the token has opened a session of a deleted account.
    pub revoked: bool,
    /// When an account was last deleted, or stopped to have the name or the address, that the token calls its account by.
    pub freed_at: Option<Timestamp>,
}

/// A session with its account.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SessionLoaded {
    /// The head, read first.
    pub head: Head,
    /// The session and whose it is, if the store knows it.
    pub found: Option<(Session, Account)>,
}
