//! How an entry gets its number, its place in the chain and its time to be forgotten. What an entry means is told in
//! quash-core; where it is kept is each store's business.

use std::time::Duration;

use quash_core::model::{Chain, Entry, Keep, NewEntry, Seq, Timestamp, limits};
use quash_core::watch::feed;

/// The end of the log, as it stands in the transaction that appends to it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LogEnd {
    pub(crate) seq: Seq,
    pub(crate) chain: Chain,
    pub(crate) longest_lifetime_ms: u64,
}

impl LogEnd {
    /// The entry that `new` becomes when it is appended here.
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
            actor: new.actor.clone(),
            chain: feed::chain(&self.chain, seq, new, drop_after),
        }
    }

    /// Never before the last token has expired that was minted before it, whatever it is about: whoever has forgotten an entry
    /// takes no token from before it (`Forgotten`).
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
