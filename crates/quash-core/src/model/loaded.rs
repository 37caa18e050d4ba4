//! What a use case has read before it decides. Each is one consistent look at the store, and in each the head was
//! read first: it becomes the `rsq` of whatever is minted.

use super::{Account, Chain, Seq, Session, Timestamp};

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
    /// Whether the log has an entry over the token or over its key.
    pub revoked: bool,
}

/// A session with its account.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SessionLoaded {
    /// The head, read first.
    pub head: Head,
    /// The session and whose it is, if the store knows it.
    pub found: Option<(Session, Account)>,
}
