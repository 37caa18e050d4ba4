//! Data that a use case loads before it decides.
//!
//! Each type is one consistent view of the store, in which the head was read first. The head becomes the
//! `rsq` of the tokens minted from it.

use std::time::Duration;

use crate::model::{Account, Chain, Entry, Seq, Session, Timestamp, limits};

/// The head of the log (its newest entry), the watermark over everything, and the versions by which a process
/// notices that its copies of the keys and the settings are outdated.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Head {
    /// The number of the newest entry.
    pub seq: Seq,
    /// The hash over the log up to the head.
    pub chain: Chain,
    /// All sessions opened before this number are ended.
    pub sessions_before: Seq,
    /// All tokens of other issuers minted up to this time are refused.
    pub foreign_after: Timestamp,
    /// The entries deleted from the log.
    pub forgotten: Forgotten,
    /// The version of the key ring: the number of changes of the signing keys.
    pub ring: u64,
    /// The version of the settings that define tokens: the number of changes of them.
    pub settings: u64,
    /// The longest lifetime of tokens ever configured.
    pub longest_lifetime: Duration,
}

/// The versions of a head, for the tokens granted from it: a node signs them only with a key ring that is at
/// least as new, and with these settings.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HeadVersions {
    /// The number of the newest entry, which becomes the token's `rsq`.
    pub seq: Seq,
    pub ring: u64,
    pub settings: u64,
}

/// The entries of the log after a given number, and the head, in one view of the store.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Followed {
    pub head: Head,
    /// Ordered by number, without those that were deleted. If there are more than were asked for, the first ones.
    pub entries: Vec<Entry>,
}

/// A summary of the entries deleted from a log.
///
/// Their content is unknown, but they can only have covered tokens minted before them, all of which had
/// expired at the time of deletion if the clock was right. Refusing all such tokens keeps revoked tokens
/// revoked, even if the clock is or was wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Forgotten {
    /// The highest deleted number.
    pub seq: Seq,
    /// The commit time of the newest deleted entry.
    pub at: Timestamp,
    /// The latest time until which any deleted entry had to be kept.
    pub until: Timestamp,
}

impl Head {
    pub fn versions(&self) -> HeadVersions {
        HeadVersions { seq: self.seq, ring: self.ring, settings: self.settings }
    }
}

impl Forgotten {
    /// The value of a new log.
    pub const NOTHING: Self =
        Self { seq: Seq::start_of(1), at: Timestamp::from_secs(0), until: Timestamp::from_secs(0) };

    /// Returns whether a deleted entry may have covered a token of another issuer, which carries no number.
    /// The issuer's clock may be ahead of ours by [`limits::LEEWAY`].
    pub fn reaches(&self, minted_at: Timestamp, expires_at: Timestamp) -> bool {
        minted_at <= self.at + limits::LEEWAY && expires_at <= self.until
    }
}

/// An account, with the data needed to open a session for it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AccountLoaded {
    /// The head, read first.
    pub head: Head,
    pub account: Option<Account>,
    /// The number of its live, unexpired sessions.
    pub live_sessions: u32,
    /// The live session that has been idle longest.
    pub longest_idle: Option<Session>,
}

/// The stored data about a token of another issuer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ForeignLoaded {
    /// The account that the token names, with the head, which was read first.
    pub account: AccountLoaded,
    /// The session that the token opened, and that session's account.
    pub adopted: Option<(Session, Account)>,
    /// The log has an entry for the token or its key, or the token opened a session of a deleted
    /// account.
    pub revoked: bool,
    /// The last time at which an account was deleted whose subject, name or address is the token's user id, or
    /// at which an account gave up that name or address.
    pub freed_at: Option<Timestamp>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SessionLoaded {
    /// The head, read first.
    pub head: Head,
    /// The session with its account, if the store has it.
    pub found: Option<(Session, Account)>,
}
