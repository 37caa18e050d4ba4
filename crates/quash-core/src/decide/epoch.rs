//! Detects that a store went back: that it has lost its latest changes, for example after a restore from a
//! backup. Its log then continues in a new epoch. The caller provides the evidence.

use crate::model::{
    Actor, Chain, Change, Epoch, Head, Keep, NewEntry, NotedEnd, OldSessions, Reason, ScopeHasher, Seq,
    Timestamp,
};

use super::cause::{Cause, everything_entry};

/// 2026-01-01T00:00:00Z, from which the hours are counted.
const HOURS_FROM: Timestamp = Timestamp::from_secs(1_767_225_600);

const HOUR_SECS: u64 = 60 * 60;

/// No epoch is left: the sequence numbers of a further one wouldn't be below 2^53.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("there is no epoch left above the highest one known")]
pub struct NoEpochLeft;

/// Returns whether the log has gone back: it ends at `head`, but is proven to have reached the number
/// `proven`.
pub fn went_back(head: &Head, proven: Seq) -> bool {
    proven > head.seq
}

/// The state, in a log, of the entry that was noted earlier as its end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NotedEntry {
    /// The log continues from the entry.
    Present,
    /// The log lacks the entry or has another one in its place.
    Lost,
    /// The entry was deleted because it isn't needed any more, so that its hash can't be compared.
    Deleted,
}

/// Compares a log that ends at `head` with a noted end. `stored` is the hash of the log's entry with the noted
/// number, if the log has that entry. A later epoch has ended everything, so nothing before it counts as lost.
pub fn compare_end(head: &Head, noted: NotedEnd, stored: Option<Chain>) -> NotedEntry {
    if head.seq.epoch() > noted.seq.epoch() {
        return NotedEntry::Present;
    }
    let Some(chain) = noted.chain.filter(|_| head.seq >= noted.seq) else {
        return if went_back(head, noted.seq) { NotedEntry::Lost } else { NotedEntry::Present };
    };
    let stored = if head.seq == noted.seq { Some(head.chain) } else { stored };
    match stored {
        Some(found) if found == chain => NotedEntry::Present,
        Some(_) => NotedEntry::Lost,
        None => NotedEntry::Deleted,
    }
}

/// Returns the change that begins an epoch. Its number is one above the highest of three: the log's own epoch,
/// `known`, and the hours since 2026. The hours prevent a number from being assigned again if the lost part of
/// the log had an epoch that `known` doesn't cover. They are ignored if the clock is so far ahead that they
/// would use up all epochs.
///
/// The epoch's first entry covers everything. It is kept forever, because the lifetime of the tokens that the
/// lost part of the log has seen isn't known. If the sessions are kept, the entry revokes access tokens only,
/// and verifiers forget the tokens that they have accepted.
///
/// # Errors
/// No higher epoch is left.
pub fn begin_epoch(
    head: &Head,
    known: Option<Epoch>,
    sessions: OldSessions,
    actor: Actor,
    scopes: &ScopeHasher,
    now: Timestamp,
) -> Result<Change, NoEpochLeft> {
    let from = Epoch::of(head.seq).ok_or(NoEpochLeft)?;
    let hours = Epoch::new(now.since(HOURS_FROM).as_secs() / HOUR_SECS).filter(|hours| *hours < Epoch::LAST);
    let highest = [known, hours].into_iter().flatten().fold(from, Epoch::max);
    let to = highest.next().ok_or(NoEpochLeft)?;
    let cause = Cause { reason: Reason::Restored, actor };
    let entry = NewEntry { keep: Keep::Forever, ..everything_entry(&cause, scopes, now) };
    Ok(Change::BeginEpoch { from, to, entry, sessions })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::Forgotten;

    fn head(seq: Seq) -> Head {
        Head {
            seq,
            chain: [1; 32],
            sessions_before: Seq::ZERO,
            foreign_after: Timestamp::default(),
            forgotten: Forgotten::NOTHING,
            ring: 0,
            settings: 0,
            longest_lifetime: Duration::ZERO,
        }
    }

    fn begun(epoch: u64, known: Option<u64>, now: Timestamp) -> Result<u64, NoEpochLeft> {
        let seq = Epoch::new(epoch).expect("an epoch").start().next();
        let head = head(seq);
        let known = known.map(|number| Epoch::new(number).expect("an epoch"));
        match begin_epoch(&head, known, OldSessions::End, Actor::Rule, &ScopeHasher::ours([7; 16]), now)? {
            Change::BeginEpoch { from, to, .. } => {
                assert_eq!(from.as_u64(), epoch);
                Ok(to.as_u64())
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn ends_are_compared_by_number_and_chain() {
        let first = Epoch::new(3).expect("an epoch").start().next();
        let second = first.next();
        let noted = |seq, chain| NotedEnd { seq, chain };
        let compared = |end, noted, stored| compare_end(&head(end), noted, stored);
        assert_eq!(compared(first, noted(second, None), None), NotedEntry::Lost);
        assert_eq!(compared(first, noted(second, Some([1; 32])), None), NotedEntry::Lost);
        assert_eq!(compared(second, noted(second, Some([1; 32])), None), NotedEntry::Present);
        assert_eq!(compared(second, noted(second, Some([2; 32])), None), NotedEntry::Lost);
        assert_eq!(compared(second, noted(first, None), None), NotedEntry::Present);
        assert_eq!(compared(second, noted(first, Some([2; 32])), Some([2; 32])), NotedEntry::Present);
        assert_eq!(compared(second, noted(first, Some([3; 32])), Some([2; 32])), NotedEntry::Lost);
        assert_eq!(compared(second, noted(first, Some([3; 32])), None), NotedEntry::Deleted);
        let later = Epoch::new(4).expect("an epoch").start().next();
        assert_eq!(compared(later, noted(second, Some([9; 32])), None), NotedEntry::Present);
    }

    #[test]
    fn new_epochs_exceed_known_epochs_and_the_hours() {
        let (before, third_hour) =
            (Timestamp::from_secs(0), Timestamp::from_secs(1_767_225_600 + 3 * 3600 + 1));
        assert_eq!(begun(1, None, before), Ok(2));
        assert_eq!(begun(1, None, third_hour), Ok(4));
        assert_eq!(begun(1, Some(9), third_hour), Ok(10));
        assert_eq!(begun(20, Some(9), third_hour), Ok(21));
    }

    #[test]
    fn the_last_epoch_has_no_successor() {
        let last = Epoch::LAST.as_u64();
        assert_eq!(begun(last - 1, None, Timestamp::default()), Ok(last));
        assert_eq!(begun(last, None, Timestamp::default()), Err(NoEpochLeft));
        assert_eq!(begun(1, Some(last), Timestamp::default()), Err(NoEpochLeft));
        let hour = |number: u64| HOURS_FROM + std::time::Duration::from_secs(number * HOUR_SECS);
        assert_eq!(begun(1, None, hour(last - 1)), Ok(last));
        assert_eq!(begun(1, None, hour(last)), Ok(2));
        assert_eq!(begun(1, None, Timestamp::from_millis(i64::MAX)), Ok(2));
    }
}
