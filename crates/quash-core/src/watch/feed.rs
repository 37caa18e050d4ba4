//! The feed as a state machine: entries arrive in the order of their numbers, without gaps, each chained to
//! all before it. The transport is up to the caller.

use crate::model::{Chain, Entry, NewEntry, Seq, Timestamp};

/// The hash over an empty log.
pub const EMPTY: Chain = [0; 32];

/// Returns the hash over the log that ends with this entry: SHA-256 over the hash so far and the entry's
/// fields, each of fixed width or preceded by its length.
pub fn chain(so_far: &Chain, seq: Seq, entry: &NewEntry, drop_after: Option<Timestamp>) -> Chain {
    let mut hash = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
    hash.update(so_far);
    hash.update(&seq.as_u64().to_be_bytes());
    hash.update(&[entry.kind.as_u8()]);
    hash.update(&entry.key.0);
    hash.update(&drop_after.map_or(i64::MAX, Timestamp::as_millis).to_be_bytes());
    hash.update(&entry.at.as_millis().to_be_bytes());
    for text in [entry.reason.as_str(), entry.actor.as_str()] {
        hash.update(&(text.len() as u64).to_be_bytes());
        hash.update(text.as_bytes());
    }
    // Last, so that an entry without it has the hash that it always had.
    if let Some(until) = entry.until {
        hash.update(&until.as_millis().to_be_bytes());
    }
    let mut chain = EMPTY;
    chain.copy_from_slice(hash.finish().as_ref());
    chain
}

/// A fault in the order of the log's entries.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Gap {
    /// The entry's number isn't the next one.
    #[error("the log has a gap: expected entry {expected}, found {found}")]
    Missing { expected: Seq, found: Seq },
    /// The entry's hash doesn't continue the chain.
    #[error("entry {seq} does not continue the log before it")]
    Broken { seq: Seq },
}

/// Returns whether the entry after `cursor` may have this number.
pub fn is_next(cursor: Seq, seq: Seq) -> bool {
    seq == cursor.next() || (seq.epoch() > cursor.epoch() && seq == Seq::start_of_epoch(seq).next())
}

/// Checks that `entry` follows a log that ends at `cursor` with the hash `so_far`. A new epoch may begin at
/// any higher number; its first entry is numbered from the epoch's start.
pub fn follows(cursor: Seq, so_far: &Chain, entry: &Entry) -> Result<(), Gap> {
    if !is_next(cursor, entry.seq) {
        return Err(Gap::Missing { expected: cursor.next(), found: entry.seq });
    }
    let new = NewEntry {
        kind: entry.kind,
        key: entry.key,
        keep: crate::model::Keep::Forever,
        reason: entry.reason,
        at: entry.at,
        until: entry.until,
        actor: entry.actor.clone(),
    };
    if chain(so_far, entry.seq, &new, entry.drop_after) == entry.chain {
        Ok(())
    } else {
        Err(Gap::Broken { seq: entry.seq })
    }
}
