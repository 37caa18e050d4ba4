//! Epochs: the parts of the log in which the numbers have no gaps. A store that went back (it has lost its
//! latest changes, as after a restore from a backup) continues in a new epoch, so that no number is ever
//! assigned twice.

use crate::model::{Chain, Seq};

/// An epoch, by its number. Its entries' numbers are above those of every earlier epoch.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Epoch(u64);

/// The end of a log, as it was noted outside of its store.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NotedEnd {
    pub seq: Seq,
    /// The hash over the log up to there, if it was noted, too.
    pub chain: Option<Chain>,
}

/// The fate of sessions that were opened before a new epoch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OldSessions {
    /// They end: the global watermark becomes the number of the epoch's first entry.
    End,
    /// They stay live, including those whose end the store has lost.
    Keep,
}

impl From<Seq> for NotedEnd {
    fn from(seq: Seq) -> Self {
        Self { seq, chain: None }
    }
}

impl Epoch {
    /// The last epoch. The numbers of a later one wouldn't be below 2^53.
    pub const LAST: Self = Self((1 << 19) - 1);

    /// The epoch with this number; `None` if it is past the last.
    pub fn new(number: u64) -> Option<Self> {
        Some(Self(number)).filter(|epoch| *epoch <= Self::LAST)
    }

    /// The epoch that a number of the log belongs to; `None` if no log can have the number.
    pub fn of(seq: Seq) -> Option<Self> {
        Self::new(seq.epoch())
    }

    /// The next epoch; `None` after the last.
    pub fn next(self) -> Option<Self> {
        Self::new(self.0 + 1)
    }

    pub const fn as_u64(self) -> u64 {
        self.0
    }

    /// The number before the epoch's first entry. No entry has it.
    pub const fn start(self) -> Seq {
        Seq::start_of_epoch_number(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_epoch_stays_below_two_to_the_53() {
        let last = Epoch::LAST;
        assert!(last.start().as_u64() + (1 << 34) <= 1 << 53);
        assert_eq!(last.next(), None);
        assert_eq!(Epoch::new(last.as_u64() + 1), None);
        assert_eq!(Epoch::of(Seq::MAX), None);
        assert_eq!(Epoch::of(last.start().next()), Some(last));
    }
}
