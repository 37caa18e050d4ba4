//! Computes the number, the chain hash and the retention of a new log entry. quash-core defines the meaning
//! of entries.

use std::time::Duration;

use quash_core::model::{Chain, Entry, Keep, NewEntry, Seq, Timestamp, limits};
use quash_core::watch::feed;

/// The end of the log, in the transaction that appends to it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LogEnd {
    pub(crate) seq: Seq,
    pub(crate) chain: Chain,
    pub(crate) longest_lifetime_ms: u64,
}

impl LogEnd {
    /// Returns the entry that appending `new` here creates.
    pub(crate) fn followed_by(&self, new: &NewEntry) -> Entry {
        let seq = self.seq.next();
        let drop_after = self.drop_after(new);
        Entry {
            seq,
            kind: new.kind,
            key: new.key,
            drop_after,
            reason: new.reason,
            at: new.at,
            until: new.until,
            actor: new.actor.clone(),
            chain: feed::chain(&self.chain, seq, new, drop_after),
        }
    }

    /// Returns the time until which an entry is kept: at least until every token that was minted before it
    /// has expired, in any scope. A verifier that has dropped an entry rejects all older tokens
    /// (`Forgotten`).
    fn drop_after(&self, new: &NewEntry) -> Option<Timestamp> {
        let longest = new.at + Duration::from_millis(self.longest_lifetime_ms);
        let covered_until = match new.keep {
            Keep::Longest => longest,
            Keep::Until(moment) => moment.max(longest),
            Keep::Forever => return None,
        };
        Some(covered_until + limits::REMEMBER_BEYOND)
    }
}
