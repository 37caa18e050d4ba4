//! Recomputes the chain of the log, as far as its entries were not deleted.

use quash_core::model::{Chain, Entry, Head, Seq};
use quash_core::watch::feed;

use super::MoveError;
use crate::Store;

/// The entries that are read at once.
const PAGE: u32 = 1000;

/// Recomputes the chain of a log up to its head. Returns the head, and the number of entries.
///
/// # Errors
/// An entry is missing or isn't what was written, or the store can't be read.
pub async fn check_log(store: &dyn Store) -> Result<(Head, u64), MoveError> {
    let head = store.head().await?;
    let mut end = End { seq: Seq::start_of(1), chain: feed::EMPTY };
    let mut count = 0;
    loop {
        let entries = store.entries_after(if count == 0 { Seq::ZERO } else { end.seq }, PAGE).await?;
        if entries.is_empty() {
            break;
        }
        for entry in &entries {
            end.check(entry, head.forgotten.seq)?;
            end = End { seq: entry.seq, chain: entry.chain };
            count += 1;
        }
    }
    // The newest entry may have been deleted.
    let is_whole = (end.seq, end.chain) == (head.seq, head.chain)
        || (head.seq == head.forgotten.seq && end.seq <= head.seq);
    if !is_whole {
        return Err(MoveError::Log(format!("its head is {}, and its newest entry {}", head.seq, end.seq)));
    }
    Ok((head, count))
}

/// The last entry that was checked.
struct End {
    seq: Seq,
    chain: Chain,
}

impl End {
    /// Checks that an entry follows this one. Between them, only deleted entries may be missing.
    fn check(&self, entry: &Entry, forgotten: Seq) -> Result<(), MoveError> {
        let Err(gap) = feed::follows(self.seq, &self.chain, entry) else { return Ok(()) };
        let before = Seq::from_u64(entry.seq.as_u64().saturating_sub(1));
        // No entry has the number before the first one of an epoch.
        let lacked = if before == Seq::start_of_epoch(entry.seq) { self.seq.next() } else { before };
        if entry.seq != self.seq.next() && lacked <= forgotten {
            return Ok(());
        }
        Err(MoveError::Log(gap.to_string()))
    }
}
